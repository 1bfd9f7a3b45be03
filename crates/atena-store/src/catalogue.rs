//! Every statement that the store sends, by the name of its span: `statements/sqlite.sql` and
//! `statements/postgres.sql` are written from here (`make golden`), and the tests of plans read
//! them there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::engine::{Insert, POSTGRES_LOCK, Sql, dedented};
use crate::listed::Listed;
use crate::logs::Log;
use crate::snapshot::table_rows;
use crate::tables::{CONTENT, LOG_INDEX, LOG_TREE, PERSON_KEY, Table, log_hashes};
use crate::{
    database, erasure, feed_read, feed_upkeep, feed_write, holdings, key_state, links, log_append, log_checkpoint,
    log_index, log_key, log_read, log_retention, people, personal_numbers, record_history, records, review, store,
    views, write,
};

/// Columns of a line in a file of statements.
const COLUMNS_MAX: usize = 100;

/// The statements of each module.
const MODULES: [&[(&str, Listed)]; 22] = [
    database::STATEMENTS,
    erasure::STATEMENTS,
    feed_read::STATEMENTS,
    feed_upkeep::STATEMENTS,
    feed_write::STATEMENTS,
    holdings::STATEMENTS,
    key_state::STATEMENTS,
    links::STATEMENTS,
    log_append::STATEMENTS,
    log_checkpoint::STATEMENTS,
    log_index::STATEMENTS,
    log_key::STATEMENTS,
    log_read::STATEMENTS,
    log_retention::STATEMENTS,
    people::STATEMENTS,
    personal_numbers::STATEMENTS,
    record_history::STATEMENTS,
    records::STATEMENTS,
    review::STATEMENTS,
    store::STATEMENTS,
    views::STATEMENTS,
    write::STATEMENTS,
];

/// Names and texts for one engine.
#[derive(Default)]
struct Catalogue {
    sqlite: Vec<(String, String)>,
    postgres: Vec<(String, String)>,
}

// === impl Catalogue ===

impl Catalogue {
    /// Every statement.
    fn new() -> Self {
        let mut catalogue = Self::default();
        for (name, listed) in MODULES.into_iter().flatten() {
            catalogue.add(name, listed);
        }
        catalogue.postgres.push(("db.begin".to_owned(), POSTGRES_LOCK.to_owned()));
        for table in [PERSON_KEY].iter().chain(&CONTENT).chain(&LOG_TREE).chain(&LOG_INDEX) {
            catalogue.add_copy(table);
        }
        for table in Log::ALL.map(log_hashes) {
            catalogue.add_pages(&format!("db.copy: hashes of {}", table.name), &table);
        }
        catalogue.sqlite.sort();
        catalogue.postgres.sort();
        catalogue
    }

    fn add(&mut self, name: &str, listed: &Listed) {
        match listed {
            Listed::Sql(sql) => self.add_sql(name, *sql),
            Listed::Log(sql) => {
                self.add_sql(name, sql.about(Log::Transfers));
                self.add_sql(&format!("{name} (admin log)"), sql.about(Log::Administration));
            }
            Listed::Batch(batch) => {
                let texts = batch.texts();
                self.add_sql(name, texts.look_up);
                if let Some(range_read) = texts.range_read {
                    self.add_sql(&format!("{name} (a range)"), range_read);
                }
            }
            Listed::Insert(insert) => self.add_insert(name, &insert()),
        }
    }

    fn add_sql(&mut self, name: &str, sql: Sql) {
        self.sqlite.push((name.to_owned(), sql.sqlite.to_owned()));
        self.postgres.push((name.to_owned(), sql.postgres.to_owned()));
    }

    /// On SQLite a statement for more rows has as many `VALUES`.
    fn add_insert(&mut self, name: &str, insert: &Insert<'_>) {
        self.sqlite.push((name.to_owned(), insert.sqlite(1)));
        self.postgres.push((name.to_owned(), insert.postgres()));
        self.postgres.push((format!("{name} (one row)"), insert.postgres_one()));
    }

    fn add_copy(&mut self, table: &Table) {
        let name = format!("db.copy: {}", table.name);
        self.add_sql(&format!("{name} (count)"), Sql::same(table.count().leak()));
        self.add_pages(&name, table);
        let insert = table_rows(table, "", &[]).unwrap();
        self.add_insert(&format!("{name} (insert)"), &insert);
    }

    fn add_pages(&mut self, name: &str, table: &Table) {
        self.add_sql(&format!("{name} (first page)"), Sql::same(table.page(false).leak()));
        // A table without a key has one row.
        if !table.key.is_empty() {
            self.add_sql(&format!("{name} (next page)"), Sql::same(table.page(true).leak()));
        }
    }
}

