//! municipality-apart, down to the plan: the schema can be distributed by municipality, and no
//! statement reads rows of another municipality.
//!
//! The schema is made with every table partitioned by municipality. PostgreSQL refuses that if a
//! key or a unique index lacks the column, as a distributed PostgreSQL would. Then every statement
//! of the store is planned there for one municipality. A plan that touches another partition
//! belongs to a statement that does not bind the column.

use std::collections::BTreeSet;
use std::path::Path;

use atena_test_cluster::Server;

use crate::statements::{self, plans};

const DISTRIBUTE: &str = include_str!("../../../../deploy/citus/distribute.sql");

/// All migrations, one after the other.
pub(crate) fn schema() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// The tables of the schema.
fn tables(schema: &str) -> BTreeSet<&str> {
    let mut tables = BTreeSet::new();
    for line in schema.lines() {
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
fn partitioned(schema: &str) -> String {
    let mut partitioned = String::new();
    let mut inside = false;
    for line in schema.lines() {
        inside |= line.starts_with("CREATE TABLE ");
        if inside && line == ");" {
            inside = false;
            partitioned.push_str(") PARTITION BY LIST (municipality_code);\n");
        } else if !line.starts_with("ALTER TABLE") || line.contains("ADD COLUMN") || renamed(line).is_some() {
            partitioned.push_str(line);
            partitioned.push('\n');
        }
    }
    for table in tables(schema) {
        partitioned.push_str(&format!(
            "CREATE TABLE {table}_here PARTITION OF {table} FOR VALUES IN ('132098');\n\
             CREATE TABLE {table}_elsewhere PARTITION OF {table} DEFAULT;\n"
        ));
    }
    partitioned
}

/// Whether a text has this word.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).any(|other| other == word)
}

#[test]
fn no_key_and_no_statement_lacks_the_municipality() {
    let schema = schema();
    let tables = tables(&schema);
    for table in &tables {
        let distributed = format!("create_distributed_table('{table}', 'municipality_code'");
        assert!(DISTRIBUTE.contains(&distributed), "deploy/citus leaves out {table}");
    }
    let all = statements::all();
    let mut texts: Vec<_> = all.iter().map(|statement| statement.text).collect();
    let untouched: Vec<_> = tables.iter().filter(|table| !texts.iter().any(|text| has_word(text, table))).collect();
    assert!(untouched.is_empty(), "no statement is about {untouched:?}");

    let database = Server::shared().new_database();
    Server::script(&database, &format!("BEGIN;\n{}COMMIT;\n", partitioned(&schema)));
    // The last one proves that the test can fail.
    texts.push("SELECT count(*) FROM record WHERE dataset <> $1");
    let mut plans = plans(&database, "", &texts, "132098");
    let without = plans.pop().unwrap();
    assert!(without.contains("record_elsewhere"), "{without}");
    for (statement, plan) in all.iter().zip(&plans) {
        assert!(!plan.is_empty(), "{}", statement.name);
        assert!(!plan.contains("_elsewhere"), "{} reaches other municipalities:\n{plan}", statement.name);
    }
}
