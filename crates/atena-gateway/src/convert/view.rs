//! A caller's view of a person: how a registration is merged with what the caller registered
//! before.
//!
//! Fields of `Person` have presence. Absent: stays as it is. Present and empty: cleared. What is
//! kept is written without empty fields. So one view has one form, in whichever way it was sent.
//!
//! Two messages are more than their fields. A date is taken as a whole. An address that becomes
//! another one must say every part that would be left of the former one.

use atena_domain::person::{Address, Person, PersonName};
use atena_proto::v1;
use prost::Message;

use super::problems;
use crate::error::{CallError, FieldProblem};

/// A whole view in the form in which it is kept: without personal number, without empty fields.
pub(crate) struct View {
    person: v1::Person,
}

/// Why a registration is not merged.
#[derive(Debug)]
pub(crate) enum NotMerged {
    /// Bytes that are no person.
    Malformed,
    /// An address of which a part would be left of the former one.
    HalfAnAddress(Vec<FieldProblem>),
}

// === impl View ===

impl View {
    /// The view that a first registration makes: what is absent is empty.
    pub(crate) fn first(mut person: v1::Person) -> Self {
        person.drop_empty();
        Self { person }
    }

    /// The view that a registration makes of what was kept before; both in wire form.
    ///
    /// # Errors
    /// [`NotMerged`].
    pub(crate) fn after(before: &[u8], given: &[u8]) -> Result<Self, NotMerged> {
        let malformed = |_| NotMerged::Malformed;
        let mut person = v1::Person::decode(before).map_err(malformed)?;
        let given = v1::Person::decode(given).map_err(malformed)?;
        if let (Some(kept), Some(given)) = (&person.address, &given.address) {
            let left = parts_left(kept, given);
            if !left.is_empty() {
                return Err(NotMerged::HalfAnAddress(left));
            }
        }
        person.merge_fields(given);
        Ok(Self::first(person))
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

/// Which address a part belongs to, from the widest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Abroad,
    Municipality,
    Town,
    Block,
    Building,
}

/// The parts of an address, each with its level and whether another value means another address.
fn address_parts(address: &v1::Address) -> [(&'static str, Level, bool, Option<&str>); 11] {
    let v1::Address {
        municipality_code,
        town_code,
        prefecture,
        city,
        town,
        block,
        building,
        postal_code,
        country_code,
        country_name,
        overseas_address,
    } = address;
    [
        ("municipality_code", Level::Municipality, true, municipality_code.as_deref()),
        ("town_code", Level::Town, true, town_code.as_deref()),
        ("prefecture", Level::Municipality, true, prefecture.as_deref()),
        ("city", Level::Municipality, true, city.as_deref()),
        ("town", Level::Town, true, town.as_deref()),
        ("block", Level::Block, true, block.as_deref()),
        ("building", Level::Building, true, building.as_deref()),
        // It is corrected by itself.
        ("postal_code", Level::Town, false, postal_code.as_deref()),
        ("country_code", Level::Abroad, true, country_code.as_deref()),
        ("country_name", Level::Abroad, true, country_name.as_deref()),
        ("overseas_address", Level::Abroad, true, overseas_address.as_deref()),
    ]
}

/// The parts that an update leaves out although it makes another address of the one that is kept:
/// with them, the person would live in the former flat of the new house. A part that was empty and
/// is filled in makes no other address, nor does one that is cleared.
fn parts_left(kept: &v1::Address, given: &v1::Address) -> Vec<FieldProblem> {
    let (kept, given) = (address_parts(kept), address_parts(given));
    let has = |abroad: bool| {
        kept.iter().any(|(_, level, _, kept)| (*level == Level::Abroad) == abroad && kept.is_some_and(is_said))
    };
    let changed = kept.iter().zip(&given).filter_map(|((_, level, is_key, kept), (.., given))| {
        let (kept, given) = (kept.filter(|kept| is_said(kept)), given.filter(|given| is_said(given))?);
        match kept {
            Some(kept) => (*is_key && kept != given).then_some(*level),
            // From abroad to here, or the other way.
            None => has(*level != Level::Abroad).then_some(Level::Abroad),
        }
    });
    let Some(widest) = changed.min() else { return Vec::new() };
    let left = kept
        .iter()
        .zip(&given)
        .filter(|((_, level, _, kept), (.., given))| *level >= widest && kept.is_some_and(is_said) && given.is_none());
    let problem = |name| FieldProblem {
        field: format!("person.address.{name}"),
        description: "is left out, and the address becomes another one: send it, empty where the new address has none"
            .into(),
    };
    left.map(|((name, ..), _)| problem(name)).collect()
}

fn is_said(text: &str) -> bool {
    !text.is_empty()
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
    ($message:ident: fields $($field:ident)*; messages $($part:ident)*; wholes $($whole:ident)*; apart $($apart:ident)*) => {
        impl Parts for v1::$message {
            fn merge_fields(&mut self, newer: Self) {
                let Self { $($field,)* $($part,)* $($whole,)* $($apart: _,)* } = newer;
                $(if $field.is_some() { self.$field = $field; })*
                $(if let Some(newer) = $part { self.$part.get_or_insert_default().merge_fields(newer); })*
                // One without any field says nothing.
                $(if let Some(newer) = $whole.filter(|whole| !is_empty(whole)) { self.$whole = Some(newer); })*
            }

            fn drop_empty(&mut self) {
                $(self.$field.take_if(|value| is_empty(value));)*
                $(self.$part.take_if(|part| { part.drop_empty(); is_empty(part) });)*
                $(self.$whole.take_if(|whole| { whole.drop_empty(); is_empty(whole) });)*
            }

            fn gives_everything(&self) -> bool {
                true $(&& self.$field.is_some())* $(&& self.$part.as_ref().is_some_and(Parts::gives_everything))*
                    $(&& self.$whole.as_ref().is_some_and(|whole| !is_empty(whole)))*
            }
        }
    };
}

parts!(Person: fields sex protected restricted_to_owner resident_status;
    messages name alias former_surname address; wholes birth_date; apart personal_number);
parts!(PersonName: fields full_name family_name given_name full_name_kana roman_name foreign_kanji_name; messages; wholes; apart);
parts!(Alias: fields alias alias_kana verified; messages; wholes; apart);
parts!(FormerSurname: fields former_surname former_surname_kana; messages; wholes; apart);
parts!(UncertainDate: fields date unknown text; messages; wholes; apart);
parts!(Address: fields municipality_code town_code prefecture city town block building postal_code country_code country_name
    overseas_address; messages; wholes; apart);

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

    fn merge(row: &v1::Person) -> Result<View, NotMerged> {
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
        assert!(View::after(b"\x0a", &[]).is_err() && View::after(&[], b"\x0a").is_err());
    }

    #[test]
    fn a_date_is_taken_as_a_whole() {
        let date = |date: Option<&str>, unknown, text: Option<&str>| v1::UncertainDate {
            date: date.map(str::to_owned),
            unknown,
            text: text.map(str::to_owned),
        };
        let kept = v1::Person { birth_date: Some(date(None, Some(true), Some("昭和１５年頃"))), ..protected() };
        let kept = View::first(kept).content();
        let after = |birth_date| {
            let row = v1::Person { birth_date: Some(birth_date), ..Default::default() };
            View::after(&kept, &row.encode_to_vec()).unwrap().person.birth_date
        };
        assert!(after(date(Some("1940-01-02"), None, None)) == Some(date(Some("1940-01-02"), None, None)));
        assert!(after(date(Some(""), None, None)).is_none());
        assert!(after(date(None, None, None)) == Some(date(None, Some(true), Some("昭和１５年頃"))), "it says nothing");
    }

    /// An address by its parts: `town=森野`; a part without a value is empty.
    fn address(parts: &str) -> v1::Address {
        let mut address = v1::Address::default();
        for part in parts.split_whitespace() {
            let (name, value) = part.split_once('=').unwrap();
            let field = match name {
                "municipality_code" => &mut address.municipality_code,
                "town_code" => &mut address.town_code,
                "city" => &mut address.city,
                "town" => &mut address.town,
                "block" => &mut address.block,
                "building" => &mut address.building,
                "postal_code" => &mut address.postal_code,
                "country_code" => &mut address.country_code,
                "overseas_address" => &mut address.overseas_address,
                other => panic!("{other}"),
            };
            *field = some(value);
        }
        address
    }

    #[test]
    fn an_address_that_becomes_another_one_leaves_nothing_of_the_former_one() {
        const FLAT: &str = "municipality_code=132098 town=森野 block=1番 building=101号";
        for (kept, given, left) in [
            // To a house: by a client that never sends empty parts, and by one that does.
            (FLAT, "town=原町田 block=2番", &["building"][..]),
            (FLAT, "town=原町田 block=2番 building=", &[]),
            (FLAT, "block=2番", &["building"]),
            (FLAT, "block=2番 building=202号", &[]),
            (FLAT, "building=202号", &[]),
            (FLAT, "town=原町田", &["block", "building"]),
            (FLAT, "municipality_code=131016 town=丸の内", &["block", "building"]),
            (FLAT, "municipality_code=131016", &["town", "block", "building"]),
            ("town_code=0001001 town=森野 postal_code=1940022", "town=原町田", &["town_code", "postal_code"]),
            // What is repeated, filled in, corrected or cleared makes no other address.
            (FLAT, FLAT, &[]),
            (FLAT, "town=森野 block=1番", &[]),
            (FLAT, "town_code=0001001 postal_code=1940022 city=町田市", &[]),
            ("town=森野 postal_code=1940021", "postal_code=1940022", &[]),
            (FLAT, "block=", &[]),
            (FLAT, "town=", &[]),
            ("", "town=原町田", &[]),
            // Abroad, and back.
            (FLAT, "overseas_address=Seoul", &["municipality_code", "town", "block", "building"]),
            (FLAT, "municipality_code= town= block= building= overseas_address=Seoul", &[]),
            ("country_code=KOR overseas_address=Seoul", "town=森野 block=1番", &["country_code", "overseas_address"]),
            ("country_code=KOR overseas_address=Seoul", "overseas_address=Busan", &["country_code"]),
            ("overseas_address=Seoul", "country_code=KOR", &[]),
        ] {
            let problems = parts_left(&address(kept), &address(given));
            let fields: Vec<_> =
                problems.iter().map(|problem| problem.field.trim_start_matches("person.address.")).collect();
            assert_eq!(fields, left, "{kept} -> {given}");
        }
        let row = v1::Person { address: Some(address("town=原町田")), ..Default::default() };
        assert!(matches!(merge(&row), Err(NotMerged::HalfAnAddress(_))), "also of a protected person");
    }
}
