//! A caller's view of a person: how a registration is merged with what the caller registered
//! before.
//!
//! Fields of `Person` have presence. Absent: stays as it is. Present and empty: cleared. What is
//! kept is written without empty fields. So one view has one form, in whichever way it was sent.

use atena_domain::person::{Address, Person, PersonName};
use atena_proto::v1;
use prost::Message;

use super::problems;
use crate::error::{CallError, FieldProblem};

/// A whole view in the form in which it is kept: without personal number, without empty fields.
pub(crate) struct View {
    person: v1::Person,
}

// === impl View ===

impl View {
    /// The view that a first registration makes: what is absent is empty.
    pub(crate) fn first(mut person: v1::Person) -> Self {
        person.drop_empty();
        Self { person }
    }

    /// The view that a registration makes of what was kept before; both in wire form. `None` for
    /// bytes that are no person.
    pub(crate) fn after(before: &[u8], given: &[u8]) -> Option<Self> {
        let mut person = v1::Person::decode(before).ok()?;
        person.merge_fields(v1::Person::decode(given).ok()?);
        Some(Self::first(person))
    }

    /// What is sealed.
    pub(crate) fn content(&self) -> Vec<u8> {
        self.person.encode_to_vec()
    }

    /// 支援措置対象者.
    pub(crate) fn is_protected(&self) -> bool {
        self.person.protected()
    }

    /// What is wrong with the fields that are given, each by itself.
    pub(crate) fn problems_of_fields(&self, today: jiff::civil::Date) -> Vec<FieldProblem> {
        problems("person", domain_person(&self.person).violations_of_fields(today))
    }

    /// What is required, and what has to fit each other.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    pub(crate) fn check_whole(&self) -> Result<(), CallError> {
        let found = problems("person", domain_person(&self.person).violations_of_whole());
        if found.is_empty() { Ok(()) } else { Err(CallError::fields(found)) }
    }
}

/// Whether a registration says something about every field, so that nothing of an earlier one can
/// stay.
pub(crate) fn is_complete(given: &v1::Person) -> bool {
    given.gives_everything()
}

/// A message whose fields can be absent.
trait Parts: Default + PartialEq {
    /// Takes over every field that `newer` gives.
    fn merge_fields(&mut self, newer: Self);
    /// Makes empty fields absent, and messages without any field.
    fn drop_empty(&mut self);
    /// Whether no field is absent.
    fn gives_everything(&self) -> bool;
}

fn is_empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes [`Parts`] for a message by the list of its fields. A field that the list lacks does not
/// compile.
macro_rules! parts {
    ($message:ident: fields $($field:ident)*; messages $($part:ident)*; apart $($apart:ident)*) => {
        impl Parts for v1::$message {
            fn merge_fields(&mut self, newer: Self) {
                let Self { $($field,)* $($part,)* $($apart: _,)* } = newer;
                $(if $field.is_some() { self.$field = $field; })*
                $(if let Some(newer) = $part { self.$part.get_or_insert_default().merge_fields(newer); })*
            }

            fn drop_empty(&mut self) {
                $(self.$field.take_if(|value| is_empty(value));)*
                $(self.$part.take_if(|part| { part.drop_empty(); is_empty(part) });)*
            }

            fn gives_everything(&self) -> bool {
                true $(&& self.$field.is_some())* $(&& self.$part.as_ref().is_some_and(Parts::gives_everything))*
            }
        }
    };
}

parts!(Person: fields sex protected restricted_to_owner resident_status;
    messages name alias former_surname birth_date address; apart personal_number);
parts!(PersonName: fields full_name family_name given_name full_name_kana roman_name foreign_kanji_name; messages; apart);
parts!(Alias: fields alias alias_kana verified; messages; apart);
parts!(FormerSurname: fields former_surname former_surname_kana; messages; apart);
parts!(UncertainDate: fields date unknown text; messages; apart);
parts!(Address: fields municipality_code town_code prefecture city town block building postal_code country_code country_name
    overseas_address; messages; apart);

