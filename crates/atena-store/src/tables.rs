//! The tables of one municipality, for copying all of them.

use crate::logs::Log;

/// A table: its columns after `municipality_code`.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The primary key, after `municipality_code`.
    pub(crate) key: &'static [(&'static str, Kind)],
    /// The other columns.
    pub(crate) rest: &'static [(&'static str, Kind)],
    /// Rows read at once: those with packed leaves or hashes are large.
    pub(crate) page_rows: u32,
}

/// What a column holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    MaybeText,
    Integer,
    Bytes,
}

use Kind::{Bytes, Integer, MaybeText, Text};

/// The wrapped keys of people: what is sealed about someone can't be read without theirs.
pub(crate) const PERSON_KEY: Table =
    table("person_key", &[("unified_address_number", Text)], &[("kek_id", Text), ("wrapped_key", Bytes)]);

/// The hashes of a log's leaves alone.
pub(crate) const fn log_hashes(log: Log) -> Table {
    Table { name: log.chunk_table(), key: &[("first_index", Integer)], rest: &[("hashes", Bytes)], page_rows: 64 }
}

/// Everything else that is not derived from another table.
pub(crate) const CONTENT: [Table; 19] = [
    table("person", &[("unified_address_number", Text)], &[("migrated", Integer), ("created_at", Integer)]),
    table("number_sequence", &[], &[("next_body", Integer)]),
    table(
        "personal_number",
        &[("blind_index", Bytes)],
        &[
            ("unified_address_number", Text),
            ("sequence", Integer),
            ("sealed", Bytes),
            ("effective_date", MaybeText),
            ("superseded_at", Integer),
            ("index_version", Integer),
        ],
    ),
    table(
        "link",
        &[("system_id", Text), ("local_address_number", Text)],
        &[("unified_address_number", Text), ("change_sequence", Integer)],
    ),
    table(
        "person_view",
        &[("system_id", Text), ("local_address_number", Text), ("revision", Integer)],
        &[("sealed", Bytes), ("content_mac", Bytes), ("protected", Integer), ("stored_at", Integer)],
    ),
    table(
        "review_case",
        &[("case_id", Text)],
        &[
            ("kind", Text),
            ("system_id", Text),
            ("local_address_number", Text),
            ("unified_address_number", Text),
            ("other_unified_address_number", MaybeText),
            ("sealed", Bytes),
            ("content_mac", Bytes),
            ("created_at", Integer),
        ],
    ),
    table("key_state", &[], &[("wrapping_id", Text), ("index_versions", Text)]),
    table("change_sequence", &[], &[("last", Integer), ("erasures", Integer)]),
    table(
        "record",
        &[("unified_address_number", Text), ("dataset", Text), ("record_key", Text)],
        &[
            ("revision", Integer),
            ("change_sequence", Integer),
            ("deleted", Integer),
            ("sealed", Bytes),
            ("content_mac", Bytes),
            ("stored_at", Integer),
            ("record_number", Integer),
        ],
    ),
    table(
        "feed",
        &[("system_id", Text), ("feed_number", Integer)],
        &[("dataset", Text), ("field_names", Text), ("since_sequence", Integer)],
    ),
    Table {
        name: "feed_change",
        key: &[("feed_number", Integer), ("last_sequence", Integer)],
        rest: &[("entries", Text)],
        page_rows: 64,
    },
    table("feed_day", &[("day", Integer)], &[("last_sequence", Integer)]),
    table(
        "record_history",
        &[("superseded_by", Integer)],
        &[
            ("dataset", Text),
            ("record_key", Text),
            ("revision", Integer),
            ("unified_address_number", Text),
            ("change_sequence", Integer),
            ("deleted", Integer),
            ("sealed", Bytes),
            ("content_mac", Bytes),
            ("stored_at", Integer),
        ],
    ),
    log_chunk(Log::Transfers),
    log_details(Log::Transfers),
    table("log_retention", &[("kind", Text)], &[("first_index", Integer)]),
    table(
        "log_key",
        &[("version", Integer)],
        &[("public_key", Bytes), ("signs_since", Integer), ("signs_until", Integer)],
    ),
    log_chunk(Log::Administration),
    log_details(Log::Administration),
];

/// The trees above the leaves, and the checkpoints.
pub(crate) const LOG_TREE: [Table; 4] = [
    log_tile("log_tile"),
    log_checkpoint("log_checkpoint"),
    log_tile("admin_log_tile"),
    log_checkpoint("admin_log_checkpoint"),
];

/// The search index of the log, derived from it.
pub(crate) const LOG_INDEX: [Table; 2] = [
    table("log_person", &[("unified_address_number", Text), ("leaf_index", Integer)], &[]),
    table("log_index_head", &[], &[("size", Integer)]),
];

const fn log_chunk(log: Log) -> Table {
    Table {
        name: log.chunk_table(),
        key: &[("first_index", Integer)],
        rest: &[
            ("leaf_count", Integer),
            ("requested_min", Integer),
            ("requested_max", Integer),
            ("transfer_id_min", Bytes),
            ("transfer_id_max", Bytes),
            ("hashes", Bytes),
            ("leaves", Bytes),
        ],
        page_rows: 16,
    }
}

const fn log_details(log: Log) -> Table {
    Table { name: log.details_table(), key: &[("first_index", Integer)], rest: &[("details", Bytes)], page_rows: 16 }
}

const fn log_tile(name: &'static str) -> Table {
    Table { name, key: &[("level", Integer), ("tile_index", Integer)], rest: &[("hashes", Bytes)], page_rows: 64 }
}

