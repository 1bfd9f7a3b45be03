//! One record of a chunk, from its arrival to what its owner is told of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use atena_domain::{Dataset, LocalAddressNumber, RecordKey};
use atena_proto::v1;
use atena_store::{FeedNumber, NewRevision, RecordHead};
use atena_vault::{SealContext, Vault};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::people::{People, Person};
use crate::convert::pushed::{ArrivedRecord, ParsedRecord, parse_record};
use crate::convert::record_row;
use crate::error::{CallError, Reason};

/// A record with its verdict so far.
pub(super) struct Item {
    pub(super) place: Place,
    /// `None` if it is malformed: it could be anything, and is not told back.
    record_key: Option<RecordKey>,
    revision: u64,
    /// Whom it is about, once that is known. It stays where the record is refused: an auditor finds
    /// refusals by person too.
    pub(super) person: Option<Person>,
    /// The record, as long as nothing is wrong with it.
    pub(super) coming: Result<Coming, CallError>,
}

/// The person and dataset that share one transfer record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) local: Option<LocalAddressNumber>,
    pub(super) dataset: Option<Dataset>,
}

/// A record that is good so far.
pub(super) struct Coming {
    pub(super) record: ParsedRecord,
    content_mac: [u8; 32],
    /// The content, sealed for that person.
    sealed: Option<Bytes>,
    /// What becomes of it, once it has been compared with what is stored.
    pub(super) outcome: v1::PushOutcome,
    /// The revision that it takes the place of.
    pub(super) before: Option<RecordHead>,
    /// The feeds whose readers can see the change.
    pub(super) seen: Vec<FeedNumber>,
}

/// The newest revisions of records, by dataset and key.
pub(super) type Heads = HashMap<(Dataset, RecordKey), RecordHead>;

// === impl Item ===

impl Item {
    /// A record with everything of its own checked, every violation at once.
    pub(super) fn of(arrived: Result<ArrivedRecord, CallError>, vault: &Vault, today: Date) -> Self {
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                let place = Place { local: None, dataset: None };
                return Self { place, record_key: None, revision: 0, person: None, coming: Err(error) };
            }
        };
        let place = Place {
            local: arrived.local_address_number.as_ref().ok().cloned(),
            dataset: arrived.dataset.as_ref().ok().copied(),
        };
        let (record_key, revision) = (arrived.record_key.as_ref().ok().cloned(), arrived.revision);
        let coming = parse_record(arrived, today).map(|record| Coming::of(record, vault));
        Self { place, record_key, revision, person: None, coming }
    }

    /// Notes whom a record is about, unless that is known, and seals a good one for them.
    pub(super) fn meet(&mut self, people: &People) -> Result<(), CallError> {
        if self.person.is_none()
            && let Some(person) = self.place.local.as_ref().and_then(|local| people.get(local))
        {
            if let Ok(coming) = &mut self.coming {
                coming.seal(person)?;
            }
            self.person = Some(person.clone());
        }
        Ok(())
    }

    /// As [`Self::meet`], where a person was erased since: the number may be another person's now.
    pub(super) fn meet_again(&mut self, people: &People) -> Result<(), CallError> {
        let before = self.person.as_ref().map(|person| &person.unified_address_number);
        let now = self.place.local.as_ref().and_then(|local| people.get(local));
        if before != now.map(|person| &person.unified_address_number) {
            self.person = None;
            if let Ok(coming) = &mut self.coming {
                coming.sealed = None;
            }
        }
        self.meet(people)
    }

    /// Compares a good record with what is stored, and with what came before it.
    pub(super) fn judge(&mut self, heads: &mut Heads) {
        if let Ok(coming) = &mut self.coming
            && let Err(error) = coming.judge(self.person.as_ref(), heads)
        {
            self.coming = Err(error);
        }
    }

    /// The revision to store of a record that is new or changed.
    pub(super) fn new_revision(&self, stored_at: Timestamp) -> Result<Option<NewRevision>, CallError> {
        let (Ok(coming), Some(person)) = (&self.coming, &self.person) else { return Ok(None) };
        let Coming { record, content_mac, sealed, outcome, before, seen } = coming;
        if *outcome == v1::PushOutcome::Unchanged {
            return Ok(None);
        }
        if record.content.is_some() && sealed.is_none() {
            tracing::error!("a linked person has no key");
            return Err(CallError::new(Reason::Internal, "nothing was stored; tell the operator"));
        }
        Ok(Some(NewRevision {
            dataset: record.dataset,
            record_key: record.record_key.clone(),
            revision: record.revision,
            unified_address_number: person.unified_address_number.clone(),
            deleted: record.content.is_none(),
            sealed: sealed.clone().unwrap_or_default(),
            content_mac: *content_mac,
            stored_at,
            supersedes: before.is_some(),
            record_number: before.as_ref().and_then(|before| before.record_number),
            seen: seen.clone(),
        }))
    }

    /// What the owner is told of it.
    pub(super) fn told(self, index: usize, transfer_id: Uuid) -> v1::PushResult {
        let (outcome, error) = match self.coming {
            Ok(coming) => (coming.outcome, None),
            Err(error) => (v1::PushOutcome::Rejected, Some(error.into_item(index))),
        };
        let record_key = self.record_key.map(|key| key.as_str().to_owned()).unwrap_or_default();
        let (revision, transfer_id) = (self.revision, transfer_id.to_string());
        v1::PushResult { record_key, revision, outcome: outcome.into(), error, transfer_id }
    }
}

