-- Changes in the order of their sequences, those of one commit in one row: what incremental pulls follow. An entry says whom a change was about
-- and in which dataset (R) or system (L, a new link), and nothing by which an erased person could be found again. Before, every record and
-- every link had a place in an index of its own, which each change moved.
CREATE TABLE change_chunk (
    municipality_code text COLLATE "C" NOT NULL,
    last_sequence     bigint NOT NULL,
    first_sequence    bigint NOT NULL,
    -- A line for each sequence from the first to the last: R or L, dataset or system, a space, the unified address number.
    entries           text NOT NULL,
    PRIMARY KEY (municipality_code, last_sequence)
);

INSERT INTO change_chunk (municipality_code, last_sequence, first_sequence, entries)
SELECT municipality_code, change_sequence, change_sequence, 'R' || dataset || ' ' || unified_address_number FROM record
UNION ALL
SELECT municipality_code, change_sequence, change_sequence, 'L' || system_id || ' ' || unified_address_number FROM link;

DROP INDEX record_by_change;
DROP INDEX link_by_change;

-- A former revision is found by the change that superseded it, so that it is written at the end and nowhere else: the newest revision leads to
-- the one before it, and that to the one before, by their own change sequences.
CREATE TABLE former_record (
    municipality_code      text COLLATE "C" NOT NULL,
    superseded_by          bigint NOT NULL,
    dataset                text COLLATE "C" NOT NULL,
    record_key             text COLLATE "C" NOT NULL,
    revision               bigint NOT NULL,
    unified_address_number text COLLATE "C" NOT NULL,
    change_sequence        bigint NOT NULL,
    deleted                bigint NOT NULL,
    sealed                 bytea NOT NULL,
    content_mac            bytea NOT NULL,
    stored_at              bigint NOT NULL,
    PRIMARY KEY (municipality_code, superseded_by)
);

INSERT INTO former_record
SELECT former.municipality_code,
    coalesce(
        (SELECT min(later.change_sequence) FROM record_history AS later
            WHERE later.municipality_code = former.municipality_code AND later.dataset = former.dataset
            AND later.record_key = former.record_key AND later.change_sequence > former.change_sequence),
        (SELECT newest.change_sequence FROM record AS newest
            WHERE newest.municipality_code = former.municipality_code AND newest.dataset = former.dataset
            AND newest.record_key = former.record_key)),
    former.dataset, former.record_key, former.revision, former.unified_address_number, former.change_sequence, former.deleted,
    former.sealed, former.content_mac, former.stored_at
FROM record_history AS former;

DROP TABLE record_history;
ALTER TABLE former_record RENAME TO record_history;
