-- municipality_code leads every primary key and every unique index, so that the schema can be distributed by municipality.
-- "sealed" columns hold ciphertexts, "content_mac" keyed digests; times are microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE person (
    municipality_code      TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    migrated               INTEGER NOT NULL,
    created_at             INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number)
) STRICT, WITHOUT ROWID;

-- Destroying the row of a person here erases everything that is sealed about them.
CREATE TABLE person_key (
    municipality_code      TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    kek_id                 TEXT NOT NULL,
    wrapped_key            BLOB NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number),
    FOREIGN KEY (municipality_code, unified_address_number) REFERENCES person
) STRICT, WITHOUT ROWID;

-- The body of the next unified number; bodies only rise, so a number is never issued twice.
CREATE TABLE number_sequence (
    municipality_code TEXT NOT NULL PRIMARY KEY,
    next_body         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Current and former personal numbers (個人番号の変更 keeps its history). The blind index is never compared with anything but itself.
CREATE TABLE personal_number (
    municipality_code      TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    sequence               INTEGER NOT NULL,
    blind_index            BLOB NOT NULL CHECK (length(blind_index) = 32),
    sealed                 BLOB NOT NULL,
    effective_date         TEXT,
    superseded_at          INTEGER,
    PRIMARY KEY (municipality_code, unified_address_number, sequence),
    FOREIGN KEY (municipality_code, unified_address_number) REFERENCES person
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX personal_number_by_index ON personal_number (municipality_code, blind_index);

-- A person has one current number.
CREATE UNIQUE INDEX personal_number_current ON personal_number (municipality_code, unified_address_number)
    WHERE superseded_at IS NULL;

-- Which local number each system uses for whom; one system has one number for one person.
CREATE TABLE link (
    municipality_code      TEXT NOT NULL,
    system_id              TEXT NOT NULL,
    local_address_number   TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    change_sequence        INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, system_id, local_address_number),
    FOREIGN KEY (municipality_code, unified_address_number) REFERENCES person
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX link_by_person ON link (municipality_code, system_id, unified_address_number);
CREATE UNIQUE INDEX link_by_change ON link (municipality_code, system_id, change_sequence);
CREATE INDEX link_of_person ON link (municipality_code, unified_address_number);

-- What each system itself registered about a person, as immutable revisions.
CREATE TABLE person_view (
    municipality_code    TEXT NOT NULL,
    system_id            TEXT NOT NULL,
    local_address_number TEXT NOT NULL,
    revision             INTEGER NOT NULL,
    sealed               BLOB NOT NULL,
    content_mac          BLOB NOT NULL,
    protected            INTEGER NOT NULL,
    stored_at            INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, system_id, local_address_number, revision),
    FOREIGN KEY (municipality_code, system_id, local_address_number) REFERENCES link
) STRICT;

-- What a machine must not decide (名寄せ候補).
CREATE TABLE review_case (
    municipality_code            TEXT NOT NULL,
    case_id                      TEXT NOT NULL,
    kind                         TEXT NOT NULL,
    system_id                    TEXT NOT NULL,
    local_address_number         TEXT NOT NULL,
    unified_address_number       TEXT NOT NULL,
    other_unified_address_number TEXT,
    sealed                       BLOB NOT NULL,
    content_mac                  BLOB NOT NULL,
    created_at                   INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, case_id)
) STRICT;

CREATE UNIQUE INDEX review_case_once ON review_case (municipality_code, content_mac);

-- Rises with every stored revision and every new link: what incremental pulls follow.
CREATE TABLE change_sequence (
    municipality_code TEXT NOT NULL PRIMARY KEY,
    last              INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Pension records, as immutable revisions.
CREATE TABLE record_revision (
    municipality_code      TEXT NOT NULL,
    dataset                TEXT NOT NULL,
    record_key             TEXT NOT NULL,
    revision               INTEGER NOT NULL,
    unified_address_number TEXT NOT NULL,
    change_sequence        INTEGER NOT NULL,
    deleted                INTEGER NOT NULL,
    sealed                 BLOB NOT NULL,
    content_mac            BLOB NOT NULL,
    stored_at              INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, dataset, record_key, revision),
    FOREIGN KEY (municipality_code, unified_address_number) REFERENCES person
) STRICT;

-- The newest revision of each record; derived from record_revision and kept with it in one transaction.
CREATE TABLE record_head (
    municipality_code      TEXT NOT NULL,
    dataset                TEXT NOT NULL,
    record_key             TEXT NOT NULL,
    revision               INTEGER NOT NULL,
    unified_address_number TEXT NOT NULL,
    change_sequence        INTEGER NOT NULL,
    deleted                INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, dataset, record_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_head_of_person ON record_head (municipality_code, unified_address_number, dataset, record_key);
CREATE UNIQUE INDEX record_head_by_change ON record_head (municipality_code, change_sequence);

-- 情報提供等の記録: one row for one person, one dataset, one call. Only ever inserted.
CREATE TABLE transfer (
    municipality_code      TEXT NOT NULL,
    transfer_sequence      INTEGER NOT NULL,
    transfer_id            TEXT NOT NULL,
    requested_at           INTEGER NOT NULL,
    provided_at            INTEGER NOT NULL,
    direction              TEXT NOT NULL,
    outcome                TEXT NOT NULL,
    reason                 TEXT,
    system_id              TEXT NOT NULL,
    division               TEXT,
    operator_id            TEXT,
    affair                 TEXT,
    rule_id                TEXT,
    rule_version           INTEGER NOT NULL,
    legal_basis            TEXT,
    dataset                TEXT,
    fields                 TEXT NOT NULL,
    local_address_number   TEXT,
    unified_address_number TEXT,
    records                TEXT NOT NULL,
    record_count           INTEGER NOT NULL,
    content_sha256         BLOB,
    method                 TEXT NOT NULL,
    request_id             TEXT,
    policy_hash            BLOB NOT NULL,
    PRIMARY KEY (municipality_code, transfer_sequence)
) STRICT;

CREATE UNIQUE INDEX transfer_by_id ON transfer (municipality_code, transfer_id);
CREATE INDEX transfer_of_person ON transfer (municipality_code, unified_address_number, transfer_sequence);
CREATE INDEX transfer_of_system ON transfer (municipality_code, system_id, transfer_sequence);
CREATE INDEX transfer_by_time ON transfer (municipality_code, requested_at);

-- The log only grows.
CREATE TRIGGER transfer_is_never_changed BEFORE UPDATE ON transfer
BEGIN
    SELECT RAISE(ABORT, 'the transfer log is never changed');
END;

CREATE TRIGGER transfer_is_never_deleted BEFORE DELETE ON transfer
BEGIN
    SELECT RAISE(ABORT, 'the transfer log is never deleted from');
END;
