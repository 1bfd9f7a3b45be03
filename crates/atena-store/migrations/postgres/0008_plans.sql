-- No plan depends on what the tables held when they were last analysed. With statistics, a municipality or a system that
-- came later than ANALYZE seemed to have no rows: an index that is bound by the municipality alone looked as good as the
-- key, and each value looked up read every row of the municipality. The planner now knows the size of a table only.
--
-- Statistics that are there already go with a change of the type into the same type, which rewrites nothing. An owner has
-- no other way. Where a view of yours holds a column, they stay, and a warning names the table. On Citus, see
-- deploy/citus/distribute.sql: a table that is distributed takes neither of the two.
DO $$
DECLARE
    a_table record;
    a_column record;
    distributed regclass[] := '{}';
BEGIN
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT coalesce(array_agg(logicalrelid::regclass), ''{}'') FROM pg_dist_partition' INTO distributed;
    END IF;
    FOR a_table IN
        SELECT pg_class.oid::regclass AS name FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attname = 'municipality_code'
            AND NOT attisdropped AND pg_class.oid <> ALL (distributed) ORDER BY pg_class.oid
    LOOP
        FOR a_column IN
            SELECT attname AS name, format_type(atttypid, atttypmod) AS type,
                coalesce(' COLLATE ' || quote_ident(collname), '') AS collation,
                EXISTS (SELECT FROM pg_stats WHERE pg_stats.attname = pg_attribute.attname
                    AND format('%I.%I', schemaname, tablename)::regclass = a_table.name) AS analysed
            FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
            WHERE attrelid = a_table.name AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        LOOP
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', a_table.name, a_column.name);
            IF a_column.analysed THEN
                BEGIN
                    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s%s',
                        a_table.name, a_column.name, a_column.type, a_column.collation);
                EXCEPTION WHEN feature_not_supported OR dependent_objects_still_exist THEN
                    RAISE WARNING 'statistics of %.% stay: %', a_table.name, a_column.name, SQLERRM;
                END;
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- In a small table all indexes cost the same, and a plan that is prepared then is kept while the table grows. An index with
-- such a condition, which is always true, serves only statements that bind its column: there is nothing left to choose.
DROP INDEX personal_number_current;
CREATE UNIQUE INDEX personal_number_current ON personal_number (municipality_code, unified_address_number, superseded_at)
    WHERE unified_address_number IS NOT NULL;
DROP INDEX link_of_person;
CREATE UNIQUE INDEX link_of_person ON link (municipality_code, unified_address_number, system_id)
    WHERE unified_address_number IS NOT NULL;
DROP INDEX record_by_key;
CREATE UNIQUE INDEX record_by_key ON record (municipality_code, dataset, record_key) WHERE record_key IS NOT NULL;
DROP INDEX log_chunk_by_time;
CREATE INDEX log_chunk_by_time ON log_chunk (municipality_code, requested_max, requested_min) WHERE requested_max IS NOT NULL;
DROP INDEX log_chunk_by_id;
CREATE INDEX log_chunk_by_id ON log_chunk (municipality_code, transfer_id_max, transfer_id_min)
    WHERE transfer_id_max IS NOT NULL;
