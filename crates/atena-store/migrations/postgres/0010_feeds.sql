-- Which changes each consumer can see. It is decided when a change is stored, so that a pull reads its
-- own changes only. A pull used to read the changes of the whole municipality and to leave out what it
-- may not show, so that its time depended on how many there were.
--
-- A feed is what one system may have of one dataset: paths of fields, separated by spaces. The first
-- pull opens it.
CREATE TABLE feed (
    municipality_code text COLLATE "C" NOT NULL,
    system_id         text COLLATE "C" NOT NULL,
    feed_number       bigint NOT NULL,
    dataset           text COLLATE "C" NOT NULL,
    field_names       text COLLATE "C" NOT NULL,
    -- The last change before it was opened: everything after it is in the feed.
    since_sequence    bigint NOT NULL,
    PRIMARY KEY (municipality_code, system_id, feed_number)
);

-- The changes of one commit that can be seen in a feed, a line for each: what is seen (+ a record
-- appears, = it changes, - it ends, L a person is linked), the unified address number and, for a
-- record, its number and a keyed digest of what was seen before. Nothing here leads to a person who
-- was erased.
CREATE TABLE feed_change (
    municipality_code text COLLATE "C" NOT NULL,
    feed_number       bigint NOT NULL,
    last_sequence     bigint NOT NULL,
    entries           text COLLATE "C" NOT NULL,
    PRIMARY KEY (municipality_code, feed_number, last_sequence)
);

-- A feed names a record by this number and not by the owner's key: the sequence of the first change
-- that was noted of it. 0 for a record that has not changed since before there were feeds.
ALTER TABLE record ADD COLUMN record_number bigint NOT NULL DEFAULT 0;

-- A cursor from before is older than every feed. Its consumer is sent all that it may have once more,
-- with tombstones of what ended.
DROP TABLE change_chunk;

-- As in 0008_plans.sql: no plan depends on what the tables held when they were last analysed. A table that
-- is distributed already does not take it.
DO $$
DECLARE
    a_column record;
    distributed regclass[] := '{}';
BEGIN
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT coalesce(array_agg(logicalrelid::regclass), ''{}'') FROM pg_dist_partition' INTO distributed;
    END IF;
    FOR a_column IN
        SELECT attrelid::regclass AS a_table, attname AS name FROM pg_attribute
        WHERE attrelid IN ('feed'::regclass, 'feed_change'::regclass, 'record'::regclass)
            AND attrelid <> ALL (distributed) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', a_column.a_table, a_column.name);
    END LOOP;
END
$$;
