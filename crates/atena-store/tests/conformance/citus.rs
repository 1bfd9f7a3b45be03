//! What a gateway does where Citus distributes its tables. Citus is not at hand: its catalogue and
//! its functions are played.

use atena_domain::MunicipalityCode;
use atena_store::{Store, StoreOptions};
use atena_test_cluster::Server;

use crate::Database;
use crate::upgrade::made_before;

/// The catalogue, and functions that note what is asked of them.
const CITUS: [&str; 4] = [
    "CREATE TABLE pg_dist_partition (logicalrelid regclass PRIMARY KEY, partmethod text NOT NULL DEFAULT 'h', truncated bigint NOT NULL DEFAULT 0)",
    "CREATE FUNCTION create_distributed_table(a_table regclass, a_column text, colocate_with text) RETURNS void LANGUAGE sql \
        AS 'INSERT INTO pg_dist_partition VALUES (a_table)'",
    "CREATE FUNCTION truncate_local_data_after_distributing_table(a_table regclass) RETURNS void LANGUAGE sql \
        AS 'UPDATE pg_dist_partition SET truncated = 1 WHERE logicalrelid = a_table'",
    "CREATE FUNCTION run_command_on_workers(command text) \
        RETURNS TABLE (nodename text, nodeport int, success bool, result text) LANGUAGE sql \
        AS $$SELECT 'one', 5432, true, 'fsync=on full_page_writes=on lock_timeout=10000 synchronous_commit=on' UNION ALL \
            SELECT 'two', 5432, false, 'connection refused'$$",
];

/// Distributes what is there.
const DISTRIBUTE: &str = "INSERT INTO pg_dist_partition SELECT pg_class.oid FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attname = 'municipality_code'";

async fn distributed_before() -> Database {
    let database = Database::postgres();
    made_before(&database).await;
    for statement in CITUS.into_iter().chain([DISTRIBUTE]) {
        database.change(statement).await.unwrap();
    }
    database
}

async fn refusal(database: &Database) -> String {
    let municipality = MunicipalityCode::parse("132098").unwrap();
    Store::open(&StoreOptions::new(database.url()), municipality).await.err().unwrap().to_string()
}

/// municipality-apart: a table that a migration makes is distributed like the others, and its old
/// rows leave the coordinator.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_distribute_what_they_make() {
    let database = distributed_before().await;
    let store = database.open("132098").await;
    assert_eq!(store.last_change_sequence().await.unwrap(), 5);
    const LOCAL: &str = "SELECT count(*) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attname = 'municipality_code' \
        AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = pg_class.oid)";
    assert_eq!(database.count(LOCAL).await, 0);
    const TRUNCATED: &str = "SELECT count(*) FROM pg_dist_partition WHERE truncated = 1 \
        AND logicalrelid = 'record_history'::regclass";
    assert_eq!(database.count(TRUNCATED).await, 1, "a table that was made with rows in it");
    const TARGETS: &str = "SELECT count(*) FROM pg_attribute JOIN pg_dist_partition ON attrelid = logicalrelid \
        WHERE attnum > 0 AND attstattarget = 0 AND logicalrelid NOT IN ( \
            'feed'::regclass, 'feed_change'::regclass, 'feed_day'::regclass)";
    assert_eq!(database.count(TARGETS).await, 0, "Citus refuses SET STATISTICS on a table that is distributed already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_not_distributed_is_named_at_the_start() {
    let database = distributed_before().await;
    database.open("132098").await.close().await;
    database.change("DELETE FROM pg_dist_partition WHERE logicalrelid = 'log_key'::regclass").await.unwrap();
    let refused = refusal(&database).await;
    assert!(refused.contains("create_distributed_table('log_key', 'municipality_code'"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_bookkeeping_is_refused() {
    let database = Database::postgres();
    database.open("132098").await.close().await;
    database.change("DROP TABLE _sqlx_migrations").await.unwrap();
    let refused = refusal(&database).await;
    assert!(refused.contains("create_reference_table('_sqlx_migrations')"), "{refused}");
    const STRAY: &str = "SELECT count(*) FROM pg_class WHERE relname = '_sqlx_migrations'";
    assert_eq!(database.count(STRAY).await, 0, "nothing is made where it does not belong");
}

/// acknowledged-is-durable, on every worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_keep_what_it_commits_is_refused() {
    let database = distributed_before().await;
    const OFF: &str = "CREATE OR REPLACE FUNCTION run_command_on_workers(command text) \
        RETURNS TABLE (nodename text, nodeport int, success bool, result text) LANGUAGE sql \
        AS $$SELECT 'two', 5433, true, 'fsync=on full_page_writes=on lock_timeout=0 synchronous_commit=off'$$";
    database.change(OFF).await.unwrap();
    let refused = refusal(&database).await;
    assert!(refused.contains("synchronous_commit is off on the Citus worker two:5433"), "{refused}");
}

/// The coordinator answers, so there is no better connection to be had: one would be made and
/// thrown away for each try.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_is_no_reason_to_leave_the_coordinator() {
    let database = Database::postgres();
    let store = database.open("132098").await;
    assert_eq!(store.log_size().await.unwrap(), 0);
    const SESSIONS: &str =
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'atena' AND datname = current_database()";
    let before = Server::sql(database.url(), SESSIONS);
    assert!(!before.is_empty());
    for statement in [
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION lost_worker() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN \
            IF nextval('tries') < 5 THEN RAISE EXCEPTION 'connection to the remote node failed' USING ERRCODE = '08006'; END IF; \
            RETURN 0; END$$",
        "ALTER TABLE log_head RENAME TO shard",
        "CREATE VIEW log_head AS SELECT municipality_code, size + lost_worker() AS size, frontier FROM shard",
    ] {
        database.change(statement).await.unwrap();
    }
    assert_eq!(store.log_size().await.unwrap(), 0, "the worker came back");
    assert_eq!(database.count("SELECT last_value FROM tries").await, 5);
    let after = Server::sql(database.url(), SESSIONS);
    assert!(before.lines().all(|session| after.lines().any(|left| left == session)), "{before} was left for {after}");
}
