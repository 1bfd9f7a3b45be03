//! One synthetic resident, made from the seed and a number alone.

use atena_domain::{UnifiedAddressNumber, check_digit};
use atena_proto::v1::{
    Address, Alias, FormerSurname, Person, PersonName, PersonRegistration, ResidentStatus, Sex, UncertainDate,
};
use jiff::civil::{Date, date};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::names::{FAMILY, FOREIGN, MEN, TOWNS, WOMEN};

/// "Today" of the population: the same whenever it is made.
pub(super) const TODAY: Date = date(2026, 11, 1);

/// Personal numbers run through all 11-digit bodies before one repeats: the step shares no factor with 10^11.
const NUMBER_BODIES: u64 = 100_000_000_000;
const NUMBER_STEP: u64 = 38_196_601_127;

/// A system with whom it knows.
pub(super) struct SystemOfTown {
    pub(super) id: &'static str,
    /// Of a thousand people.
    known: u32,
    /// First digits of its local numbers.
    series: u64,
    personal_numbers: bool,
}

/// The ten systems. Pension knows everybody.
pub(super) const SYSTEMS: [SystemOfTown; 10] = [
    SystemOfTown { id: "pension", known: 1_000, series: 26, personal_numbers: true },
    SystemOfTown { id: "resident-tax", known: 700, series: 10, personal_numbers: true },
    SystemOfTown { id: "public-assistance", known: 40, series: 21, personal_numbers: true },
    SystemOfTown { id: "welfare", known: 60, series: 22, personal_numbers: true },
    SystemOfTown { id: "long-term-care", known: 250, series: 23, personal_numbers: true },
    SystemOfTown { id: "national-health-insurance", known: 300, series: 24, personal_numbers: true },
    SystemOfTown { id: "late-elderly-medical", known: 150, series: 25, personal_numbers: true },
    SystemOfTown { id: "health-management", known: 400, series: 19, personal_numbers: false },
    SystemOfTown { id: "public-health-center", known: 80, series: 20, personal_numbers: false },
    SystemOfTown { id: "school-affairs", known: 120, series: 17, personal_numbers: false },
];

/// Makes residents.
pub(super) struct Population {
    seed: u64,
    first_number: u64,
}

/// A resident.
pub(super) struct Resident {
    index: u32,
    pub(super) personal_number: String,
    pub(super) basic_pension_number: String,
    pub(super) born: Date,
    /// What a system registers; its number and the personal number are those of the system asked last.
    registration: PersonRegistration,
    known: [bool; SYSTEMS.len()],
    /// Decides the pension history.
    pub(super) dice: ChaCha8Rng,
}

// === impl Population ===

impl Population {
    pub(super) fn new(seed: u64) -> Self {
        let first_number = ChaCha8Rng::seed_from_u64(seed).random_range(0..NUMBER_BODIES);
        Self { seed, first_number }
    }

    pub(super) fn resident(&self, index: u32) -> Resident {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
        dice.set_stream(u64::from(index) + 1);
        // The first one is the demo's: known everywhere, and old enough for a pension.
        let first = index == 0;
        let age = if first { 67 } else { age(&mut dice) };
        let born = Date::constant(TODAY.year() - age, dice.random_range(1..=10), dice.random_range(1..=28));
        let known = SYSTEMS.map(|system| dice.random_ratio(system.known, 1_000) || first);
        let person = person(&mut dice, born, first);
        let body =
            (u128::from(self.first_number) + u128::from(index) * u128::from(NUMBER_STEP)) % u128::from(NUMBER_BODIES);
        let basic = 1_000_000_000 + (u64::from(index) * 7_919 + self.seed % 1_000_000) % 9_000_000_000;
        Resident {
            index,
            personal_number: with_check_digit(&format!("{body:011}")),
            basic_pension_number: basic.to_string(),
            born,
            registration: PersonRegistration { person: Some(person), ..PersonRegistration::default() },
            known,
            dice,
        }
    }
}

// === impl Resident ===

impl Resident {
    /// Age today.
    pub(super) fn age(&self) -> i16 {
        TODAY.year() - self.born.year()
    }

    /// The day on which the resident reaches an age.
    pub(super) fn birthday(&self, age: i16) -> Date {
        Date::constant(self.born.year() + age, self.born.month(), self.born.day())
    }

    /// What a system registers about this resident; `None` if it does not know them.
    pub(super) fn registration(&mut self, system: &SystemOfTown) -> Option<&PersonRegistration> {
        let (_, known) = SYSTEMS.iter().zip(self.known).find(|(one, _)| one.id == system.id)?;
        if !known {
            return None;
        }
        self.registration.local_address_number = self.local_address_number(system);
        self.registration.new_without_personal_number = !system.personal_numbers;
        let person = self.registration.person.as_mut()?;
        person.personal_number.clear();
        if system.personal_numbers {
            person.personal_number.push_str(&self.personal_number);
        }
        Some(&self.registration)
    }

    /// The pension system's number of this resident.
    pub(super) fn in_pension(&self) -> String {
        let [pension, ..] = &SYSTEMS;
        self.local_address_number(pension)
    }

