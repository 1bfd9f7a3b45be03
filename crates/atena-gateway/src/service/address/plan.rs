//! What becomes of each registration of a chunk: decided in memory, before anything is written.
//!
//! Pure, so that every combination of numbers can be tested (one-person-one-number): the database's view comes in as maps, each
//! decision updates them, and the next registration of the same chunk sees what the one before it did.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};

use crate::error::{CallError, Reason};

/// A blind index of a personal number; never printed.
pub(super) type Index = [u8; 32];

/// A person known before, or the nth new one of this chunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PersonRef {
    Known(UnifiedAddressNumber),
    New(usize),
}

/// What the database knows about the numbers of a chunk, as seen by the registering system.
#[derive(Default)]
pub(super) struct Known {
    /// The system's own links.
    pub(super) by_local: HashMap<LocalAddressNumber, PersonRef>,
    /// The same, the other way round.
    pub(super) local_of: HashMap<PersonRef, LocalAddressNumber>,
    /// People by personal number, current or former.
    pub(super) by_index: HashMap<Index, PersonRef>,
    /// People who have a personal number.
    pub(super) numbered: std::collections::HashSet<PersonRef>,
    /// Migrated unified numbers of this chunk that somebody has already.
    pub(super) taken: std::collections::HashSet<UnifiedAddressNumber>,
    /// New people so far.
    pub(super) new_people: usize,
}

/// The numbers of one registration.
pub(super) struct Numbers {
    pub(super) local: LocalAddressNumber,
    pub(super) index: Option<Index>,
    pub(super) new_without_personal_number: bool,
    pub(super) migrated: Option<UnifiedAddressNumber>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// A new person: issue a number (or take the migrated one), keep the personal number, link, keep the view.
    Issue(PersonRef),
    /// A person known by personal number: link, keep the view.
    Link(PersonRef),
    /// Linked before: keep the view; `attach` the personal number that the person had not had.
    Update { person: PersonRef, attach: bool },
    /// The system has another local number for this person.
    SecondLocalNumber { person: PersonRef },
    /// The linked person has no personal number, and this one belongs to somebody else: they may be one.
    MaybeOnePerson { person: PersonRef, other: PersonRef },
}

// === impl Known ===

impl Known {
    /// Decides about one registration and remembers the decision.
    pub(super) fn plan(&mut self, numbers: &Numbers) -> Result<Plan, CallError> {
        let linked = self.by_local.get(&numbers.local).cloned();
        let owner = numbers.index.and_then(|index| self.by_index.get(&index).cloned());
        let plan = match (linked, numbers.index, owner) {
            (Some(person), Some(_), Some(owner)) if person == owner => Plan::Update { person, attach: false },
            (Some(person), Some(_), Some(other)) if !self.numbered.contains(&person) => {
                return Ok(Plan::MaybeOnePerson { person, other });
            }
            (Some(person), Some(_), None) if !self.numbered.contains(&person) => Plan::Update { person, attach: true },
            (Some(_), Some(_), _) => {
                return Err(CallError::new(
                    Reason::LocalNumberConflict,
                    "this local address number belongs to a person with another personal number; if the number was changed, use ReplacePersonalNumber",
                ));
            }
            (Some(person), None, _) => Plan::Update { person, attach: false },
            (None, Some(_), Some(person)) if self.local_of.contains_key(&person) => {
                return Ok(Plan::SecondLocalNumber { person });
            }
            (None, Some(_), Some(person)) => Plan::Link(person),
            (None, Some(_), None) => Plan::Issue(PersonRef::New(self.new_people)),
            (None, None, _) if numbers.new_without_personal_number => Plan::Issue(PersonRef::New(self.new_people)),
            (None, None, _) => {
                return Err(CallError::field(
                    "person.personal_number",
                    "is required for a local address number not yet registered, unless new_without_personal_number says that the person is new",
                ));
            }
        };
        self.check_migrated(&plan, numbers)?;
        self.remember(&plan, numbers);
        Ok(plan)
    }

    fn check_migrated(&mut self, plan: &Plan, numbers: &Numbers) -> Result<(), CallError> {
        let Some(migrated) = &numbers.migrated else {
            return Ok(());
        };
        let field = "migrated_unified_address_number";
        match plan {
            Plan::Issue(_) if self.taken.insert(migrated.clone()) => Ok(()),
            Plan::Issue(_) => Err(CallError::field(field, "belongs to another person already")),
            Plan::Link(person) | Plan::Update { person, .. } if *person == PersonRef::Known(migrated.clone()) => Ok(()),
            _ => Err(CallError::field(field, "the person has another unified address number already")),
        }
    }

