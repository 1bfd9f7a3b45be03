-- What those did who run the system (管理操作の記録): a second log of the same make as the tables log_*, see 0001_schema.sql.
CREATE TABLE admin_log_chunk (
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

CREATE FUNCTION refuse_change_of_admin_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the admin log is never changed and never deleted from';
END
$$;

CREATE TRIGGER admin_log_chunk_is_never_changed BEFORE UPDATE OR DELETE ON admin_log_chunk
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_admin_log();

CREATE TRIGGER admin_log_chunk_is_never_emptied BEFORE TRUNCATE ON admin_log_chunk
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_admin_log();

CREATE TABLE admin_log_details (
    municipality_code text COLLATE "C" NOT NULL,
    first_index       bigint NOT NULL,
    details           bytea NOT NULL,
    PRIMARY KEY (municipality_code, first_index)
);

CREATE TABLE admin_log_tile (
    municipality_code text COLLATE "C" NOT NULL,
    level             bigint NOT NULL,
    tile_index        bigint NOT NULL,
    hashes            bytea NOT NULL,
    PRIMARY KEY (municipality_code, level, tile_index)
);

CREATE TABLE admin_log_head (
    municipality_code text COLLATE "C" NOT NULL PRIMARY KEY,
    size              bigint NOT NULL,
    frontier          bytea NOT NULL
);

CREATE TABLE admin_log_checkpoint (
    municipality_code text COLLATE "C" NOT NULL,
    size              bigint NOT NULL,
    root              bytea NOT NULL,
    note              text NOT NULL,
    signed_at         bigint NOT NULL,
    PRIMARY KEY (municipality_code, size)
);
