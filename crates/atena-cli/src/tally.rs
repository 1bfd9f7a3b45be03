//! What became of the rows of an upload: counts, and a list of those that a person has to look at.

use serde_json::{Value, json};

use crate::error::CliError;
use crate::rows::BadRow;
use crate::table::Table;
use crate::terms;

/// Rows listed in a table for people; `--json` and `--csv` list all.
pub(crate) const LISTED_IN_TABLE_MAX: usize = 200;

/// What became of one row.
pub(crate) enum RowOutcome {
    /// It went through; the outcome as the contract spells it.
    Done(&'static str),
    /// It went through, and a person has to decide.
    ToDecide(ToDecide),
    /// It came back.
    Bad(BadRow),
}

/// A row that the gateway took, and that a person has to decide about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToDecide {
    /// Line in the file, from 1.
    pub(crate) line: u64,
    /// The outcome as the contract spells it.
    pub(crate) outcome: &'static str,
    /// 宛名番号, as the gateway gives it back.
    pub(crate) local_address_number: String,
    /// The case, where there is one.
    pub(crate) review_case_id: String,
}

/// A row that the list shows.
enum Listed {
    Bad(BadRow),
    ToDecide(ToDecide),
}

/// Counts of outcomes, and the rows to be listed, in the order of lines.
pub(crate) struct Tally {
    counts: Vec<(&'static str, u64)>,
    listed: Vec<Listed>,
    listed_max: usize,
    not_listed: u64,
    refused: u64,
    bad_count: u64,
    to_decide: u64,
}

impl RowOutcome {
    /// An outcome without an error: done, unless it is one that a person has to look at. Outcomes that
    /// this program does not know are of that kind.
    pub(crate) fn taken(row: ToDecide) -> Self {
        let done = ["ISSUED", "LINKED", "UPDATED", "UNCHANGED", "STORED", "DELETED"];
        if done.contains(&row.outcome) { Self::Done(row.outcome) } else { Self::ToDecide(row) }
    }
}

// === impl Tally ===

impl Tally {
    /// Keeps up to `listed_max` rows for the list.
    pub(crate) fn new(listed_max: usize) -> Self {
        Self {
            counts: Vec::new(),
            listed: Vec::new(),
            listed_max,
            not_listed: 0,
            refused: 0,
            bad_count: 0,
            to_decide: 0,
        }
    }

    /// Counts one row.
    pub(crate) fn count(&mut self, outcome: RowOutcome) {
        let (name, listed) = match outcome {
            RowOutcome::Done(name) => (name, None),
            RowOutcome::ToDecide(row) => {
                self.to_decide += 1;
                (row.outcome, Some(Listed::ToDecide(row)))
            }
            RowOutcome::Bad(row) => {
                self.bad_count += 1;
                self.refused += row.rows;
                self.list(Listed::Bad(row));
                return;
            }
        };
        match self.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((name, 1)),
        }
        if let Some(row) = listed {
            self.list(row);
        }
    }

    fn list(&mut self, row: Listed) {
        if self.listed.len() < self.listed_max {
            self.listed.push(row);
        } else {
            self.not_listed += 1;
        }
    }

    /// How many rows ended so.
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
    }

    /// Rows that went through.
    pub(crate) fn read(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Rows in all.
    pub(crate) fn rows(&self) -> u64 {
        self.read() + self.refused
    }

    /// Errors: rows that came back, and a header that did.
    pub(crate) fn bad_count(&self) -> u64 {
        self.bad_count
    }

    /// Whether a person has to look at any row.
    pub(crate) fn needs_person(&self) -> bool {
        self.bad_count > 0 || self.to_decide > 0
    }

    /// Rows that are in the list of [`Self::listed_table`] no more.
    pub(crate) fn not_listed(&self) -> u64 {
        self.not_listed
    }

    /// Checks that each line with content is in the counts once.
    ///
    /// # Errors
    /// [`CliError::RowsMissing`].
    pub(crate) fn complete(&self, lines: u64) -> Result<(), CliError> {
        let (read, refused) = (self.read(), self.refused);
        if read + refused == lines { Ok(()) } else { Err(CliError::RowsMissing { lines, read, refused }) }
    }

    /// Counts by outcome.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(&[("outcome", "outcome"), ("japanese", "結果"), ("rows", "rows (件)")]);
        for (name, count) in &self.counts {
            table.row([(*name).into(), terms::outcome_japanese(name).into(), (*count).into()]);
        }
        if self.bad_count > 0 {
            table.row(["error".into(), "エラー".into(), self.refused.into()]);
        }
        table
    }

    /// Lines with content, and what became of them.
    pub(crate) fn lines_table(&self, lines: u64) -> Table {
        let mut table = Table::new(&[
            ("lines", "lines (内容のある行)"),
            ("rows_read", "read (受け付けた行)"),
            ("rows_refused", "refused (受け付けない行)"),
            ("rows_to_decide", "to decide (うち要確認)"),
        ]);
        table.row([lines.into(), self.read().into(), self.refused.into(), self.to_decide.into()]);
        table
    }

    /// The rows that a person has to look at, the first of them at least.
    pub(crate) fn listed_table(&self) -> Table {
        let mut table = Table::new(&[
            ("line", "line (行)"),
            ("reason", "reason (理由)"),
            ("local_address_number", "宛名番号"),
            ("review_case_id", "case (確認番号)"),
            ("fields", "fields (項目)"),
            ("message", "message"),
        ]);
        for row in &self.listed {
            match row {
                Listed::Bad(bad) => table.row([
                    bad.line.into(),
                    with_japanese(&bad.reason),
                    Value::Null,
                    Value::Null,
                    bad.fields.clone().into(),
                    in_lines(&bad.message),
                ]),
                Listed::ToDecide(row) => table.row([
                    row.line.into(),
                    with_japanese(row.outcome),
                    row.local_address_number.as_str().into(),
                    row.review_case_id.as_str().into(),
                    Value::Null,
                    in_lines(DECIDE),
                ]),
            };
        }
        table
    }
}

