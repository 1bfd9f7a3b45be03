-- municipality_code leads every primary key and every unique index, so that the schema can be distributed by municipality.
-- "sealed" columns hold ciphertexts, "content_mac" keyed digests; times are microseconds since 1970-01-01T00:00:00Z.
-- The same tables for SQLite are in ../sqlite. Texts are compared byte by byte, whatever the locale of the server.
-- Rows of bulk work have no foreign keys: what they refer to was looked up in the
-- same transaction, and looking it up once more for every row costs more than writing it.

CREATE TABLE person (
    municipality_code      text COLLATE "C" NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    migrated               bigint NOT NULL,
    created_at             bigint NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number)
);

-- Destroying the row of a person here erases everything that is sealed about them.
CREATE TABLE person_key (
    municipality_code      text COLLATE "C" NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    kek_id                 text COLLATE "C" NOT NULL,
    wrapped_key            bytea NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number)
);

-- The body of the next unified number; bodies only rise, so a number is never issued twice.
CREATE TABLE number_sequence (
    municipality_code text COLLATE "C" NOT NULL PRIMARY KEY,
    next_body         bigint NOT NULL
);

-- Current and former personal numbers (個人番号の変更 keeps its history). The blind index is never compared with anything but itself.
-- superseded_at is 0 for the current one.
CREATE TABLE personal_number (
    municipality_code      text COLLATE "C" NOT NULL,
    blind_index            bytea NOT NULL CHECK (length(blind_index) = 32),
    unified_address_number text COLLATE "C" NOT NULL,
    sequence               bigint NOT NULL,
    sealed                 bytea NOT NULL,
    effective_date         text COLLATE "C",
    superseded_at          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (municipality_code, blind_index)
);

-- A person has one current number.
CREATE UNIQUE INDEX personal_number_current ON personal_number (municipality_code, unified_address_number, superseded_at);

-- Which local number each system uses for whom; one system has one number for one person.
CREATE TABLE link (
    municipality_code      text COLLATE "C" NOT NULL,
    system_id              text COLLATE "C" NOT NULL,
    local_address_number   text COLLATE "C" NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    change_sequence        bigint NOT NULL,
    PRIMARY KEY (municipality_code, system_id, local_address_number)
);

CREATE UNIQUE INDEX link_of_person ON link (municipality_code, unified_address_number, system_id);
CREATE UNIQUE INDEX link_by_change ON link (municipality_code, system_id, change_sequence);

-- What each system itself registered about a person, as immutable revisions.
CREATE TABLE person_view (
    municipality_code    text COLLATE "C" NOT NULL,
    system_id            text COLLATE "C" NOT NULL,
    local_address_number text COLLATE "C" NOT NULL,
    revision             bigint NOT NULL,
    sealed               bytea NOT NULL,
    content_mac          bytea NOT NULL,
    protected            bigint NOT NULL,
    stored_at            bigint NOT NULL,
    PRIMARY KEY (municipality_code, system_id, local_address_number, revision)
);

-- What a machine must not decide (名寄せ候補).
CREATE TABLE review_case (
    municipality_code            text COLLATE "C" NOT NULL,
    case_id                      text COLLATE "C" NOT NULL,
    kind                         text COLLATE "C" NOT NULL,
    system_id                    text COLLATE "C" NOT NULL,
    local_address_number         text COLLATE "C" NOT NULL,
    unified_address_number       text COLLATE "C" NOT NULL,
    other_unified_address_number text COLLATE "C",
    sealed                       bytea NOT NULL,
    content_mac                  bytea NOT NULL,
    created_at                   bigint NOT NULL,
    PRIMARY KEY (municipality_code, case_id)
);

CREATE UNIQUE INDEX review_case_once ON review_case (municipality_code, content_mac);

-- Rises with every stored revision and every new link: what incremental pulls follow.
CREATE TABLE change_sequence (
    municipality_code text COLLATE "C" NOT NULL PRIMARY KEY,
    last              bigint NOT NULL
);

-- The newest revision of each pension record, beside the others of its person: what a pull reads, in the order it reads it.
CREATE TABLE record (
    municipality_code      text COLLATE "C" NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    dataset                text COLLATE "C" NOT NULL,
    record_key             text COLLATE "C" NOT NULL,
    revision               bigint NOT NULL,
    change_sequence        bigint NOT NULL,
    deleted                bigint NOT NULL,
    sealed                 bytea NOT NULL,
    content_mac            bytea NOT NULL,
    stored_at              bigint NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number, dataset, record_key)
);

