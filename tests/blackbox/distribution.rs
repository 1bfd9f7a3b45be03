//! municipality-apart, down to the plan: the schema can be distributed by municipality, and no statement reaches another one's rows.
//!
//! The schema is made once more with every table partitioned by municipality, which PostgreSQL refuses if a key or a unique index lacks
//! that column, as a distributed PostgreSQL would. Then every statement that the other tests made the gateways send is planned there for
//! one municipality: a plan that touches another partition is a statement without the column.

use std::collections::BTreeSet;
use std::process::Command;

use atena_test_cluster::{Cluster, URL_VARIABLE};

const SCHEMA: &str = concat!(
    include_str!("../../crates/atena-store/migrations/postgres/0001_schema.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0002_key_state.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0003_changes.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0005_log_key.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0006_admin_log.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0007_erasures.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0008_plans.sql"),
    include_str!("../../crates/atena-store/migrations/postgres/0010_feeds.sql"),
);

const DISTRIBUTE: &str = include_str!("../../deploy/citus/distribute.sql");

/// The one statement that is about every municipality: `atena migrate`, which moves a whole database, asks for it once.
const ABOUT_ALL: &str = "SELECT municipality_code FROM log_head ORDER BY municipality_code";

/// How the statements begin with which a migration moves rows into new tables: once, before anything is distributed.
const MIGRATES: [&str; 2] = [
    "INSERT INTO change_chunk (municipality_code, last_sequence, first_sequence, entries) SELECT ",
    "INSERT INTO former_record ",
];

/// The tables of the schema.
fn tables() -> BTreeSet<&'static str> {
    let mut tables = BTreeSet::new();
    for line in SCHEMA.lines() {
        if let Some(made) = line.strip_prefix("CREATE TABLE ").and_then(|line| line.strip_suffix(" (")) {
            tables.insert(made);
        } else if let Some(dropped) = line.strip_prefix("DROP TABLE ").and_then(|line| line.strip_suffix(';')) {
            tables.remove(dropped);
        } else if let Some((before, now)) = renamed(line) {
            tables.remove(before);
            tables.insert(now);
        }
    }
    tables
}

/// What a table was called, and is called from there on.
fn renamed(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("ALTER TABLE ")?.strip_suffix(';')?.split_once(" RENAME TO ")
}

/// The schema with every table in two partitions: one municipality, and all others.
fn partitioned() -> String {
    let mut schema = String::new();
    let mut inside = false;
    for line in SCHEMA.lines() {
        inside |= line.starts_with("CREATE TABLE ");
        if inside && line == ");" {
            inside = false;
            schema.push_str(") PARTITION BY LIST (municipality_code);\n");
        } else if !line.starts_with("ALTER TABLE") || line.contains("ADD COLUMN") || renamed(line).is_some() {
            schema.push_str(line);
            schema.push('\n');
        }
    }
    for table in tables() {
        schema.push_str(&format!(
            "CREATE TABLE {table}_here PARTITION OF {table} FOR VALUES IN ('132098');\n\
             CREATE TABLE {table}_elsewhere PARTITION OF {table} DEFAULT;\n"
        ));
    }
    schema
}

/// Plans a statement for a municipality, whatever its other parameters are.
pub(crate) fn plan(number: usize, statement: &str, municipality: &str) -> String {
    format!(
        "PREPARE s{number} AS {statement};\n\
         SELECT 'EXPLAIN (COSTS OFF) EXECUTE s{number}(' || string_agg(CASE WHEN place = 1 THEN '''{municipality}''' \
             WHEN kind LIKE '%[]' THEN '''{{}}''' WHEN kind = 'text' THEN '''x''' WHEN kind = 'bytea' THEN '''\\x00''' ELSE '1' END, ', ' \
             ORDER BY place) || ')' \
         FROM pg_prepared_statements, unnest(parameter_types::text[]) WITH ORDINALITY AS parameters (kind, place) \
         WHERE name = 's{number}' \\gexec\n"
    )
}

#[test]
fn no_key_and_no_statement_lacks_the_municipality() {
    let cluster = Cluster::start(&["pg_stat_statements.track=top", "pg_stat_statements.track_utility=off"]);
    cluster.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    let suite = Command::new(std::env::current_exe().unwrap())
        .args(["--skip", "distribution::", "--skip", "fleet::", "--quiet"])
        .env(URL_VARIABLE, cluster.url("postgres"))
        .output()
        .unwrap();
    assert!(suite.status.success(), "{}", String::from_utf8_lossy(&suite.stdout));

    let tables = tables();
    for table in &tables {
        let distributed = format!("create_distributed_table('{table}', 'municipality_code'");
        assert!(DISTRIBUTE.contains(&distributed), "deploy/citus leaves out {table}");
    }
    let seen = cluster.sql(
        "postgres",
        "SELECT DISTINCT regexp_replace(query, '\\s+', ' ', 'g') FROM pg_stat_statements JOIN pg_database ON oid = dbid \
         WHERE datname LIKE 'atena_test%' AND query ~ '^(SELECT|INSERT|UPDATE|DELETE|WITH)' AND query !~ '_sqlx_migrations|pg_'",
    );
    let touches = |statement: &str, table: &str| {
        statement.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).any(|word| word == table)
    };
    let migrates = |line: &str| MIGRATES.iter().any(|head| line.starts_with(head));
    let ours = |line: &&str| *line != ABOUT_ALL && !migrates(line) && tables.iter().any(|table| touches(line, table));
    let statements: Vec<&str> = seen.lines().filter(ours).collect();
    let untouched: Vec<_> =
        tables.iter().filter(|table| !statements.iter().any(|statement| touches(statement, table))).collect();
    assert!(untouched.is_empty(), "no test touched {untouched:?}");

    cluster.sql("postgres", "CREATE DATABASE sharded");
    cluster.script("sharded", &partitioned());
    for (number, statement) in statements.iter().enumerate() {
        let planned = cluster.script("sharded", &plan(number, statement, "132098"));
        assert!(!planned.is_empty(), "{statement}");
        assert!(!planned.contains("_elsewhere"), "reaches other municipalities: {statement}\n{planned}");
    }
    // The proof can fail.
    let without = cluster.script("sharded", &plan(0, "SELECT count(*) FROM record WHERE dataset <> $1", "132098"));
    assert!(without.contains("record_elsewhere"), "{without}");

    // In an empty database a join of records still ties with a worse index. Until that is mended, this is asked for by name.
    if std::env::var_os("ATENA_TEST_PLANS").is_some() {
        crate::plans::check(&cluster, SCHEMA, &statements);
    }
}
