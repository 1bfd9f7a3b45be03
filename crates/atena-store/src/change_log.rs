//! Which changes there were, in the order of their sequences, those of one commit in one row. An entry names a person and a dataset or a
//! system, no record and no local number: once a person is erased, it leads nowhere.

use atena_domain::{Dataset, SystemId, UnifiedAddressNumber};

use crate::engine::{Sql, Statement, signed, sql};
use crate::error::StoreError;
use crate::people::person_of;
use crate::store::Store;
use crate::write::WriteTransaction;

/// Commits whose changes are read at once.
const CHUNKS_AT_ONCE: i64 = 8;

/// What a change was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// A record of this dataset.
    Record(Dataset),
    /// A new link in this system.
    Link(SystemId),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangeEntry {
    pub(crate) sequence: u64,
    pub(crate) about: About,
    pub(crate) person: UnifiedAddressNumber,
}

// === impl Store ===

impl Store {
    /// Some of the changes after `after` up to `until`, in order, from the first on; none after the last.
    #[tracing::instrument(level = "debug", skip_all, name = "db.change.entries")]
    pub(crate) async fn change_entries(&self, after: u64, until: u64) -> Result<Vec<ChangeEntry>, StoreError> {
        const NEXT: Sql = sql!(all "SELECT first_sequence, entries FROM change_chunk \
            WHERE municipality_code = $1 AND last_sequence > $2 AND first_sequence <= $3 ORDER BY last_sequence LIMIT $4");
        let next =
            Statement::about(self.code(), NEXT).integer(signed(after)).integer(signed(until)).integer(CHUNKS_AT_ONCE);
        let mut entries = Vec::new();
        for row in &self.engine.fetch_all(&next).await? {
            for (sequence, line) in (row.count(0, "change_chunk")?..).zip(row.text(1)?.lines()) {
                if sequence > after && sequence <= until {
                    entries.push(read(sequence, line)?);
                }
            }
        }
        Ok(entries)
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Notes changes, whose sequences begin at `first`.
    pub(crate) async fn note_changes<'e>(
        &mut self,
        first: i64,
        changes: impl Iterator<Item = (char, &'e str, &'e UnifiedAddressNumber)>,
    ) -> Result<(), StoreError> {
        const NOTE: Sql = sql!(all "INSERT INTO change_chunk (municipality_code, last_sequence, first_sequence, entries) \
            VALUES ($1, $2, $3, $4)");
        let (mut entries, mut last) = (String::new(), first - 1);
        for (kind, name, person) in changes {
            if last >= first {
                entries.push('\n');
            }
            last += 1;
            entries.push(kind);
            entries.extend([name, " ", person.as_str()]);
        }
        let note = Statement::about(self.municipality.as_str(), NOTE).integer(last).integer(first).text(&entries);
        self.transaction.execute(&note).await
    }
}

/// How an entry about a record begins, and one about a link.
pub(crate) const RECORD: char = 'R';
pub(crate) const LINK: char = 'L';

fn read(sequence: u64, line: &str) -> Result<ChangeEntry, StoreError> {
    const CORRUPT: StoreError = StoreError::Corrupt { table: "change_chunk" };
    let corrupt = StoreError::corrupt("change_chunk");
    let (what, person) = line.split_once(' ').ok_or(CORRUPT)?;
    let about = match (what.strip_prefix(RECORD), what.strip_prefix(LINK)) {
        (Some(dataset), _) => About::Record(Dataset::parse(dataset).map_err(&corrupt)?),
        (_, Some(system)) => About::Link(SystemId::parse(system).map_err(&corrupt)?),
        _ => return Err(CORRUPT),
    };
    Ok(ChangeEntry { sequence, about, person: person_of(person, "change_chunk")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_what_it_is_about_or_is_refused() {
        let person = UnifiedAddressNumber::from_body(1).unwrap();
        let entry = |line| read(7, line).map(|entry| (entry.about, entry.person));
        assert_eq!(entry("Rpayment 000000000000019").unwrap(), (About::Record(Dataset::Payment), person.clone()));
        let tax = SystemId::parse("resident-tax").unwrap();
        assert_eq!(entry("Lresident-tax 000000000000019").unwrap(), (About::Link(tax), person));
        for wrong in ["", "Rpayment", "Xpayment 000000000000019", "Rtea 000000000000019", "Rpayment 19"] {
            assert!(matches!(entry(wrong), Err(StoreError::Corrupt { .. })), "{wrong}");
        }
    }
}