CREATE UNIQUE INDEX record_by_key ON record (municipality_code, dataset, record_key);
CREATE UNIQUE INDEX record_by_change ON record (municipality_code, change_sequence);

-- The revisions before it, as they were.
CREATE TABLE record_history (
    municipality_code      text COLLATE "C" NOT NULL,
    dataset                text COLLATE "C" NOT NULL,
    record_key             text COLLATE "C" NOT NULL,
    revision               bigint NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    change_sequence        bigint NOT NULL,
    deleted                bigint NOT NULL,
    sealed                 bytea NOT NULL,
    content_mac            bytea NOT NULL,
    stored_at              bigint NOT NULL,
    PRIMARY KEY (municipality_code, dataset, record_key, revision)
);

CREATE INDEX record_history_of_person ON record_history (municipality_code, unified_address_number);

-- 情報提供等の記録, as leaves of a Merkle tree: one row holds the leaves of one commit, packed. Only ever inserted.
-- hashes are the leaf hashes (32 bytes each), before the leaves so that a proof reads no more than it needs.
CREATE TABLE log_chunk (
    municipality_code text COLLATE "C" NOT NULL,
    first_index       bigint NOT NULL,
    leaf_count        bigint NOT NULL,
    requested_min     bigint NOT NULL,
    requested_max     bigint NOT NULL,
    transfer_id_min   bytea NOT NULL,
    transfer_id_max   bytea NOT NULL,
    hashes            bytea NOT NULL,
    leaves            bytea NOT NULL,
    PRIMARY KEY (municipality_code, first_index)
);

CREATE INDEX log_chunk_by_time ON log_chunk (municipality_code, requested_max, requested_min);
CREATE INDEX log_chunk_by_id ON log_chunk (municipality_code, transfer_id_max, transfer_id_min);

CREATE FUNCTION refuse_change_of_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the transfer log is never changed and never deleted from';
END
$$;

CREATE TRIGGER log_chunk_is_never_changed BEFORE UPDATE OR DELETE ON log_chunk
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_log();

CREATE TRIGGER log_chunk_is_never_emptied BEFORE TRUNCATE ON log_chunk
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_log();

-- What the leaves only commit to, sealed: erased when its time has come, without changing the tree.
CREATE TABLE log_details (
    municipality_code text COLLATE "C" NOT NULL,
    first_index       bigint NOT NULL,
    details           bytea NOT NULL,
    PRIMARY KEY (municipality_code, first_index)
);

-- How far each kind of details has been erased because its time had come: chunks before `first_index` are done.
CREATE TABLE log_retention (
    municipality_code text COLLATE "C" NOT NULL,
    kind              text COLLATE "C" NOT NULL,
    first_index       bigint NOT NULL,
    PRIMARY KEY (municipality_code, kind)
);

-- Roots of complete subtrees of 256^level leaves, 256 of them to a row. Derived from the leaves.
CREATE TABLE log_tile (
    municipality_code text COLLATE "C" NOT NULL,
    level             bigint NOT NULL,
    tile_index        bigint NOT NULL,
    hashes            bytea NOT NULL,
    PRIMARY KEY (municipality_code, level, tile_index)
);

-- The growing edge of the tree: what appending needs.
CREATE TABLE log_head (
    municipality_code text COLLATE "C" NOT NULL PRIMARY KEY,
    size              bigint NOT NULL,
    frontier          bytea NOT NULL
);

-- Signed heads. One size has one head: a second one can't be kept, and so is never shown.
CREATE TABLE log_checkpoint (
    municipality_code text COLLATE "C" NOT NULL,
    size              bigint NOT NULL,
    root              bytea NOT NULL,
    note              text COLLATE "C" NOT NULL,
    signed_at         bigint NOT NULL,
    PRIMARY KEY (municipality_code, size)
);

-- Which leaves are about whom. Derived from the log afterwards, and made anew from it at any time.
CREATE TABLE log_person (
    municipality_code      text COLLATE "C" NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    leaf_index             bigint NOT NULL,
    PRIMARY KEY (municipality_code, unified_address_number, leaf_index)
);

-- How far log_person reaches: leaves before `size` are in it.
CREATE TABLE log_index_head (
    municipality_code text COLLATE "C" NOT NULL PRIMARY KEY,
    size              bigint NOT NULL
);

-- Hashes and ciphertexts don't become smaller: trying costs time on every append.
ALTER TABLE log_chunk ALTER COLUMN hashes SET STORAGE EXTERNAL, ALTER COLUMN leaves SET STORAGE EXTERNAL;
ALTER TABLE log_details ALTER COLUMN details SET STORAGE EXTERNAL;
