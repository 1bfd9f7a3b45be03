//! Tables of a TOML text, as far as they can be read.

use std::mem;

use jiff::civil::Date;
use toml::{Table, Value};

use crate::declaration::day;

/// A file as far as it can be read.
pub(crate) enum Content {
    /// It is TOML.
    Whole(Table),
    /// It is not, and these tables could be read all the same. Callers may only take away on their
    /// word: a text that only looks like a table, in a text of several lines say, is among them.
    Pieces(Vec<Table>),
}

/// Tables that have an id of their own and no revocation.
pub(super) const NEVER_REVOKED: [&str; 2] = ["rule", "dataset"];

/// Between full-width forms (U+FF01 to U+FF5E) and ASCII.
const FULL_WIDTH: u32 = 0xFEE0;

// === impl Content ===

impl Content {
    /// Reads a file. What is not UTF-8 (a name in Shift_JIS, say) makes it no TOML, because ids and
    /// affairs in it may be others.
    ///
    /// `settled`: nothing is writing the file just now.
    pub(crate) fn of(file: &[u8], settled: bool) -> Self {
        let (text, exact) = decoded(file);
        match toml::from_str(&text) {
            Ok(table) if exact => Self::Whole(table),
            _ => Self::Pieces(pieces(&text, settled)),
        }
    }
}

/// The text, and whether it was UTF-8 throughout.
fn decoded(file: &[u8]) -> (String, bool) {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = file.as_chunks::<2>().0.iter().copied().map(unit).collect();
        (String::from_utf16_lossy(&units).trim_start_matches('\u{feff}').to_owned(), false)
    };
    match file {
        [0xff, 0xfe, ..] | [_, 0, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, _, ..] => utf16(u16::from_be_bytes),
        _ => {
            let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
            (String::from_utf8_lossy(file).into_owned(), std::str::from_utf8(file).is_ok())
        }
    }
}

/// The tables of a text that is no TOML as a whole, whatever their headers are: a header may be
/// what is wrong. Each is read by itself, and what can't be read is left out.
fn pieces(text: &str, settled: bool) -> Vec<Table> {
    let mut found = Vec::new();
    let (mut header, mut block) = (String::new(), String::new());
    let mut last = None;
    let mut lines = text.split(['\n', '\r']).peekable();
    while let Some(line) = lines.next() {
        let narrow = narrow(line);
        if let Some(bare) = narrow.trim_start().strip_prefix('[') {
            let bare = bare.trim_start_matches('[');
            let (name, rest) = bare.split_once(']').unwrap_or((bare, ""));
            end_block(&header, &mem::take(&mut block), &mut last, &mut found);
            header = name.trim().to_owned();
            block.push_str(rest.trim_start_matches(']'));
        } else if settled || lines.peek().is_some() || !is_half_of_false(&narrow) {
            block.push_str(line);
        }
        block.push('\n');
    }
    end_block(&header, &block, &mut last, &mut found);
    found
}

/// Takes the entries of a block. `last`: the id of the entry to which a table below it belongs.
fn end_block(header: &str, block: &str, last: &mut Option<String>, found: &mut Vec<Table>) {
    let below = header.contains('.');
    let mut entries = match toml::from_str::<Table>(block) {
        Ok(table) => vec![table],
        Err(_) => by_line(block),
    };
    if !below {
        *last = None;
    }
    for entry in &mut entries {
        match (text_of(entry, "id"), &last) {
            (None, Some(id)) if below => {
                let id = id.clone();
                entry.insert("id".to_owned(), Value::String(id));
            }
            (id, _) => *last = id.map(str::to_owned),
        }
    }
    if NEVER_REVOKED.contains(&header) {
        // Its own; others in it are entries without a header.
        let own = entries.first().and_then(|entry| text_of(entry, "id")).map(str::to_owned);
        entries.retain(|entry| text_of(entry, "id") != own.as_deref());
        if *last == own {
            *last = None;
        }
    }
    found.extend(entries.into_iter().filter(|entry| !entry.is_empty()));
}

/// A block that is no TOML, line by line. An entry begins with each id; of a key that is there
/// twice, both count.
fn by_line(block: &str) -> Vec<Table> {
    let mut entries: Vec<Vec<Table>> = vec![Vec::new()];
    for (key, value) in block.lines().filter_map(pair) {
        let is_id = key == "id";
        if is_id && entries.last().is_some_and(|entry| entry.iter().any(|table| table.contains_key("id"))) {
            entries.push(Vec::new());
        }
        let Some(entry) = entries.last_mut() else { continue };
        match entry.iter_mut().find(|table| !table.contains_key(&key)) {
            Some(table) => drop(table.insert(key, value)),
            None => entry.push(Table::from_iter([(key, value)])),
        }
    }
    for entry in &mut entries {
        let id = entry.iter().find_map(|table| table.get("id").cloned());
        for table in entry {
            table.extend(id.clone().map(|id| ("id".to_owned(), id)));
        }
    }
    entries.into_iter().flatten().collect()
}