/// What is to be done about a row that went to a person.
const DECIDE: &str = "担当者の確認が必要です / a person has to decide this case";

/// A message with its languages one below the other.
fn in_lines(message: &str) -> Value {
    message.split(" / ").collect::<Vec<_>>().into()
}

/// A reason with its Japanese term, where it has one.
fn with_japanese(reason: &str) -> Value {
    match terms::reason_japanese(reason) {
        "" => reason.into(),
        japanese => vec![reason, japanese].into(),
    }
}

impl BadRow {
    /// One JSON Lines object.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "line": self.line,
            "rows": self.rows,
            "reason": self.reason,
            "japanese": terms::reason_japanese(&self.reason),
            "fields": self.fields,
            "paths": self.paths,
            "message": self.message,
        })
    }
}

impl ToDecide {
    /// One JSON Lines object.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "line": self.line,
            "reason": self.outcome,
            "japanese": terms::outcome_japanese(self.outcome),
            "local_address_number": self.local_address_number,
            "review_case_id": self.review_case_id,
            "message": DECIDE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(line: u64, rows: u64) -> RowOutcome {
        let reason = "UNREADABLE_ROW".to_owned();
        let (fields, paths, message) = (Vec::new(), Vec::new(), "no".to_owned());
        RowOutcome::Bad(BadRow { line, rows, reason, fields, paths, message })
    }

    fn taken(line: u64, outcome: &'static str) -> RowOutcome {
        let (local_address_number, review_case_id) = (format!("A{line}"), "case".to_owned());
        RowOutcome::taken(ToDecide { line, outcome, local_address_number, review_case_id })
    }

    #[test]
    fn rows_read_and_rows_refused_are_the_lines() {
        let mut tally = Tally::new(10);
        for outcome in [taken(2, "ISSUED"), bad(3, 4), taken(7, "REVIEW_REQUIRED")] {
            tally.count(outcome);
        }
        assert_eq!((tally.read(), tally.rows(), tally.bad_count()), (2, 6, 1));
        assert!(tally.complete(6).is_ok() && tally.complete(7).is_err());
        let lines = tally.lines_table(6).json_objects().next().unwrap().to_string();
        assert_eq!(lines, r#"{"lines":6,"rows_read":2,"rows_refused":4,"rows_to_decide":1}"#);
    }

    #[test]
    fn whatever_is_not_known_to_be_done_needs_a_person_and_is_listed() {
        for outcome in ["REVIEW_REQUIRED", "UNSPECIFIED", "HELD"] {
            let mut tally = Tally::new(10);
            tally.count(taken(2, outcome));
            assert!(tally.needs_person(), "{outcome}");
            let listed = tally.listed_table().to_csv().unwrap();
            assert!(listed.contains("A2") && listed.contains("case") && listed.contains(outcome), "{listed}");
        }
        let mut tally = Tally::new(10);
        tally.count(taken(2, "UNCHANGED"));
        assert!(!tally.needs_person());
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let mut tally = Tally::new(1);
        for line in 2..5 {
            tally.count(bad(line, 1));
        }
        assert_eq!((tally.not_listed(), tally.bad_count()), (2, 3));
    }
}
