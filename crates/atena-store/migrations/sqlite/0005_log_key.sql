-- Which versions of the Ed25519 key sign heads of the logs. Read in the transaction that signs, so that all gateways change it at one point.
-- No row: the first version since the beginning. signs_until is 0 while it signs.
CREATE TABLE log_key (
    municipality_code TEXT NOT NULL,
    version           INTEGER NOT NULL,
    public_key        BLOB NOT NULL CHECK (length(public_key) = 32),
    signs_since       INTEGER NOT NULL,
    signs_until       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (municipality_code, version)
) STRICT, WITHOUT ROWID;
