-- How many people were erased: whoever looked people up before their turn sees in it whether one of them may be gone.
ALTER TABLE change_sequence ADD COLUMN erasures INTEGER NOT NULL DEFAULT 0;
