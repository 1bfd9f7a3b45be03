-- Which versions of the Ed25519 key sign heads of the logs. Read in the transaction that signs, so that all gateways change it at one point.
-- No row: the first version since the beginning. signs_until is 0 while it signs.
CREATE TABLE log_key (
    municipality_code text COLLATE "C" NOT NULL,
    version           bigint NOT NULL,
    public_key        bytea NOT NULL CHECK (length(public_key) = 32),
    signs_since       bigint NOT NULL,
    signs_until       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (municipality_code, version)
);
