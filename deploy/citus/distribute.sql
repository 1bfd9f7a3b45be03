-- Distributes Atena's tables by municipality on Citus (https://www.citusdata.com/), once, as the owner of the tables:
--
--   1. CREATE EXTENSION citus; on the coordinator and every worker, then citus_add_node for each worker;
--   2. as a superuser, the settings below: "Before";
--   3. start one gateway once, so that the tables are there, and stop it. `atena log fsck` makes them too; on a database that is
--      meant for a restore it ends with 2, because the checkpoint files know a longer log. The tables are made all the same;
--   4. psql -v ON_ERROR_STOP=1 -f distribute.sql
--   5. restore, if this database is meant for that: in an empty database before step 4, or after it.
--
-- Every table has its municipality first in every key, all of them are colocated, and every statement of the gateway names its
-- municipality: each call is the work of one worker. Later versions distribute the tables that they add by themselves.
--
-- Tried by hand on Citus 13.2.2 with PostgreSQL 15 (docs/operations.md, "Several municipalities"). The tests ask a plain
-- PostgreSQL: it takes the schema partitioned by municipality, the plan of every statement stays in one partition, and no
-- migration does what Citus refuses (atena-store: tests/conformance/distribution.rs, engine/migrations/tests.rs).
--
-- Before, on the coordinator as a superuser. Citus sends both to the workers. A gateway sets these for its own sessions; the
-- coordinator's sessions on the workers have those of the role. Without them a worker waits without end for a lock:
--
--   ALTER ROLE atena IN DATABASE atena SET lock_timeout = '10s';
--   ALTER ROLE atena IN DATABASE atena SET idle_in_transaction_session_timeout = '30s';
--   ALTER ROLE atena IN DATABASE atena SET tcp_keepalives_idle = '10';
--   ALTER ROLE atena IN DATABASE atena SET tcp_keepalives_interval = '5';
--   ALTER ROLE atena IN DATABASE atena SET tcp_keepalives_count = '3';
--   ALTER ROLE atena IN DATABASE atena SET default_transaction_isolation = 'read committed';
--   ALTER ROLE atena IN DATABASE atena SET enable_seqscan = off;
--   ALTER ROLE atena IN DATABASE atena SET enable_hashjoin = off;
--   ALTER ROLE atena IN DATABASE atena SET enable_mergejoin = off;
--   ALTER ROLE atena IN DATABASE atena SET enable_bitmapscan = off;
--   ALTER ROLE atena IN DATABASE atena SET jit = off;
--
-- On every node, in postgresql.conf. The default lets a node speak to another one whose certificate it never looked at. A
-- transaction that a lost worker left in doubt keeps its municipality waiting until it is recovered, by default a minute:
--
--   citus.node_conninfo = 'sslmode=verify-full sslrootcert=/path/of/ca.crt'
--   citus.recover_2pc_interval = '5s'
--
-- Tables that were distributed by a version without migration 0008 still have statistics, by which a municipality that came
-- later can be slow. The migration makes the indexes anew there, which is enough on plain PostgreSQL; this, which was not tried,
-- makes plans independent of ANALYZE as well:
--
--   SELECT run_command_on_shards(logicalrelid, $$ALTER TABLE %s ALTER COLUMN municipality_code SET STATISTICS 0$$)
--   FROM pg_dist_partition WHERE partmethod = 'h';

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
SELECT create_distributed_table('feed_day', 'municipality_code', colocate_with => 'person');
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

-- The rows were copied to the workers. Those that stay on the coordinator would not be seen any more, but be there: a wrapped
-- key among them could not be erased. The triggers that keep the logs from being emptied rest for this one statement.
ALTER TABLE log_chunk DISABLE TRIGGER log_chunk_is_never_emptied;
ALTER TABLE admin_log_chunk DISABLE TRIGGER admin_log_chunk_is_never_emptied;
SELECT truncate_local_data_after_distributing_table(logicalrelid) FROM pg_dist_partition WHERE partmethod = 'h';
ALTER TABLE log_chunk ENABLE TRIGGER log_chunk_is_never_emptied;
ALTER TABLE admin_log_chunk ENABLE TRIGGER admin_log_chunk_is_never_emptied;

COMMIT;

-- Which migrations were run is known on every node: a gateway may ask a worker as well.
SELECT create_reference_table('_sqlx_migrations');
