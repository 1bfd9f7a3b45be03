-- What those did who run the system (管理操作の記録): a second log of the same make as the tables log_*, see 0001_schema.sql.
CREATE TABLE admin_log_chunk (
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

CREATE TRIGGER admin_log_chunk_is_never_changed BEFORE UPDATE ON admin_log_chunk
BEGIN
    SELECT RAISE(ABORT, 'the admin log is never changed');
END;

CREATE TRIGGER admin_log_chunk_is_never_deleted BEFORE DELETE ON admin_log_chunk
BEGIN
    SELECT RAISE(ABORT, 'the admin log is never deleted from');
END;

CREATE TABLE admin_log_details (
    municipality_code TEXT NOT NULL,
    first_index       INTEGER NOT NULL,
    details           BLOB NOT NULL,
    PRIMARY KEY (municipality_code, first_index)
) STRICT;

CREATE TABLE admin_log_tile (
    municipality_code TEXT NOT NULL,
    level             INTEGER NOT NULL,
    tile_index        INTEGER NOT NULL,
    hashes            BLOB NOT NULL,
    PRIMARY KEY (municipality_code, level, tile_index)
) STRICT;

CREATE TABLE admin_log_head (
    municipality_code TEXT NOT NULL PRIMARY KEY,
    size              INTEGER NOT NULL,
    frontier          BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_log_checkpoint (
    municipality_code TEXT NOT NULL,
    size              INTEGER NOT NULL,
    root              BLOB NOT NULL,
    note              TEXT NOT NULL,
    signed_at         INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, size)
) STRICT;
