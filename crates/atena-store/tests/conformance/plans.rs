//! Every statement finds its rows by the best index, whatever was in the tables when they were last
//! analysed.

use std::collections::BTreeMap;

use atena_test_cluster::Server;

use crate::distribution::schema;
use crate::statements::{self, plans};

/// Rows of each municipality at the time of ANALYZE. In a small table every index costs the same.
const SIZES: [&[(&str, u32)]; 4] =
    [&[], &[("132098", 90)], &[("132098", 2000)], &[("132098", 300), ("131016", 5000), ("271004", 2)]];

/// Municipalities that statements are planned for: one that may be there, and one that comes later.
const PLANNED_FOR: [&str; 2] = ["132098", "401307"];

/// What a gateway asks of its sessions.
const SESSION: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET enable_bitmapscan = off; SET jit = off;\n";

/// Fills every table with rows of a municipality (`ROWS`, `CODE`). Keys differ from row to row;
/// other columns have few values.
const FILL: &str = r"
SELECT format('INSERT INTO %I SELECT %s FROM generate_series(1, ROWS) AS i ON CONFLICT DO NOTHING',
    relname, string_agg(CASE
        WHEN attname = 'municipality_code' THEN quote_literal('CODE')
        WHEN attname IN ('system_id', 'dataset', 'kind', 'kek_id') THEN quote_literal('same')
        WHEN attname IN ('level', 'deleted', 'protected', 'superseded_at') THEN '0'
        WHEN atttypid = 'text'::regtype THEN 'lpad(i::text, 15, ''0'')'
        WHEN atttypid = 'bytea'::regtype THEN 'sha256(i::text::bytea)'
        ELSE 'i' END, ', ' ORDER BY attnum))
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
GROUP BY relname \gexec
";

/// How a condition bounds a column; the comma is that of a comparison of rows.
const RANGE: [&str; 5] = [" > ", " >= ", " < ", " <= ", ", "];

/// The columns of each index, and the table that it is of.
type Indexes = BTreeMap<String, (String, Vec<String>)>;

#[test]
fn every_statement_reads_the_best_index() {
    let statements = statements::all();
    let texts: Vec<_> = statements.iter().map(|statement| statement.text).collect();
    let mut worse = BTreeMap::new();
    let empty = Server::shared().new_database();
    Server::script(&empty, &format!("BEGIN;\n{}COMMIT;\n", schema()));
    let indexes = indexes(&empty);
    for municipalities in SIZES {
        let database = Server::shared().copy_of(&empty);
        let fill = |(code, rows): &(&str, u32)| FILL.replace("ROWS", &rows.to_string()).replace("CODE", code);
        let fill: String = municipalities.iter().map(fill).collect();
        Server::script(&database, &format!("BEGIN;\n{fill}COMMIT;\nANALYZE;\n"));
        for mode in ["force_generic_plan", "force_custom_plan"] {
            let settings = format!("{SESSION}SET plan_cache_mode = {mode};\n");
            for code in PLANNED_FOR {
                let plans = plans(&database, &settings, &texts, code);
                assert!(plans.iter().any(|plan| plan.contains(" using link_pkey on link")), "{plans:?}");
                for (statement, plan) in statements.iter().zip(plans) {
                    if let Some(found) = worse_index(&plan, &indexes) {
                        let first = format!("{found} ({municipalities:?}, {mode}, {code})\n{plan}");
                        worse.entry(statement.name).or_insert(first);
                    }
                }
            }
        }
    }
    let all: Vec<_> = worse.iter().map(|(name, found)| format!("{name}: {found}")).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

fn indexes(database: &str) -> Indexes {
    let found = Server::sql(
        database,
        "SELECT pg_index.indexrelid::regclass, indrelid::regclass,
            string_agg(attname, ' ' ORDER BY place)
        FROM pg_index, unnest(indkey::int[]) WITH ORDINALITY AS keys (attribute, place), pg_attribute
        WHERE attrelid = indrelid AND attnum = attribute AND indrelid::regclass::text !~ '^pg_'
        GROUP BY 1, 2",
    );
    let of = |line: &str| {
        let mut parts = line.split('|').map(str::to_owned);
        let (index, table) = (parts.next().unwrap(), parts.next().unwrap());
        (index, (table, parts.next().unwrap().split(' ').map(str::to_owned).collect()))
    };
    found.lines().map(of).collect()
}

/// An index that a plan reads by fewer columns than another one has that the statement binds.
fn worse_index(planned: &str, indexes: &Indexes) -> Option<String> {
    let mut lines = planned.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((_, table)) = line.split_once("Seq Scan on ") {
            let table = table.split(' ').next().unwrap();
            if indexes.values().any(|(of, _)| of == table) {
                return Some(format!("{table} is read as a whole"));
            }
        }
        let Some((_, rest)) = line.split_once(" using ").filter(|(scan, _)| scan.contains("Index")) else { continue };
        let name = rest.split(' ').next().unwrap();
        let (mut condition, mut filter) = ("", "");
        while let Some(line) = lines.next_if(|line| !line.contains("->") && !line.contains("Plan ")) {
            match line.trim().split_once(": ") {
                Some(("Index Cond", text)) => condition = text,
                Some(("Filter", text)) => filter = text,
                _ => {}
            }
        }
        let (table, columns) = &indexes[name];
        let used = bound(columns, &[condition]);
        // All of a key finds one row; a range is read from one end to the other.
        let is_range = |column: &String| RANGE.iter().any(|with| compares(condition, column, with));
        if columns.get(used).is_none_or(is_range) {
            continue;
        }
        let better = indexes.iter().find(|(other, (of, columns))| {
            *other != name && of == table && bound(columns, &[condition, filter]) > used
        });
        if let Some((better, _)) = better {
            return Some(format!("{name} is read by its first {used} columns, and not {better}"));
        }
    }
    None
}