fn domain_person(person: &v1::Person) -> Person<'_> {
    Person {
        name: person.name.as_ref().map(|name| PersonName {
            full_name: name.full_name(),
            family_name: name.family_name(),
            given_name: name.given_name(),
            full_name_kana: name.full_name_kana(),
            roman_name: name.roman_name(),
            foreign_kanji_name: name.foreign_kanji_name(),
        }),
        alias: person.alias.as_ref().map(|alias| (alias.alias(), alias.alias_kana())),
        former_surname: person
            .former_surname
            .as_ref()
            .map(|former| (former.former_surname(), former.former_surname_kana())),
        // The numbers themselves: a code that is not in the list has to be seen.
        sex: person.sex.unwrap_or_default(),
        birth_date: person.birth_date.as_ref().map(|birth| (birth.date(), birth.unknown(), birth.text())),
        address: person.address.as_ref().map(|address| Address {
            municipality_code: address.municipality_code(),
            town_code: address.town_code(),
            prefecture: address.prefecture(),
            city: address.city(),
            town: address.town(),
            block: address.block(),
            building: address.building(),
            postal_code: address.postal_code(),
            country_code: address.country_code(),
            country_name: address.country_name(),
            overseas_address: address.overseas_address(),
        }),
        resident_status: person.resident_status.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn protected() -> v1::Person {
        v1::Person {
            name: Some(v1::PersonName { full_name: some("試験　花子"), ..Default::default() }),
            birth_date: Some(v1::UncertainDate { date: some("1980-01-02"), ..Default::default() }),
            address: Some(v1::Address { town: some("森野"), block: some("秘密二番地"), ..Default::default() }),
            protected: Some(true),
            sex: Some(2),
            ..Default::default()
        }
    }

    fn after(row: &v1::Person) -> v1::Person {
        merge(row).unwrap().person
    }

    fn merge(row: &v1::Person) -> Option<View> {
        View::after(&View::first(protected()).content(), &row.encode_to_vec())
    }

    #[test]
    fn what_a_row_does_not_say_stays() {
        let name = Some(v1::PersonName { family_name: some("試験"), ..Default::default() });
        let row = v1::Person { name, ..Default::default() };
        let merged = after(&row);
        assert_eq!(merged.name.as_ref().unwrap().full_name(), "試験　花子");
        assert_eq!(merged.name.as_ref().unwrap().family_name(), "試験");
        assert!(merged.address == protected().address && merged.protected() && merged.sex() == v1::Sex::Female);
        assert!(after(&v1::Person::default()) == protected(), "an empty row changes nothing");
        let empty = v1::Person { address: Some(v1::Address::default()), ..Default::default() };
        assert!(after(&empty) == protected(), "an empty message gives no field");
    }

    #[test]
    fn what_a_row_says_is_empty_is_cleared() {
        let row = v1::Person {
            address: Some(v1::Address { block: some(""), ..Default::default() }),
            birth_date: Some(v1::UncertainDate { date: some(""), unknown: Some(false), text: some("") }),
            protected: Some(false),
            sex: Some(0),
            ..Default::default()
        };
        let merged = after(&row);
        assert_eq!((merged.address.unwrap().block, merged.birth_date.is_none()), (None, true));
        assert_eq!((merged.protected, merged.sex), (None, None));
    }

    #[test]
    fn one_view_has_one_form() {
        let explicit = v1::Person {
            alias: Some(v1::Alias { alias: some(""), alias_kana: some(""), verified: Some(false) }),
            restricted_to_owner: Some(false),
            resident_status: Some(0),
            ..protected()
        };
        assert_eq!(View::first(explicit).content(), View::first(protected()).content());
    }

    #[test]
    fn only_a_row_with_every_field_is_complete() {
        let mut row = v1::Person {
            name: Some(v1::PersonName {
                full_name: some("a"),
                family_name: some(""),
                given_name: some(""),
                full_name_kana: some(""),
                roman_name: some(""),
                foreign_kanji_name: some(""),
            }),
            alias: Some(v1::Alias { alias: some(""), alias_kana: some(""), verified: Some(false) }),
            former_surname: Some(v1::FormerSurname { former_surname: some(""), former_surname_kana: some("") }),
            sex: Some(1),
            birth_date: Some(v1::UncertainDate { date: some(""), unknown: Some(false), text: some("") }),
            address: Some(v1::Address {
                municipality_code: some(""),
                town_code: some(""),
                prefecture: some(""),
                city: some(""),
                town: some(""),
                block: some(""),
                building: some(""),
                postal_code: some(""),
                country_code: some(""),
                country_name: some(""),
                overseas_address: some(""),
            }),
            protected: Some(false),
            restricted_to_owner: Some(false),
            resident_status: Some(1),
            ..Default::default()
        };
        assert!(is_complete(&row));
        row.protected = None;
        assert!(!is_complete(&row));
        assert!(!is_complete(&protected()));
    }

    #[test]
    fn fields_are_checked_ahead_and_the_whole_after_merging() {
        let row = v1::Person { sex: Some(9), ..Default::default() };
        let today = jiff::civil::date(2026, 11, 26);
        let fields: Vec<_> =
            View::first(row.clone()).problems_of_fields(today).into_iter().map(|one| one.field).collect();
        assert_eq!(fields, ["person.sex"]);
        assert!(View::first(row.clone()).check_whole().is_err(), "a first registration needs a name");
        assert!(merge(&row).unwrap().check_whole().is_ok());
        let nameless = v1::Person {
            name: Some(v1::PersonName { full_name: some(""), ..Default::default() }),
            ..Default::default()
        };
        assert!(merge(&nameless).unwrap().check_whole().is_err());
        assert!(View::after(b"\x0a", &[]).is_none() && View::after(&[], b"\x0a").is_none());
    }
}
