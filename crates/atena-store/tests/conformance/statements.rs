//! Every statement that the store sends to PostgreSQL, and how the server plans it.

use atena_test_cluster::Server;

const STATEMENTS: &str = include_str!("../../statements/postgres.sql");

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

/// The statements, but for the one that is about every municipality: `atena migrate` moves a whole
/// database and asks for it once.
pub(crate) fn all() -> Vec<Statement> {
    let named = |text: &'static str| {
        let (name, text) = text.split_once('\n').unwrap();
        Statement { name, text: text.trim().trim_end_matches(';') }
    };
    let all = STATEMENTS.split("\n\n-- ").skip(1).map(named);
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
