//! Tables of a TOML text, as far as they can be read.

use jiff::civil::Date;
use toml::{Table, Value};

use crate::declaration::day;

/// The tables `[[name]]` of a text that is no TOML as a whole: each is read by itself, and what can't be read is left out.
///
/// A text that only looks like a table, in a text of several lines say, is found as well. So callers may only take away on its word.
pub(crate) fn blocks_of(text: &str, name: &str) -> Vec<Table> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().chain(["["]) {
        let bare = line.trim_start();
        if bare.starts_with('[') {
            found.extend(block.take().and_then(|block| readable(&block)));
            let header = bare.strip_prefix("[[").and_then(|rest| rest.split_once("]]"));
            if header.is_some_and(|(header, _)| header.trim() == name) {
                block = Some(String::new());
            }
        } else if let Some(block) = &mut block {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

/// A block of `key = value` lines. Where it is no TOML as a whole, its lines are read one by one.
fn readable(block: &str) -> Option<Table> {
    let whole: Option<Table> = toml::from_str(block).ok();
    let lines = || {
        let mut table = Table::new();
        block.lines().filter_map(|line| toml::from_str::<Table>(line).ok()).for_each(|line| table.extend(line));
        table
    };
    Some(whole.unwrap_or_else(lines)).filter(|table| !table.is_empty())
}

/// A text under a key.
pub(crate) fn text_of<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key)?.as_str()
}

/// A list of texts under a key; empty where the key is absent, `None` where it is something else.
pub(crate) fn listed<'t>(table: &'t Table, key: &str) -> Option<Vec<&'t str>> {
    match table.get(key) {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

/// A date without time under a key.
pub(crate) fn day_of(table: &Table, key: &str) -> Option<Date> {
    day(table.get(key)?.as_datetime()?)
}
