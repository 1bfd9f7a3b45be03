-- Which keys new rows are made with, and which have to be asked for old ones. Read in the transaction that writes, so that no gateway goes on
-- with older keys than the others. No row: the first keys, as at the beginning.
CREATE TABLE key_state (
    municipality_code text COLLATE "C" NOT NULL PRIMARY KEY,
    wrapping_id       text COLLATE "C" NOT NULL,
    -- Versions of the blind index, oldest first, with commas between; new ones are made with the last.
    index_versions    text COLLATE "C" NOT NULL
);

-- Under which version of the key a blind index was made.
ALTER TABLE personal_number ADD COLUMN index_version bigint NOT NULL DEFAULT 1;
