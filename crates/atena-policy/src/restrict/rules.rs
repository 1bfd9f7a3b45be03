//! What of a rule is left where another file is to permit it as well.

use std::collections::{BTreeMap, BTreeSet};

use atena_domain::Dataset;
use jiff::civil::Date;
use toml::value::Datetime;
use toml::{Spanned, Table, Value};

use super::blocks::{day_of, text_of};
use super::placed;
use super::reading::Entry;
use crate::catalog::FieldCatalog;
use crate::declaration::{DeclaredBasis, DeclaredRule, day};
use crate::legal_basis::Validity;

/// The rules of the other file.
#[derive(Default)]
pub(super) struct Remaining {
    pub(super) rules: Vec<DeclaredRule>,
    /// Ids of rules that could not be read: they take nothing away.
    pub(super) unreadable: BTreeSet<String>,
    /// Whether a rule that is not there was taken out.
    pub(super) complete: bool,
}

type Release = BTreeMap<String, Vec<String>>;

/// One consumer's part of a rule.
#[derive(Clone, PartialEq)]
struct Part {
    validity: Validity,
    bases: Vec<Basis>,
    release: Release,
}

/// A citation and its days.
#[derive(Debug, Clone, PartialEq)]
struct Basis {
    citation: String,
    validity: Validity,
}

// === impl Remaining ===

impl Remaining {
    /// Counts rules as not readable that name an unknown system, dataset or field: it is a known
    /// one, misspelt.
    pub(super) fn leave_out_unknown(&mut self, systems: &BTreeSet<String>, catalog: &FieldCatalog) {
        let knows = |rule: &DeclaredRule| {
            let known = |(name, paths): (&Spanned<String>, &Vec<Spanned<String>>)| {
                Dataset::parse(name.get_ref())
                    .is_ok_and(|dataset| paths.iter().all(|path| catalog.field(dataset, path.get_ref()).is_some()))
            };
            rule.consumers.get_ref().iter().all(|consumer| systems.contains(consumer.get_ref()))
                && rule.release.iter().all(known)
        };
        let unknown = self.rules.extract_if(.., |rule| !knows(rule)).map(|rule| rule.id.into_inner());
        self.unreadable.extend(unknown);
    }

    /// Whether it says nothing of the rule with this id.
    fn passes_over(&self, id: &str) -> bool {
        self.unreadable.contains(id) || !self.complete && self.rules.iter().all(|rule| rule.id.get_ref() != id)
    }
}

/// Each rule, cut down to what one of the remaining ones permits as well: consumer, affair, dataset, field and day.
pub(super) fn restricted(rules: &[DeclaredRule], remaining: &Remaining, taken: &mut Vec<String>) -> Vec<DeclaredRule> {
    rules.iter().flat_map(|rule| restricted_rule(rule, remaining, taken)).collect()
}

fn restricted_rule(rule: &DeclaredRule, remaining: &Remaining, taken: &mut Vec<String>) -> Vec<DeclaredRule> {
    let Some(whole) = part_of(rule) else { return Vec::new() };
    if remaining.passes_over(rule.id.get_ref()) {
        return vec![rule.clone()];
    }
    // Consumers of whom the same is left share a rule.
    let mut left: Vec<(Part, Vec<Spanned<String>>)> = Vec::new();
    for consumer in rule.consumers.get_ref() {
        let parts = parts_left(rule, &whole, consumer.get_ref(), remaining);
        tell(rule, &whole, consumer.get_ref(), &parts, taken);
        for part in parts {
            match left.iter_mut().find(|(known, _)| *known == part) {
                Some((_, consumers)) => consumers.push(consumer.clone()),
                None => left.push((part, vec![consumer.clone()])),
            }
        }
    }
    left.into_iter().map(|(part, consumers)| part.rule_like(rule, consumers)).collect()
}

/// What of `rule` is left for a consumer. No two parts release one dataset on one day.
fn parts_left(rule: &DeclaredRule, whole: &Part, consumer: &str, remaining: &Remaining) -> Vec<Part> {
    let mut candidates: Vec<_> = remaining
        .rules
        .iter()
        .filter(|other| other.affair.get_ref() == rule.affair.get_ref())
        .filter(|other| other.consumers.get_ref().iter().any(|named| named.get_ref() == consumer))
        .collect();
    // The rule of the same name first.
    candidates.sort_by_key(|other| {
        (other.id.get_ref() != rule.id.get_ref(), other.version.get_ref() != rule.version.get_ref())
    });
    let mut parts: Vec<Part> = Vec::new();
    for other in candidates {
        let Some(mut part) = part_of(other).and_then(|other| whole.within(&other)) else { continue };
        part.release.retain(|dataset, _| {
            let clashes = |known: &Part| known.release.contains_key(dataset) && known.validity.overlaps(part.validity);
            !parts.iter().any(clashes)
        });
        if !part.release.is_empty() {
            parts.push(part);
        }
    }
    parts
}

fn tell(rule: &DeclaredRule, whole: &Part, consumer: &str, parts: &[Part], taken: &mut Vec<String>) {
    let (id, version) = (rule.id.get_ref(), rule.version.get_ref());
    let what = match parts {
        [part] if part == whole => return,
        [] => "releases nothing",
        _ => "releases less",
    };
    taken.push(format!("rule {id:?} version {version} {what} to system {consumer:?} any more"));
}

