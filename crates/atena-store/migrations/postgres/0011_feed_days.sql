-- A feed says which records changed, and no more what its reader had of them. Entries held a digest of
-- that, also of what was erased since. A consumer that goes on gets everything once more.
DELETE FROM feed_change;
DELETE FROM feed;

-- The last change of each day on which a gateway ran, in days since 1970: entries of feeds are kept for
-- some days only.
CREATE TABLE feed_day (
    municipality_code text COLLATE "C" NOT NULL,
    day               bigint NOT NULL,
    last_sequence     bigint NOT NULL,
    PRIMARY KEY (municipality_code, day)
);

-- As in 0008_plans.sql: no plan depends on what the table held when it was last analysed.
ALTER TABLE feed_day ALTER COLUMN municipality_code SET STATISTICS 0;
ALTER TABLE feed_day ALTER COLUMN day SET STATISTICS 0;
ALTER TABLE feed_day ALTER COLUMN last_sequence SET STATISTICS 0;
