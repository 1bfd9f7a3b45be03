//! Probe messages: every field of a dataset set to a mark of its own, so that what comes out of a filter can be told without
//! reading its structure.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::CatalogField;
use crate::filter::FieldFilter;
use crate::wire::{WireError, put_delimited_head};

/// A message with every field of a dataset, and one unknown field in every message of it.
pub(crate) struct Probe {
    message: Vec<u8>,
    fields: usize,
}

/// What came out of a filter: positions in the catalogue.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) released: BTreeSet<usize>,
    /// Something came out that is in no catalogue.
    pub(crate) unknown_released: bool,
}

/// Begins every mark; the position follows.
const MARK: &[u8] = b"\xf5atena-probe\xf5";

/// The mark of unknown fields.
const UNKNOWN: u32 = u32::MAX;

// === impl Probe ===

impl Probe {
    pub(crate) fn of(fields: &[CatalogField]) -> Self {
        let leaves: Vec<_> =
            fields.iter().zip(0..).map(|(field, position)| (field.numbers.as_slice(), position)).collect();
        let mut message = Vec::new();
        put_message(&leaves, &mut message);
        Self { message, fields: fields.len() }
    }

    /// What `filter` lets through of it.
    pub(crate) fn through(&self, filter: &FieldFilter) -> Result<Outcome, WireError> {
        let mut out = Vec::new();
        filter.apply(&self.message, &mut out)?;
        let mut outcome = Outcome { released: BTreeSet::new(), unknown_released: false };
        for (place, window) in out.windows(MARK.len()).enumerate() {
            if window != MARK {
                continue;
            }
            let position = out
                .get(place + MARK.len()..)
                .and_then(|rest| rest.first_chunk())
                .and_then(|bytes| usize::try_from(u32::from_be_bytes(*bytes)).ok())
                .filter(|position| *position < self.fields);
            match position {
                Some(position) => drop(outcome.released.insert(position)),
                None => outcome.unknown_released = true,
            }
        }
        Ok(outcome)
    }
}

fn put_message(leaves: &[(&[u32], u32)], out: &mut Vec<u8>) {
    let mut by_number: BTreeMap<u32, Vec<(&[u32], u32)>> = BTreeMap::new();
    for (path, position) in leaves {
        if let Some((number, rest)) = path.split_first() {
            by_number.entry(*number).or_default().push((rest, *position));
        }
    }
    let beyond = by_number.keys().next_back().map_or(1, |last| last + 1);
    for (number, leaves) in by_number {
        let (here, below): (Vec<_>, Vec<_>) = leaves.into_iter().partition(|(rest, _)| rest.is_empty());
        here.iter().for_each(|(_, position)| put_mark(number, *position, out));
        if !below.is_empty() {
            let mut inner = Vec::new();
            put_message(&below, &mut inner);
            put_delimited_head(number, inner.len(), out);
            out.extend(inner);
        }
    }
    put_mark(beyond, UNKNOWN, out);
}

fn put_mark(number: u32, position: u32, out: &mut Vec<u8>) {
    put_delimited_head(number, MARK.len() + size_of::<u32>(), out);
    out.extend_from_slice(MARK);
    out.extend(position.to_be_bytes());
}