const fn log_checkpoint(name: &'static str) -> Table {
    table(name, &[("size", Integer)], &[("root", Bytes), ("note", Text), ("signed_at", Integer)])
}

const fn table(
    name: &'static str,
    key: &'static [(&'static str, Kind)],
    rest: &'static [(&'static str, Kind)],
) -> Table {
    Table { name, key, rest, page_rows: 1000 }
}

// === impl Table ===

impl Table {
    /// Every column after `municipality_code`, the key first.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.key.iter().chain(self.rest).copied()
    }

    /// The statement for the next rows after a key (or the first ones), in the order of the key.
    /// `$1` is the municipality.
    pub(crate) fn page(&self, after_key: bool) -> String {
        let names: Vec<&str> = self.columns().map(|(name, _)| name).collect();
        let key: Vec<&str> = self.key.iter().map(|(name, _)| *name).collect();
        let mut sql = format!("SELECT {}\nFROM {} WHERE municipality_code = $1", names.join(", "), self.name);
        if after_key {
            let bounds: Vec<String> = (2..).take(key.len()).map(|parameter| format!("${parameter}")).collect();
            sql.push_str(&format!(" AND ({}) > ({})", key.join(", "), bounds.join(", ")));
        }
        let order = if key.is_empty() { "municipality_code".to_owned() } else { key.join(", ") };
        sql.push_str(&format!("\nORDER BY {order} LIMIT {}", self.page_rows));
        sql
    }

    /// The statement that counts a municipality's rows.
    pub(crate) fn count(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE municipality_code = $1", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a schema says of its tables: `table.column`.
    fn columns_of(schema: &str) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for table in schema.split("CREATE TABLE ").skip(1) {
            let (name, rest) = table.split_once(" (").unwrap();
            for line in rest.lines().skip(1).take_while(|line| line.starts_with("    ")) {
                let column = line.split_whitespace().next().unwrap();
                if column.chars().all(|character| character.is_lowercase() || character == '_') {
                    columns.insert(format!("{name}.{column}"));
                }
            }
        }
        for added in schema.split("ALTER TABLE ").skip(1) {
            if let Some((name, rest)) = added.split_once(" ADD COLUMN ") {
                columns.insert(format!("{name}.{}", rest.split_whitespace().next().unwrap()));
            }
        }
        for dropped in schema.split("DROP TABLE ").skip(1) {
            let dropped = dropped.split(';').next().unwrap();
            columns.retain(|column| column.split('.').next() != Some(dropped));
        }
        for renamed in schema.split("ALTER TABLE ").skip(1) {
            let Some((before, rest)) = renamed.split_once(" RENAME TO ") else { continue };
            let now = rest.split(';').next().unwrap();
            let of_table = |column: &String| column.split('.').next() == Some(before);
            let (moved, kept): (BTreeSet<_>, BTreeSet<_>) = columns.into_iter().partition(of_table);
            columns = kept;
            columns.extend(moved.into_iter().map(|column| column.replacen(before, now, 1)));
        }
        columns
    }

    #[test]
    fn no_column_is_left_out_of_a_copy() {
        let copied: BTreeSet<String> = [PERSON_KEY]
            .iter()
            .chain(&CONTENT)
            .chain(&LOG_TREE)
            .chain(&LOG_INDEX)
            .flat_map(|table| {
                table
                    .columns()
                    .map(|(column, _)| column)
                    .chain(["municipality_code"])
                    .map(move |column| format!("{}.{column}", table.name))
            })
            .chain(Log::ALL.iter().flat_map(|log| {
                ["municipality_code", "size", "frontier"].map(|column| format!("{}.{column}", log.head_table()))
            }))
            .collect();
        for schema in [
            concat!(
                include_str!("../migrations/sqlite/0001_schema.sql"),
                include_str!("../migrations/sqlite/0002_key_state.sql"),
                include_str!("../migrations/sqlite/0003_changes.sql"),
                include_str!("../migrations/sqlite/0005_log_key.sql"),
                include_str!("../migrations/sqlite/0006_admin_log.sql"),
                include_str!("../migrations/sqlite/0007_personal_number.sql"),
                include_str!("../migrations/sqlite/0008_erasures.sql"),
                include_str!("../migrations/sqlite/0010_feeds.sql"),
                include_str!("../migrations/sqlite/0011_feed_days.sql")
            ),
            concat!(
                include_str!("../migrations/postgres/0001_schema.sql"),
                include_str!("../migrations/postgres/0002_key_state.sql"),
                include_str!("../migrations/postgres/0003_changes.sql"),
                include_str!("../migrations/postgres/0005_log_key.sql"),
                include_str!("../migrations/postgres/0006_admin_log.sql"),
                include_str!("../migrations/postgres/0007_erasures.sql"),
                include_str!("../migrations/postgres/0010_feeds.sql"),
                include_str!("../migrations/postgres/0011_feed_days.sql")
            ),
        ] {
            assert_eq!(columns_of(schema), copied);
        }
    }

    #[test]
    fn a_page_begins_after_a_key() {
        let [_, _, _, link, ..] = &CONTENT;
        assert_eq!(
            link.page(true),
            "SELECT system_id, local_address_number, unified_address_number, change_sequence\n\
             FROM link WHERE municipality_code = $1 AND (system_id, local_address_number) > ($2, $3)\n\
             ORDER BY system_id, local_address_number LIMIT 1000"
        );
    }
}
