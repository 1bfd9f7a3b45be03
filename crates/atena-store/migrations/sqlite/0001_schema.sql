-- municipality_code leads every primary key and every unique index, so that the schema can be distributed by municipality.
-- "sealed" columns hold ciphertexts, "content_mac" keyed digests; times are microseconds since 1970-01-01T00:00:00Z.
-- The same tables for PostgreSQL are in ../postgres. Rows of bulk work have no foreign keys: what they refer to was looked up in the
-- same transaction, and looking it up once more for every row costs more than writing it.

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
    PRIMARY KEY (municipality_code, unified_address_number)
) STRICT, WITHOUT ROWID;

-- The body of the next unified number; bodies only rise, so a number is never issued twice.
CREATE TABLE number_sequence (
    municipality_code TEXT NOT NULL PRIMARY KEY,
    next_body         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Current and former personal numbers (個人番号の変更 keeps its history). The blind index is never compared with anything but itself.
-- superseded_at is 0 for the current one.
CREATE TABLE personal_number (
    municipality_code      TEXT NOT NULL,
    blind_index            BLOB NOT NULL CHECK (length(blind_index) = 32),
    unified_address_number TEXT NOT NULL,
    sequence               INTEGER NOT NULL,
    sealed                 BLOB NOT NULL,
    effective_date         TEXT,
    superseded_at          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (municipality_code, blind_index)
) STRICT, WITHOUT ROWID;

-- A person has one current number.
CREATE UNIQUE INDEX personal_number_current ON personal_number (municipality_code, unified_address_number, superseded_at);

-- Which local number each system uses for whom; one system has one number for one person.
CREATE TABLE link (
    municipality_code      TEXT NOT NULL,
    system_id              TEXT NOT NULL,
    local_address_number   TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    change_sequence        INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, system_id, local_address_number)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX link_of_person ON link (municipality_code, unified_address_number, system_id);
CREATE UNIQUE INDEX link_by_change ON link (municipality_code, system_id, change_sequence);

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
    PRIMARY KEY (municipality_code, system_id, local_address_number, revision)
) STRICT, WITHOUT ROWID;

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

-- The newest revision of each pension record, beside the others of its person: what a pull reads, in the order it reads it.
CREATE TABLE record (
    municipality_code      TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    dataset                TEXT NOT NULL,
    record_key             TEXT NOT NULL,
    revision               INTEGER NOT NULL,
    change_sequence        INTEGER NOT NULL,
    deleted                INTEGER NOT NULL,
    sealed                 BLOB NOT NULL,
    content_mac            BLOB NOT NULL,
    stored_at              INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number, dataset, record_key)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX record_by_key ON record (municipality_code, dataset, record_key);
CREATE UNIQUE INDEX record_by_change ON record (municipality_code, change_sequence);

-- The revisions before it, as they were.
CREATE TABLE record_history (
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
    PRIMARY KEY (municipality_code, dataset, record_key, revision)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_history_of_person ON record_history (municipality_code, unified_address_number);

-- 情報提供等の記録, as leaves of a Merkle tree: one row holds the leaves of one commit, packed. Only ever inserted.
-- hashes are the leaf hashes (32 bytes each), before the leaves so that a proof reads no more than it needs.
CREATE TABLE log_chunk (
    municipality_code TEXT NOT NULL,
    first_index       INTEGER NOT NULL,
    leaf_count        INTEGER NOT NULL,
    requested_min     INTEGER NOT NULL,
    requested_max     INTEGER NOT NULL,
    transfer_id_min   BLOB NOT NULL,
    transfer_id_max   BLOB NOT NULL,
    hashes            BLOB NOT NULL,
    leaves            BLOB NOT NULL,
    PRIMARY KEY (municipality_code, first_index)
) STRICT;

CREATE INDEX log_chunk_by_time ON log_chunk (municipality_code, requested_max, requested_min);
CREATE INDEX log_chunk_by_id ON log_chunk (municipality_code, transfer_id_max, transfer_id_min);

CREATE TRIGGER log_chunk_is_never_changed BEFORE UPDATE ON log_chunk
BEGIN
    SELECT RAISE(ABORT, 'the transfer log is never changed');
END;

CREATE TRIGGER log_chunk_is_never_deleted BEFORE DELETE ON log_chunk
BEGIN
    SELECT RAISE(ABORT, 'the transfer log is never deleted from');
END;

-- What the leaves only commit to, sealed: erased when its time has come, without changing the tree.
CREATE TABLE log_details (
    municipality_code TEXT NOT NULL,
    first_index       INTEGER NOT NULL,
    details           BLOB NOT NULL,
    PRIMARY KEY (municipality_code, first_index)
) STRICT;

-- How far each kind of details has been erased because its time had come: chunks before `first_index` are done.
CREATE TABLE log_retention (
    municipality_code TEXT NOT NULL,
    kind              TEXT NOT NULL,
    first_index       INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, kind)
) STRICT, WITHOUT ROWID;

-- Roots of complete subtrees of 256^level leaves, 256 of them to a row. Derived from the leaves.
CREATE TABLE log_tile (
    municipality_code TEXT NOT NULL,
    level             INTEGER NOT NULL,
    tile_index        INTEGER NOT NULL,
    hashes            BLOB NOT NULL,
    PRIMARY KEY (municipality_code, level, tile_index)
) STRICT;

-- The growing edge of the tree: what appending needs.
CREATE TABLE log_head (
    municipality_code TEXT NOT NULL PRIMARY KEY,
    size              INTEGER NOT NULL,
    frontier          BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Signed heads. One size has one head: a second one can't be kept, and so is never shown.
CREATE TABLE log_checkpoint (
    municipality_code TEXT NOT NULL,
    size              INTEGER NOT NULL,
    root              BLOB NOT NULL,
    note              TEXT NOT NULL,
    signed_at         INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, size)
) STRICT;

-- Which leaves are about whom. Derived from the log afterwards, and made anew from it at any time.
CREATE TABLE log_person (
    municipality_code      TEXT NOT NULL,
    unified_address_number TEXT NOT NULL,
    leaf_index             INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number, leaf_index)
) STRICT, WITHOUT ROWID;

-- How far log_person reaches: leaves before `size` are in it.
CREATE TABLE log_index_head (
    municipality_code TEXT NOT NULL PRIMARY KEY,
    size              INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
