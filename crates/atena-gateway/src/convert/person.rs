//! A person to register: contract → checked content.

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber, is_zeros};
use atena_policy::{Refusal, RegistrationPermit};
use atena_proto::v1;
use atena_vault::PersonalNumber;
use jiff::civil::Date;
use prost::Message as _;

use super::view::{View, is_complete};
use crate::error::{CallError, FieldProblem, Reason};

/// A registration that has passed every check of its own.
pub(crate) struct Registration {
    pub(crate) local_address_number: LocalAddressNumber,
    pub(crate) personal_number: Option<PersonalNumber>,
    /// The person as given, in wire form, without personal number. Absent fields are absent.
    pub(crate) given: Vec<u8>,
    /// Whether it says something about every field.
    pub(crate) complete: bool,
    /// The view that it makes where nothing was registered before.
    pub(crate) first: View,
    pub(crate) new_without_personal_number: bool,
    pub(crate) migrated: Option<UnifiedAddressNumber>,
}

/// What is said of a number of zeros only.
const PLACEHOLDER: &str = "must not be a placeholder of zeros only";

/// Checks a registration. Whether the caller may use personal numbers comes first: a caller who may
/// not gets the same answer for every number, right or wrong, stored or not (number-confinement).
/// What is required of the person is checked later, once it is known what the caller registered
/// before.
pub(crate) fn parse_registration(
    registration: v1::PersonRegistration,
    permit: &RegistrationPermit,
    may_migrate: bool,
    today: Date,
) -> Result<Registration, CallError> {
    let mut person = registration.person.unwrap_or_default();
    let number = std::mem::take(&mut person.personal_number);
    if !number.is_empty() && !permit.may_use_personal_number() {
        // Wiped by the type that would have held it.
        drop(PersonalNumber::parse_owned(number));
        return Err(Refusal::PersonalNumberNotPermitted.into());
    }
    let (given, complete) = (person.encode_to_vec(), is_complete(&person));
    let first = View::first(person);
    let mut found = first.problems_of_fields(today);
    let mut wrong = |field: &str, description: String| {
        found.push(FieldProblem { field: field.to_owned(), description: description.into() });
    };
    let local = LocalAddressNumber::parse(&registration.local_address_number);
    match &local {
        Err(error) => wrong("local_address_number", error.to_string()),
        Ok(local) if is_zeros(local.as_str()) => wrong("local_address_number", PLACEHOLDER.to_owned()),
        Ok(_) => {}
    }
    let migrated = match registration.migrated_unified_address_number.as_str() {
        "" => None,
        _ if !may_migrate => return Err(Refusal::RoleRequired.into()),
        text => match UnifiedAddressNumber::parse_migrated(text) {
            Ok(number) => {
                if is_zeros(text) {
                    wrong("migrated_unified_address_number", PLACEHOLDER.to_owned());
                }
                Some(number)
            }
            Err(error) => {
                wrong("migrated_unified_address_number", error.to_string());
                None
            }
        },
    };
    let personal_number = match number {
        number if number.is_empty() => None,
        number => match PersonalNumber::parse_owned(number) {
            Ok(number) => Some(number),
            Err(error) => {
                wrong("person.personal_number", error.to_string());
                return Err(CallError {
                    problems: found,
                    ..CallError::new(Reason::InvalidPersonalNumber, "the personal number is not one")
                });
            }
        },
    };
    match local {
        Ok(local_address_number) if found.is_empty() => Ok(Registration {
            local_address_number,
            personal_number,
            given,
            complete,
            first,
            new_without_personal_number: registration.new_without_personal_number,
            migrated,
        }),
        _ => {
            // Of a complete row it is certain already what else is wrong.
            if complete {
                found.extend(first.check_whole().err().into_iter().flat_map(|error| error.problems));
            }
            Err(CallError::fields(found))
        }
    }
}
