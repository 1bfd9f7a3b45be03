-- Ciphertexts and hashes don't get smaller by compression: trying it for every chunk of the log took longer than writing it.
ALTER TABLE log_chunk ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE log_chunk ALTER COLUMN leaves SET STORAGE EXTERNAL;
ALTER TABLE log_details ALTER COLUMN details SET STORAGE EXTERNAL;
ALTER TABLE record ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE record_history ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE person_view ALTER COLUMN sealed SET STORAGE EXTERNAL;