    /// 15 digits with check digit, another series and another order in each system.
    fn local_address_number(&self, system: &SystemOfTown) -> String {
        let within = (u64::from(self.index) * (system.series * 2 + 1) * 1_009) % 900_000_000_000 + 1;
        UnifiedAddressNumber::from_body(system.series * 1_000_000_000_000 + within)
            .map(|number| number.as_str().to_owned())
            .unwrap_or_default()
    }
}

fn with_check_digit(body: &str) -> String {
    let digits: Vec<u8> = body.bytes().map(|digit| digit - b'0').collect();
    format!("{body}{}", check_digit::m11w27(&digits))
}

/// Ages of a Japanese town; a few born before 1916-04-02, for whom the welfare pension was made.
fn age(dice: &mut ChaCha8Rng) -> i16 {
    match dice.random_range(0..1_000) {
        0..3 => dice.random_range(111..=114),
        3..180 => dice.random_range(6..20),
        180..700 => dice.random_range(20..65),
        _ => dice.random_range(65..100),
    }
}

fn pick<'a, T>(dice: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[dice.random_range(0..from.len())]
}

fn person(dice: &mut ChaCha8Rng, born: Date, plain: bool) -> Person {
    let woman = dice.random_bool(0.5);
    let foreign = dice.random_bool(0.03) && !plain;
    let (name, alias) = if foreign { foreign_name(dice) } else { (japanese_name(dice, woman), None) };
    let former_surname = (woman && !foreign && dice.random_bool(0.04)).then(|| {
        let (surname, kana) = *pick(dice, &FAMILY);
        FormerSurname { former_surname: some(surname), former_surname_kana: some(kana) }
    });
    let abroad = dice.random_bool(0.005) && !plain;
    let status = match dice.random_range(0..1_000) {
        _ if plain => ResidentStatus::Resident,
        0..30 => ResidentStatus::NonResident,
        30..45 => ResidentStatus::MovedOut,
        45..55 => ResidentStatus::Deceased,
        _ => ResidentStatus::Resident,
    };
    Person {
        name: Some(name),
        alias,
        former_surname,
        sex: Some(if woman { Sex::Female } else { Sex::Male }.into()),
        birth_date: Some(birth_date(dice, born, plain)),
        address: Some(if abroad { overseas() } else { address(dice) }),
        protected: Some(dice.random_bool(0.005) && !plain),
        restricted_to_owner: Some(false),
        resident_status: Some(status.into()),
        ..Person::default()
    }
}

fn japanese_name(dice: &mut ChaCha8Rng, woman: bool) -> PersonName {
    let (family, family_kana) = *pick(dice, &FAMILY);
    let (given, given_kana) = *pick(dice, if woman { &WOMEN } else { &MEN });
    PersonName {
        full_name: Some(format!("{family}　{given}")),
        family_name: some(family),
        given_name: some(given),
        full_name_kana: Some(format!("{family_kana}　{given_kana}")),
        ..PersonName::default()
    }
}

fn foreign_name(dice: &mut ChaCha8Rng) -> (PersonName, Option<Alias>) {
    let (roman, kanji, alias, kana) = *pick(dice, &FOREIGN);
    let name = PersonName { roman_name: some(roman), foreign_kanji_name: some(kanji), ..PersonName::default() };
    let alias = (!alias.is_empty()).then(|| Alias { alias: some(alias), alias_kana: some(kana), verified: Some(true) });
    (name, alias)
}

fn birth_date(dice: &mut ChaCha8Rng, born: Date, plain: bool) -> UncertainDate {
    if born.year() < 1950 && dice.random_bool(0.02) && !plain {
        let year: String = (born.year() - 1925).to_string().chars().map(full_width).collect();
        return UncertainDate {
            unknown: Some(true),
            text: Some(format!("昭和{year}年頃")),
            ..UncertainDate::default()
        };
    }
    UncertainDate { date: Some(born.to_string()), unknown: Some(false), ..UncertainDate::default() }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn full_width(digit: char) -> char {
    digit.to_digit(10).and_then(|digit| char::from_u32(u32::from('０') + digit)).unwrap_or(digit)
}

fn address(dice: &mut ChaCha8Rng) -> Address {
    let (code, town, postal) = *pick(dice, &TOWNS);
    let building = if dice.random_bool(0.4) {
        format!("第{}町田ハイツ{}号室", dice.random_range(1..9), dice.random_range(101..999))
    } else {
        String::new()
    };
    Address {
        municipality_code: some("132098"),
        town_code: some(code),
        prefecture: some("東京都"),
        city: some("町田市"),
        town: some(town),
        block: Some(format!("{}番{}号", dice.random_range(1..40), dice.random_range(1..30))),
        building: Some(building),
        postal_code: some(postal),
        ..Address::default()
    }
}

fn overseas() -> Address {
    Address {
        country_code: some("840"),
        country_name: some("アメリカ合衆国"),
        overseas_address: some("１ Example Street, Springfield"),
        ..Address::default()
    }
}
