-- Rows of personal numbers in the order in which they came, found by an index that is a quarter of them. A blind index is at a random place, so
-- nearly every new person changes a page of what is ordered by it.
CREATE TABLE personal_number_in_order (
    municipality_code      TEXT NOT NULL,
    blind_index            BLOB NOT NULL CHECK (length(blind_index) = 32),
    unified_address_number TEXT NOT NULL,
    sequence               INTEGER NOT NULL,
    sealed                 BLOB NOT NULL,
    effective_date         TEXT,
    superseded_at          INTEGER NOT NULL DEFAULT 0,
    index_version          INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (municipality_code, blind_index)
) STRICT;

INSERT INTO personal_number_in_order
SELECT municipality_code, blind_index, unified_address_number, sequence, sealed, effective_date, superseded_at, index_version
FROM personal_number
ORDER BY municipality_code, unified_address_number, superseded_at;

DROP TABLE personal_number;
ALTER TABLE personal_number_in_order RENAME TO personal_number;
CREATE UNIQUE INDEX personal_number_current ON personal_number (municipality_code, unified_address_number, superseded_at);
