//! What a migration may do where its tables are distributed by Citus, which is not at hand: a lint
//! of every statement.

use super::*;

/// The last migration that no distributed database still has to run.
const BEFORE_CITUS: i64 = 7;

/// What Citus takes on a distributed table, each as a query of its own (tried with 13.2.2).
const TAKEN: [&str; 14] = [
    "CREATE TABLE ",
    "CREATE INDEX ",
    "CREATE UNIQUE INDEX ",
    "CREATE FUNCTION ",
    "CREATE OR REPLACE FUNCTION ",
    "DROP INDEX ",
    "DROP TABLE ",
    "ALTER TABLE ",
    "ALTER INDEX ",
    "INSERT INTO ",
    "UPDATE ",
    "DELETE FROM ",
    "COMMENT ON ",
    "DO $$",
];

/// What it refuses on a distributed table, however it comes.
const REFUSED: [&str; 10] = [
    "SET STORAGE",
    "SET STATISTICS",
    "SERIAL",
    "GENERATED",
    "PRIMARY KEY",
    "UNIQUE (",
    "REFERENCES",
    " CHECK ",
    "TRIGGER",
    "TRUNCATE",
];

/// The statement without comments, in one line and in capitals.
fn plain(statement: &str) -> String {
    let lines = statement.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase()
}

/// Why a statement can't run where tables are distributed; `made` names the tables that its
/// migration made before it.
fn refusal(statement: &str, made: &[String]) -> Option<&'static str> {
    let statement = plain(statement);
    if !TAKEN.iter().any(|head| statement.starts_with(head)) && !statement.starts_with("CREATE TRIGGER ") {
        return Some("a kind of statement that was not tried");
    }
    if statement.starts_with("CREATE TABLE ") {
        let keyed = statement.contains("PRIMARY KEY (MUNICIPALITY_CODE")
            || statement.contains("MUNICIPALITY_CODE TEXT COLLATE \"C\" NOT NULL PRIMARY KEY");
        return (!keyed).then_some("a table without the municipality at the head of its key");
    }
    if statement.starts_with("CREATE UNIQUE INDEX ") && !statement.contains("(MUNICIPALITY_CODE") {
        return Some("a unique index without the municipality");
    }
    // A table of the same migration is not distributed yet.
    let about_new = made.iter().any(|table| statement.contains(table));
    let guarded = statement.starts_with("DO $$") && statement.contains("PG_DIST_PARTITION");
    let refused = !about_new && !guarded && REFUSED.iter().any(|words| statement.contains(words));
    refused.then_some("Citus refuses it on a distributed table")
}

fn made(statement: &str) -> Option<String> {
    let name = plain(statement).strip_prefix("CREATE TABLE ")?.split_whitespace().next()?.to_owned();
    Some(format!("{name} "))
}

#[test]
fn municipality_apart_migrations_can_run_on_distributed_tables() {
    for migration in MIGRATOR.iter().filter(|migration| migration.version > BEFORE_CITUS) {
        let mut new = Vec::new();
        for statement in statements(migration.sql.as_str()) {
            assert_eq!(refusal(statement, &new), None, "migration {}: {statement}", migration.version);
            new.extend(made(statement));
        }
    }
}

#[test]
fn the_lint_finds_what_citus_refuses() {
    for statement in [
        "ALTER TABLE record ALTER COLUMN sealed SET STORAGE EXTERNAL",
        "ALTER TABLE link ALTER COLUMN system_id SET STATISTICS 0",
        "ALTER TABLE link ADD COLUMN a bigserial",
        "ALTER TABLE link ADD COLUMN a bigint CHECK (a > 0)",
        "CREATE TABLE a (b text PRIMARY KEY)",
        "CREATE UNIQUE INDEX a ON link (local_address_number)",
        "CREATE TRIGGER a BEFORE UPDATE ON link EXECUTE FUNCTION f()",
        "TRUNCATE link",
        "VACUUM link",
        "DO $$ BEGIN ALTER TABLE link ALTER system_id SET STATISTICS 0; END $$",
    ] {
        assert!(refusal(statement, &[]).is_some(), "{statement}");
    }
    let new = ["A ".to_owned()];
    assert_eq!(refusal("ALTER TABLE a ALTER COLUMN sealed SET STORAGE EXTERNAL", &new), None);
    assert_eq!(refusal("ALTER TABLE link ADD COLUMN a bigint NOT NULL DEFAULT 0", &[]), None);
}

/// Databases that sqlx's own runner migrated go on: the checksums are those of the whole files.
#[test]
fn nothing_of_a_migration_is_lost_between_its_statements() {
    for migration in MIGRATOR.iter() {
        let whole = plain(migration.sql.as_str()).replace([' ', ';'], "");
        let parts: String = statements(migration.sql.as_str()).iter().map(|part| plain(part)).collect();
        assert_eq!(parts.replace([' ', ';'], ""), whole, "migration {}", migration.version);
    }
}