/// The key and the value of one line. What is said of a revocation, and of whom, is understood also
/// where it is no TOML.
fn pair(line: &str) -> Option<(String, Value)> {
    let line = narrow(line);
    if let Ok(table) = toml::from_str::<Table>(&line) {
        return table.into_iter().next();
    }
    let (key, value) = key_and_value(&line)?;
    match () {
        () if is_revocation(key) => Some(("revoked".to_owned(), Value::Boolean(!value.eq_ignore_ascii_case("false")))),
        () if key.eq_ignore_ascii_case("id") && !value.is_empty() => {
            Some(("id".to_owned(), Value::String(value.to_owned())))
        }
        () => None,
    }
}

/// `key = value`, `key: value` or `key value`, with or without quotation marks.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let bare = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | ';' | '=' | ':');
    let line = line.split_once('#').map_or(line, |(line, _)| line).trim_matches(bare);
    let end = line.find(bare).unwrap_or(line.len());
    let (key, value) = line.split_at(end);
    let value = value.trim_matches(bare);
    (!key.is_empty() && !value.contains(char::is_whitespace)).then_some((key, value))
}

/// Whether a key says that something is revoked.
fn is_revocation(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("revoke")
}

/// Whether a table says of itself that it is revoked: anything but `false` does.
pub(crate) fn is_revoked(table: &Table) -> bool {
    let says_false = |value: &Value| match value {
        Value::Boolean(revoked) => !revoked,
        Value::String(text) => text.trim().eq_ignore_ascii_case("false"),
        _ => false,
    };
    table.iter().any(|(key, value)| is_revocation(key) && !says_false(value))
}

/// Whether this may become `revoked = false` when it is written to its end.
fn is_half_of_false(line: &str) -> bool {
    key_and_value(line).is_some_and(|(key, value)| is_revocation(key) && "false".starts_with(value))
}

/// The line in ASCII, where an input method wrote full-width forms.
fn narrow(line: &str) -> String {
    let one = |letter: char| match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - FULL_WIDTH).unwrap_or(letter),
        '\u{3000}' => ' ',
        other => other,
    };
    line.chars().map(one).collect()
}

/// A text under a key.
pub(crate) fn text_of<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key)?.as_str()
}

/// A list of texts under a key; `None` where it is absent or something else.
pub(crate) fn listed<'t>(table: &'t Table, key: &str) -> Option<Vec<&'t str>> {
    table.get(key)?.as_array()?.iter().map(Value::as_str).collect()
}

/// A date without time under a key, also one in quotation marks.
pub(crate) fn day_of(table: &Table, key: &str) -> Option<Date> {
    match table.get(key)? {
        Value::Datetime(datetime) => day(datetime),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The tables `[[name]]`; none where there is no such key, `None` where it is something else.
pub(crate) fn tables(table: &Table, name: &str) -> Option<Vec<Table>> {
    match table.get(name) {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_table().cloned()).collect(),
        Some(_) => None,
    }
}

/// Whether a file has an entry where none belongs: below another one, or under a key that is
/// misspelt. It may be the one that seems to be absent.
pub(crate) fn has_stray_entry(file: &Table, keys: &[&str]) -> bool {
    file.iter().any(|(key, value)| match value {
        Value::Array(items) if keys.contains(&key.as_str()) => {
            items.iter().filter_map(Value::as_table).any(|entry| entry.values().any(has_entry))
        }
        other => has_entry(other),
    })
}

fn has_entry(value: &Value) -> bool {
    match value {
        Value::Table(table) => table.contains_key("id") || table.values().any(has_entry),
        Value::Array(items) => items.iter().any(has_entry),
        _ => false,
    }
}

/// Whether an entry has the form of a declaration: every key is known, and each value is of its
/// kind.
pub(crate) fn is_sound<T: serde::de::DeserializeOwned>(entry: &Table) -> bool {
    declared::<T>(entry).is_some()
}

/// The declaration of an entry.
pub(crate) fn declared<T: serde::de::DeserializeOwned>(entry: &Table) -> Option<T> {
    toml::from_str(&toml::to_string(entry).ok()?).ok()
}
