-- Which changes each consumer can see. It is decided when a change is stored, so that a pull reads its
-- own changes only. A pull used to read the changes of the whole municipality and to leave out what it
-- may not show, so that its time depended on how many there were.
--
-- A feed is what one system may have of one dataset: paths of fields, separated by spaces. The first
-- pull opens it.
CREATE TABLE feed (
    municipality_code TEXT NOT NULL,
    system_id         TEXT NOT NULL,
    feed_number       INTEGER NOT NULL,
    dataset           TEXT NOT NULL,
    field_names       TEXT NOT NULL,
    -- The last change before it was opened: everything after it is in the feed.
    since_sequence    INTEGER NOT NULL,
    PRIMARY KEY (municipality_code, system_id, feed_number)
) STRICT, WITHOUT ROWID;

-- The changes of one commit that can be seen in a feed, a line for each: what is seen (+ a record
-- appears, = it changes, - it ends, L a person is linked), the unified address number and, for a
-- record, its number and a keyed digest of what was seen before. Nothing here leads to a person who
-- was erased.
CREATE TABLE feed_change (
    municipality_code TEXT NOT NULL,
    feed_number       INTEGER NOT NULL,
    last_sequence     INTEGER NOT NULL,
    entries           TEXT NOT NULL,
    PRIMARY KEY (municipality_code, feed_number, last_sequence)
) STRICT, WITHOUT ROWID;

-- A feed names a record by this number and not by the owner's key: the sequence of the first change
-- that was noted of it. 0 for a record that has not changed since before there were feeds.
ALTER TABLE record ADD COLUMN record_number INTEGER NOT NULL DEFAULT 0;

-- A cursor from before is older than every feed. Its consumer is sent all that it may have once more,
-- with tombstones of what ended.
DROP TABLE change_chunk;
