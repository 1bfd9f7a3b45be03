-- A feed says which records changed, and no more what its reader had of them. Entries held a digest of
-- that, also of what was erased since. A consumer that goes on gets everything once more.
DELETE FROM feed_change;
DELETE FROM feed;

-- The last change of each day on which a gateway ran, in days since 1970: entries of feeds are kept for
-- some days only.
CREATE TABLE feed_day (
    municipality_code TEXT NOT NULL,
    day               INTEGER NOT NULL,
    last_sequence     INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, day)
) STRICT, WITHOUT ROWID;