/// What of a legal basis is left where the list under a key is to be in force as well: its own
/// citations, on the days of both. `None` where that is the same, or the list says nothing.
pub(super) fn left_of(bases: &[DeclaredBasis], entry: &Entry, key: &str) -> Option<Vec<DeclaredBasis>> {
    // Its tables may be written one after another.
    let others = bases_of(&entry.table, key).filter(|_| entry.settled && entry.says(key))?;
    let own: Vec<_> = bases.iter().filter_map(basis_of).collect();
    let left = narrowed(&own, &others);
    (left != own).then(|| left.into_iter().map(Basis::declared).collect())
}

/// The list of legal bases under a key; empty where it is absent, `None` where one of them can't be read.
fn bases_of(table: &Table, key: &str) -> Option<Vec<Basis>> {
    let one = |item: &Value| {
        let item = item.as_table()?;
        let to = if item.contains_key("valid_to") { Some(day_of(item, "valid_to")?) } else { None };
        let validity = Validity { from: day_of(item, "valid_from")?, to };
        Some(Basis { citation: text_of(item, "citation")?.to_owned(), validity })
    };
    match table.get(key) {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(one).collect(),
        Some(_) => None,
    }
}

/// Whether every date of a rule is a date without time.
pub(super) fn is_dated(rule: &DeclaredRule) -> bool {
    part_of(rule).is_some() && rule.basis.iter().flatten().all(|basis| basis_of(basis).is_some())
}

fn narrowed(bases: &[Basis], others: &[Basis]) -> Vec<Basis> {
    let mut left: Vec<Basis> = Vec::new();
    for basis in bases {
        for other in others {
            let Some(validity) = both(basis.validity, other.validity) else { continue };
            let basis = Basis { citation: basis.citation.clone(), validity };
            if left.iter().any(|known| known.covers(&basis)) {
                continue;
            }
            left.retain(|known| !basis.covers(known));
            left.push(basis);
        }
    }
    left
}

/// The days of both; `None` where there are none.
fn both(one: Validity, other: Validity) -> Option<Validity> {
    let to = match (one.to, other.to) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let validity = Validity { from: one.from.max(other.from), to };
    (!validity.ended(validity.from)).then_some(validity)
}

fn part_of(rule: &DeclaredRule) -> Option<Part> {
    let to = match &rule.valid_to {
        Some(to) => Some(day(to.get_ref())?),
        None => None,
    };
    let fields = |paths: &[Spanned<String>]| paths.iter().map(|path| path.get_ref().clone()).collect();
    Some(Part {
        validity: Validity { from: day(rule.valid_from.get_ref())?, to },
        bases: rule.basis.iter().flatten().filter_map(basis_of).collect(),
        release: rule.release.iter().map(|(dataset, paths)| (dataset.get_ref().clone(), fields(paths))).collect(),
    })
}

fn basis_of(basis: &DeclaredBasis) -> Option<Basis> {
    let to = match &basis.valid_to {
        Some(to) => Some(day(to.get_ref())?),
        None => None,
    };
    let validity = Validity { from: day(basis.valid_from.get_ref())?, to };
    Some(Basis { citation: basis.citation.get_ref().clone(), validity })
}

fn datetime(day: Date) -> Spanned<Datetime> {
    let part = |number: i8| u8::try_from(number).unwrap_or_default();
    // Days of a file have years from 0 to 9999.
    let year = u16::try_from(day.year()).unwrap_or_default();
    let date = toml::value::Date { year, month: part(day.month()), day: part(day.day()) };
    placed(Datetime { date: Some(date), time: None, offset: None })
}

// === impl Part ===

impl Part {
    /// What of this part the other one permits as well.
    fn within(&self, other: &Self) -> Option<Self> {
        let release = self.release.iter().filter_map(|(dataset, paths)| {
            let permitted = other.release.get(dataset)?;
            let left: Vec<_> = paths.iter().filter(|path| permitted.contains(path)).cloned().collect();
            (!left.is_empty()).then(|| (dataset.clone(), left))
        });
        Some(Self {
            validity: both(self.validity, other.validity)?,
            bases: narrowed(&self.bases, &other.bases),
            release: release.collect(),
        })
    }

    fn rule_like(self, rule: &DeclaredRule, consumers: Vec<Spanned<String>>) -> DeclaredRule {
        let fields = |paths: Vec<String>| paths.into_iter().map(placed).collect();
        DeclaredRule {
            consumers: placed(consumers),
            valid_from: datetime(self.validity.from),
            valid_to: self.validity.to.map(datetime),
            basis: Some(self.bases.into_iter().map(Basis::declared).collect()),
            release: self.release.into_iter().map(|(dataset, paths)| (placed(dataset), fields(paths))).collect(),
            ..rule.clone()
        }
    }
}

// === impl Basis ===

impl Basis {
    /// Whether this one is in force on every day of the other, by the same citation.
    fn covers(&self, other: &Self) -> bool {
        self.citation == other.citation && both(self.validity, other.validity) == Some(other.validity)
    }

    fn declared(self) -> DeclaredBasis {
        DeclaredBasis {
            citation: placed(self.citation),
            valid_from: datetime(self.validity.from),
            valid_to: self.validity.to.map(datetime),
        }
    }
}
