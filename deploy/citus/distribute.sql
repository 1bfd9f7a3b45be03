-- Distributes Atena's tables by municipality on Citus (https://www.citusdata.com/), once, in a new database:
--
--   1. CREATE EXTENSION citus; on the coordinator and every worker, then citus_add_node for each worker;
--   2. start one gateway once, so that the tables are there, and stop it (or `atena log fsck`, which does the same);
--   3. psql -v ON_ERROR_STOP=1 -f distribute.sql
--
-- Every table has its municipality first in every key, all of them are colocated, and every statement of the gateway names its
-- municipality: each call is the work of one worker. What is tested: that PostgreSQL takes the schema partitioned by municipality (it
-- refuses it where a key lacks the column), and that the plan of every statement stays in one partition
-- (tests/blackbox/distribution.rs). What is not: a Citus cluster itself, which Debian does not package.

BEGIN;

-- The trigger that keeps the transfer log from being changed only looks at the row before it: safe on a worker.
SET LOCAL citus.enable_unsafe_triggers = on;

SELECT create_distributed_table('person', 'municipality_code');
SELECT create_distributed_table('person_key', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('number_sequence', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('personal_number', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('key_state', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('link', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('person_view', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('review_case', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('change_sequence', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('record', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('feed', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('feed_change', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('record_history', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_chunk', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_details', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_retention', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_tile', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_head', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_checkpoint', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_person', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_index_head', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('log_key', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('admin_log_chunk', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('admin_log_details', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('admin_log_tile', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('admin_log_head', 'municipality_code', colocate_with => 'person');
SELECT create_distributed_table('admin_log_checkpoint', 'municipality_code', colocate_with => 'person');

COMMIT;
