//! Every statement that the store sends to PostgreSQL, and how the server plans it.

use atena_test_cluster::Server;
use sqlx::{Connection as _, Row as _};

use crate::Database;

/// Stands before each plan in psql's output.
const MARK: &str = "NEXT PLAN";

/// Plans a statement (`STATEMENT`) for a municipality (`CODE`), whatever its other parameters are.
const PLAN: &str = r"
PREPARE planned AS STATEMENT;
SELECT 'EXPLAIN (COSTS OFF) EXECUTE planned(' || string_agg(CASE
    WHEN place = 1 THEN quote_literal('CODE')
    WHEN kind LIKE '%[]' THEN quote_literal('{1,2}')
    WHEN kind = 'text' THEN quote_literal('x')
    WHEN kind = 'bytea' THEN quote_literal('1')
    ELSE '1' END, ', ' ORDER BY place) || ')'
FROM pg_prepared_statements,
    unnest(parameter_types::text[]) WITH ORDINALITY AS parameters (kind, place)
WHERE name = 'planned' \gexec
DEALLOCATE planned;
";

/// A statement with its name.
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

/// The statements for PostgreSQL.
pub(crate) fn all() -> Vec<Statement> {
    of_file(include_str!("../../statements/postgres.sql"))
}

/// The statements of a file, but for the one that is about every municipality: `atena migrate` moves
/// a whole database and asks for it once.
fn of_file(file: &'static str) -> Vec<Statement> {
    let named = |text: &'static str| {
        let (name, text) = text.split_once('\n').unwrap();
        Statement { name, text: text.trim().trim_end_matches(';') }
    };
    let all = file.split("\n\n-- ").skip(1).map(named);
    all.filter(|statement| statement.name != "db.municipalities").collect()
}

/// The plan of each statement. `settings` are those of the session.
pub(crate) fn plans(database: &str, settings: &str, statements: &[&str], code: &str) -> Vec<String> {
    let mut script = settings.to_owned();
    for statement in statements {
        script.push_str(&format!("\\echo {MARK}\n"));
        script.push_str(&PLAN.replace("STATEMENT", statement).replace("CODE", code));
    }
    let planned = Server::script(database, &script);
    let plans: Vec<_> = planned.split(MARK).skip(1).map(str::to_owned).collect();
    assert_eq!(plans.len(), statements.len());
    plans
}

/// What SQLite scans that is no table: rows to insert, values of a list, and subqueries.
const NO_TABLES: [&str; 6] = ["CONSTANT", "new", "json_each", "listed", "page", "newest"];

/// SQLite takes every statement of its file as it stands there, and reads no table from end to end.
#[tokio::test]
async fn every_statement_of_sqlite_reads_an_index() {
    let database = Database::sqlite();
    database.open("132098").await.close().await;
    let mut connection = sqlx::SqliteConnection::connect(database.url()).await.unwrap();
    for Statement { name, text } in of_file(include_str!("../../statements/sqlite.sql")) {
        let plan = format!("EXPLAIN QUERY PLAN {text}");
        let plan = sqlx::query(sqlx::AssertSqlSafe(plan)).fetch_all(&mut connection).await.unwrap();
        for row in plan {
            let step: String = row.get(3);
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            assert!(scanned.is_none_or(|scanned| NO_TABLES.contains(&scanned)), "{name}: {step}");
        }
    }
}
