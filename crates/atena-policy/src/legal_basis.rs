//! Legal bases (法令上の根拠) as data with validity: law changes, and a rule without law in force releases nothing.

use jiff::civil::Date;

/// A citation with its time of validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalBasis {
    /// As a person would write it, e.g. 番号法第19条第8項 別表第2(48).
    pub citation: String,
    /// First day.
    pub valid_from: Date,
    /// Last day; `None` while it has none.
    pub valid_to: Option<Date>,
}

/// Days from the first to the last, both included; open without a last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Date,
    pub(crate) to: Option<Date>,
}

/// The citations in force on a day, joined by `; `; `None` where there are none.
pub(crate) fn citations_in_force(bases: &[LegalBasis], today: Date) -> Option<String> {
    let citations: Vec<_> =
        bases.iter().filter(|basis| basis.in_force(today)).map(|basis| basis.citation.as_str()).collect();
    (!citations.is_empty()).then(|| citations.join("; "))
}

// === impl LegalBasis ===

impl LegalBasis {
    /// Whether the citation is law on this day.
    #[must_use]
    pub fn in_force(&self, today: Date) -> bool {
        self.validity().contains(today)
    }

    pub(crate) fn validity(&self) -> Validity {
        Validity { from: self.valid_from, to: self.valid_to }
    }
}

// === impl Validity ===

impl Validity {
    pub(crate) fn contains(self, day: Date) -> bool {
        self.from <= day && !self.ended(day)
    }

    pub(crate) fn ended(self, day: Date) -> bool {
        self.to.is_some_and(|last| last < day)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        !self.ended(other.from) && !other.ended(self.from)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_first_and_the_last_day_are_included() {
        let basis =
            LegalBasis {
                citation: "条例".to_owned(), valid_from: date(2016, 1, 1), valid_to: Some(date(2026, 3, 31))
            };
        for (day, expected) in [
            (date(2015, 12, 31), false),
            (date(2016, 1, 1), true),
            (date(2026, 3, 31), true),
            (date(2026, 4, 1), false),
        ] {
            assert_eq!(basis.in_force(day), expected, "{day}");
        }
    }

    #[test]
    fn only_the_citations_in_force_are_joined() {
        let basis =
            |citation: &str, from| LegalBasis { citation: citation.to_owned(), valid_from: from, valid_to: None };
        let bases = [basis("甲", date(2016, 1, 1)), basis("乙", date(2021, 9, 1)), basis("丙", date(2030, 1, 1))];
        assert_eq!(citations_in_force(&bases, date(2026, 1, 1)).as_deref(), Some("甲; 乙"));
        assert_eq!(citations_in_force(&bases, date(2000, 1, 1)), None);
    }

    #[test]
    fn times_that_share_one_day_overlap() {
        let validity = |from, to| Validity { from, to };
        let first = validity(date(2020, 4, 1), Some(date(2021, 3, 31)));
        assert!(first.overlaps(validity(date(2021, 3, 31), None)));
        assert!(validity(date(2021, 3, 31), None).overlaps(first));
        assert!(!first.overlaps(validity(date(2021, 4, 1), None)));
        assert!(!validity(date(2021, 4, 1), None).overlaps(first));
    }
}