/// How many of the first columns of an index are bound to one value.
fn bound(columns: &[String], conditions: &[&str]) -> usize {
    let is_bound = |column: &&String| conditions.iter().any(|condition| compares(condition, column, " = "));
    columns.iter().take_while(is_bound).count()
}

/// Whether a condition compares a column so.
fn compares(condition: &str, column: &str, with: &str) -> bool {
    let text = format!("{column}{with}");
    condition
        .match_indices(&text)
        .any(|(at, _)| !condition[..at].ends_with(|before: char| before == '_' || before.is_alphanumeric()))
}

#[test]
fn an_index_that_is_read_by_too_few_columns_is_found() {
    let of = |name: &str, columns: &str| {
        (name.to_owned(), ("link".to_owned(), columns.split(' ').map(str::to_owned).collect()))
    };
    let indexes = Indexes::from([
        of("link_pkey", "municipality_code system_id local_address_number"),
        of("link_of_person", "municipality_code unified_address_number system_id"),
    ]);
    let plan = |index: &str, condition: &str, filter: &str| {
        format!(
            " Nested Loop\n   ->  Function Scan on unnest wanted\n   ->  Index Scan using {index} on link\n         \
             Index Cond: (municipality_code = $1{condition})\n         Filter: ({filter})\n"
        )
    };
    let local = "local_address_number = wanted.value";
    for (index, condition, filter, is_worse) in [
        ("link_of_person", ") AND (system_id = $2", local, true),
        ("link_of_person", ") AND (unified_address_number = wanted.value", "x = 1", false),
        ("link_pkey", ") AND (system_id = $2", local, false),
        ("link_pkey", ") AND (system_id = $2", "unified_address_number = wanted.value", true),
        ("link_pkey", ") AND (system_id = $2) AND (local_address_number > $3", "unified_address_number = $4", false),
        ("link_pkey", "", "link.unified_address_number = wanted.value", true),
        ("link_pkey", "", "other_unified_address_number = wanted.value", false),
    ] {
        let planned = plan(index, condition, filter);
        assert_eq!(worse_index(&planned, &indexes).is_some(), is_worse, "{planned}");
    }
}