    fn remember(&mut self, plan: &Plan, numbers: &Numbers) {
        let (person, numbered) = match plan {
            Plan::Issue(person) => {
                self.new_people += 1;
                (person, numbers.index.is_some())
            }
            Plan::Link(person) => (person, true),
            Plan::Update { person, attach } => (person, *attach),
            Plan::SecondLocalNumber { .. } | Plan::MaybeOnePerson { .. } => return,
        };
        self.by_local.insert(numbers.local.clone(), person.clone());
        self.local_of.insert(person.clone(), numbers.local.clone());
        if numbered {
            self.numbered.insert(person.clone());
            if let Some(index) = numbers.index {
                self.by_index.insert(index, person.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(local: &str, index: Option<u8>) -> Numbers {
        Numbers {
            local: LocalAddressNumber::parse(local).unwrap(),
            index: index.map(|byte| [byte; 32]),
            new_without_personal_number: false,
            migrated: None,
        }
    }

    fn person(body: u64) -> PersonRef {
        PersonRef::Known(UnifiedAddressNumber::from_body(body).unwrap())
    }

    /// The system knows person 1 as "1" with personal number 11; person 2 is known by number 22 from elsewhere; person 3 is
    /// known as "3" without a number.
    fn known() -> Known {
        let mut known = Known::default();
        for (local, body) in [("1", 1), ("3", 3)] {
            let local = LocalAddressNumber::parse(local).unwrap();
            known.by_local.insert(local.clone(), person(body));
            known.local_of.insert(person(body), local);
        }
        known.by_index.insert([11; 32], person(1));
        known.by_index.insert([22; 32], person(2));
        known.numbered.extend([person(1), person(2)]);
        known
    }

    #[test]
    fn one_person_one_number_a_known_personal_number_is_linked_not_issued() {
        assert_eq!(known().plan(&numbers("9", Some(22))), Ok(Plan::Link(person(2))));
    }

    #[test]
    fn two_new_registrations_of_one_personal_number_in_one_chunk_are_one_person() {
        let mut known = known();
        assert_eq!(known.plan(&numbers("8", Some(88))), Ok(Plan::Issue(PersonRef::New(0))));
        assert_eq!(known.plan(&numbers("8", Some(88))), Ok(Plan::Update { person: PersonRef::New(0), attach: false }));
        assert_eq!(
            known.plan(&numbers("9", Some(88))),
            Ok(Plan::SecondLocalNumber { person: PersonRef::New(0) }),
            "one system, two local numbers for one person goes to review"
        );
    }

    #[test]
    fn the_same_local_number_with_another_personal_number_is_refused() {
        for index in [22, 99] {
            let error = known().plan(&numbers("1", Some(index))).unwrap_err();
            assert_eq!(error.reason, Reason::LocalNumberConflict);
        }
    }

    #[test]
    fn a_second_local_number_for_one_person_goes_to_review() {
        assert_eq!(known().plan(&numbers("9", Some(11))), Ok(Plan::SecondLocalNumber { person: person(1) }));
    }

    #[test]
    fn a_person_without_number_takes_a_free_one_and_goes_to_review_for_a_taken_one() {
        assert_eq!(known().plan(&numbers("3", Some(33))), Ok(Plan::Update { person: person(3), attach: true }));
        assert_eq!(
            known().plan(&numbers("3", Some(22))),
            Ok(Plan::MaybeOnePerson { person: person(3), other: person(2) })
        );
    }

    #[test]
    fn without_a_personal_number_only_a_known_local_number_or_a_declared_newcomer_passes() {
        assert_eq!(known().plan(&numbers("1", None)), Ok(Plan::Update { person: person(1), attach: false }));
        assert_eq!(known().plan(&numbers("9", None)).unwrap_err().reason, Reason::InvalidField);
        let declared = Numbers { new_without_personal_number: true, ..numbers("9", None) };
        assert_eq!(known().plan(&declared), Ok(Plan::Issue(PersonRef::New(0))));
    }

    #[test]
    fn a_migrated_number_that_somebody_has_is_refused() {
        let migrated = Some(UnifiedAddressNumber::parse_migrated("123456789123456").unwrap());
        let mut known = known();
        let first = Numbers { migrated: migrated.clone(), ..numbers("8", Some(88)) };
        assert_eq!(known.plan(&first), Ok(Plan::Issue(PersonRef::New(0))));
        let second = Numbers { migrated, ..numbers("9", Some(99)) };
        assert_eq!(known.plan(&second).unwrap_err().reason, Reason::InvalidField);
    }
}