// === impl Coming ===

impl Coming {
    fn of(record: ParsedRecord, vault: &Vault) -> Self {
        let content_mac = vault.content_mac(record.dataset.as_str(), record.content.as_deref().unwrap_or_default());
        let outcome = v1::PushOutcome::Unspecified;
        Self { record, content_mac, sealed: None, outcome, before: None, seen: Vec::new() }
    }

    /// Seals the content for its place with the key of its person; a deletion has none.
    fn seal(&mut self, person: &Person) -> Result<(), CallError> {
        if let (Some(key), Some(content)) = (&person.key, &self.record.content) {
            let row = record_row(self.record.dataset, &self.record.record_key, self.record.revision);
            let context = SealContext { table: "record", column: "sealed", row: &row };
            self.sealed = Some(key.seal(&context, content)?.into());
        }
        Ok(())
    }

    fn judge(&mut self, person: Option<&Person>, heads: &mut Heads) -> Result<(), CallError> {
        let person = person.ok_or_else(CallError::not_linked)?;
        let deleted = self.record.content.is_none();
        let new = RecordHead {
            unified_address_number: person.unified_address_number.clone(),
            revision: self.record.revision,
            deleted,
            content_mac: self.content_mac,
            sealed: self.sealed.clone().unwrap_or_default(),
            record_number: None,
        };
        match heads.entry((self.record.dataset, self.record.record_key.clone())) {
            Entry::Vacant(place) => {
                place.insert(new);
            }
            Entry::Occupied(mut place) => {
                let head = place.get();
                if head.unified_address_number != new.unified_address_number {
                    let text = "this record_key belongs to another person already";
                    return Err(CallError::field("local_address_number", text));
                }
                if new.revision < head.revision {
                    let text = "a newer revision of this record is stored already";
                    return Err(CallError::new(Reason::StaleRevision, text));
                }
                if new.revision == head.revision {
                    if head.deleted == deleted && head.content_mac == self.content_mac {
                        self.outcome = v1::PushOutcome::Unchanged;
                        return Ok(());
                    }
                    let text = "this revision is stored with other content; send the change as a new revision";
                    return Err(CallError::new(Reason::RevisionConflict, text));
                }
                let record_number = head.record_number;
                self.before = Some(place.insert(RecordHead { record_number, ..new }));
            }
        }
        self.outcome = if deleted { v1::PushOutcome::Deleted } else { v1::PushOutcome::Stored };
        Ok(())
    }
}
