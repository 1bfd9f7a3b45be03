//! A person to register: contract → checked content.

use atena_domain::person::{Address, Person, PersonName};
use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::{Refusal, RegistrationPermit};
use atena_proto::v1;
use atena_vault::PersonalNumber;
use prost::Message;

use super::problems;
use crate::error::{CallError, FieldProblem, Reason};

/// A registration that has passed every check of its own.
pub(crate) struct Registration {
    pub(crate) local_address_number: LocalAddressNumber,
    pub(crate) personal_number: Option<PersonalNumber>,
    /// The person without personal number, in wire form: what is sealed as the caller's view.
    pub(crate) content: Vec<u8>,
    pub(crate) protected: bool,
    pub(crate) new_without_personal_number: bool,
    pub(crate) migrated: Option<UnifiedAddressNumber>,
}

/// Checks a registration. Whether the caller may use personal numbers comes first: a caller who may not gets the same answer for
/// every number, right or wrong, stored or not (number-confinement).
pub(crate) fn parse_registration(
    registration: v1::PersonRegistration,
    permit: &RegistrationPermit,
    may_migrate: bool,
) -> Result<Registration, CallError> {
    let mut person = registration.person.unwrap_or_default();
    let number = std::mem::take(&mut person.personal_number);
    if !number.is_empty() && !permit.may_use_personal_number() {
        // Wiped by the type that would have held it.
        drop(PersonalNumber::parse_owned(number));
        return Err(Refusal::PersonalNumberNotPermitted.into());
    }
    let mut found: Vec<FieldProblem> = problems("person", domain_person(&person).violations());
    let local = LocalAddressNumber::parse(&registration.local_address_number);
    if let Err(error) = &local {
        found.push(FieldProblem { field: "local_address_number".to_owned(), description: error.to_string().into() });
    }
    let migrated = match registration.migrated_unified_address_number.as_str() {
        "" => None,
        _ if !may_migrate => return Err(Refusal::RoleRequired.into()),
        text => match UnifiedAddressNumber::parse_migrated(text) {
            Ok(number) => Some(number),
            Err(error) => {
                let field = "migrated_unified_address_number".to_owned();
                found.push(FieldProblem { field, description: error.to_string().into() });
                None
            }
        },
    };
    let personal_number = match number {
        number if number.is_empty() => None,
        number => match PersonalNumber::parse_owned(number) {
            Ok(number) => Some(number),
            Err(error) => {
                let field = "person.personal_number".to_owned();
                found.push(FieldProblem { field, description: error.to_string().into() });
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
            content: person.encode_to_vec(),
            protected: person.protected,
            new_without_personal_number: registration.new_without_personal_number,
            migrated,
        }),
        _ => Err(CallError::fields(found)),
    }
}

fn domain_person(person: &v1::Person) -> Person<'_> {
    Person {
        name: person.name.as_ref().map(|name| PersonName {
            full_name: &name.full_name,
            family_name: &name.family_name,
            given_name: &name.given_name,
            full_name_kana: &name.full_name_kana,
            roman_name: &name.roman_name,
            foreign_kanji_name: &name.foreign_kanji_name,
        }),
        alias: person.alias.as_ref().map(|alias| (alias.alias.as_str(), alias.alias_kana.as_str())),
        former_surname: person
            .former_surname
            .as_ref()
            .map(|former| (former.former_surname.as_str(), former.former_surname_kana.as_str())),
        sex: person.sex,
        birth_date: person.birth_date.as_ref().map(|birth| (birth.date.as_str(), birth.unknown, birth.text.as_str())),
        address: person.address.as_ref().map(|address| Address {
            municipality_code: &address.municipality_code,
            town_code: &address.town_code,
            prefecture: &address.prefecture,
            city: &address.city,
            town: &address.town,
            block: &address.block,
            building: &address.building,
            postal_code: &address.postal_code,
            country_code: &address.country_code,
            country_name: &address.country_name,
            overseas_address: &address.overseas_address,
        }),
        resident_status: person.resident_status,
    }
}