/// The statements as a file, each with its name before it.
fn rendered(statements: &[(String, String)]) -> String {
    let mut out = "-- Every statement that the store sends, written by `make golden`. In an insert, a column that is the\n-- same in all rows is one parameter and no column of the new rows.\n".to_owned();
    for (name, statement) in statements {
        write!(out, "\n-- {name}\n{};\n", laid_out(statement)).unwrap();
    }
    out
}

/// A statement in lines of at most 100 columns.
fn laid_out(statement: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut out = Vec::new();
    for line in dedented(statement).lines() {
        let mut rest = line.to_owned();
        let further = " ".repeat(indent(&rest) + 4);
        while let Some((line, behind)) = broken(&rest) {
            out.push(line.to_owned());
            rest = format!("{further}{behind}");
        }
        out.push(rest);
    }
    out.join("\n")
}

/// A line that is too long, in two: before its last condition that fits, or else behind a comma
/// that stands in as few parentheses as possible.
fn broken(line: &str) -> Option<(&str, &str)> {
    let head = line.get(..COLUMNS_MAX).filter(|head| head.len() < line.len())?;
    let before_condition = head.rfind(" AND ").filter(|end| !head[..*end].trim().is_empty());
    let depth = |end: usize| head[..end].matches('(').count() - head[..end].matches(')').count();
    let commas = || head.match_indices(", ").map(|(end, _)| end + 1).min_by_key(|end| (depth(*end), usize::MAX - end));
    let (line, behind) = line.split_at(before_condition.or_else(commas)?);
    Some((line, behind.trim_start()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_files_of_statements_are_what_is_sent() {
    let Catalogue { sqlite, postgres } = Catalogue::new();
    for (engine, statements) in [("sqlite", sqlite), ("postgres", postgres)] {
        for pair in statements.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "two statements of one name");
        }
        let path = root().join(format!("statements/{engine}.sql"));
        let now = rendered(&statements);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(now == before, "{} differs from what is sent: make golden", path.display());
    }
}

/// Where the sources make a statement, and the item that must be in its module's list.
fn makers() -> Vec<(PathBuf, String, String)> {
    let made = ["Sql::same(", "Sql::per_engine(", "BatchSql::", "LogSql::", "Insert::into("];
    let mut makers = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let own = ["catalogue.rs", "logs.rs"].iter().any(|name| path.ends_with(name));
        if path.is_dir() || own {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let mut item = String::new();
        for line in source.lines() {
            if !line.starts_with([' ', '}', ')', ']', '/', '#']) && !line.is_empty() {
                line.clone_into(&mut item);
            }
            if made.iter().any(|made| line.contains(made)) && !line.trim_start().starts_with("//") {
                makers.push((path.clone(), item.clone(), line.to_owned()));
            }
        }
    }
    makers
}

/// The name of a constant or function.
fn name_of(item: &str) -> Option<&str> {
    let item = item.trim_start_matches("pub(crate) ");
    let rest = ["const ", "static ", "fn "].iter().find_map(|keyword| item.strip_prefix(keyword))?;
    rest.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).next()
}

/// Fails where a module makes a statement that is not in its list.
#[test]
fn every_statement_of_the_sources_is_listed() {
    let makers = makers();
    assert!(makers.len() > 100, "{}", makers.len());
    for (path, item, line) in makers {
        let source = std::fs::read_to_string(&path).unwrap();
        let place = format!("{}: {}", path.display(), line.trim());
        let name = name_of(&item).unwrap_or_else(|| panic!("{place}: make it a constant or a function of the module"));
        // What is a part of others, or made of the tables, which are listed as a whole.
        if ["NEWEST_OF_LIST", "table_rows"].contains(&name) {
            continue;
        }
        let (_, list) = source.split_once("const STATEMENTS").unwrap_or_else(|| panic!("{place}: no STATEMENTS"));
        let (list, _) = list.split_once("];\n").unwrap();
        let is_in =
            |text: &str| text.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).any(|word| word == name);
        assert!(is_in(list), "{place}: {name} is not in STATEMENTS");
    }
}

/// Whatever is sent past [`Sql`] and [`Insert`] is of the engines, or a page of a table.
#[test]
fn only_engines_and_copies_send_texts_of_their_own() {
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.ends_with("catalogue.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        assert!(!source.contains("sqlx::query"), "{}", path.display());
        assert!(!source.contains("fetch_page(") || path.ends_with("snapshot.rs"), "{}", path.display());
    }
}
