//! A person as a system registers them (宛名情報): which texts may be there, and how long they may be.
//!
//! Lengths are characters (項目定義書; FAPI where they differ). No text is normalised or changed: 行政事務標準文字 lose their identity
//! under NFC (U+FA19 becomes U+795E).

use crate::check::Check;
use crate::date::Date;
use crate::identifier::MunicipalityCode;
use crate::violation::Violation;

/// A person; the personal number is none of this crate's business.
#[derive(Debug, Clone, Default)]
pub struct Person<'a> {
    /// 氏名.
    pub name: Option<PersonName<'a>>,
    /// 通称: name and reading.
    pub alias: Option<(&'a str, &'a str)>,
    /// 旧氏: surname and reading.
    pub former_surname: Option<(&'a str, &'a str)>,
    /// 性別: 0 不明, 1 男, 2 女.
    pub sex: i32,
    /// 生年月日: date, 不詳フラグ, 不詳表記.
    pub birth_date: Option<(&'a str, bool, &'a str)>,
    /// 住所.
    pub address: Option<Address<'a>>,
    /// 住民状態: 0 to 4.
    pub resident_status: i32,
}

/// 氏名 in all its forms.
#[derive(Debug, Clone, Copy, Default)]
pub struct PersonName<'a> {
    /// 氏名.
    pub full_name: &'a str,
    /// 氏.
    pub family_name: &'a str,
    /// 名.
    pub given_name: &'a str,
    /// 氏名の振り仮名.
    pub full_name_kana: &'a str,
    /// 氏名_外国人ローマ字.
    pub roman_name: &'a str,
    /// 氏名_外国人漢字.
    pub foreign_kanji_name: &'a str,
}

/// 住所.
#[derive(Debug, Clone, Copy, Default)]
pub struct Address<'a> {
    /// 市区町村コード.
    pub municipality_code: &'a str,
    /// 町字コード.
    pub town_code: &'a str,
    /// 都道府県.
    pub prefecture: &'a str,
    /// 市区郡町村名.
    pub city: &'a str,
    /// 町字.
    pub town: &'a str,
    /// 番地号.
    pub block: &'a str,
    /// 方書.
    pub building: &'a str,
    /// 郵便番号.
    pub postal_code: &'a str,
    /// 国名コード.
    pub country_code: &'a str,
    /// 国名等.
    pub country_name: &'a str,
    /// 国外住所.
    pub overseas_address: &'a str,
}

/// Longest 不詳表記, in characters.
const UNKNOWN_DATE_CHARS_MAX: usize = 72;

// === impl Person ===

impl Person<'_> {
    /// What is wrong with the fields that are given, each by itself. An update may give any of
    /// them.
    ///
    /// `today` is the day in Japan: a birth can't lie after it.
    #[must_use]
    pub fn violations_of_fields(&self, today: Date) -> Vec<Violation> {
        let mut check = Check::default();
        if let Some(name) = &self.name {
            name.check(&mut check);
        }
        if let Some((alias, kana)) = self.alias {
            check.text("alias.alias", alias, 100);
            check.kana("alias.alias_kana", kana, 100);
        }
        if let Some((surname, kana)) = self.former_surname {
            check.text("former_surname.former_surname", surname, 50);
            check.kana("former_surname.former_surname_kana", kana, 100);
        }
        check.code("sex", self.sex, 2);
        check.code("resident_status", self.resident_status, 4);
        if let Some((date, _, text)) = self.birth_date {
            check.past_date("birth_date.date", date, today);
            check.text("birth_date.text", text, UNKNOWN_DATE_CHARS_MAX);
        }
        if let Some(address) = &self.address {
            address.check(&mut check);
        }
        check.done()
    }

    /// What is wrong with the person as a whole: what is required, and fields that have to fit each
    /// other.
    #[must_use]
    pub fn violations_of_whole(&self) -> Vec<Violation> {
        let mut check = Check::default();
        let named = self.name.is_some_and(|name| name.forms().iter().any(|(_, text, _)| !text.trim().is_empty()));
        check.holds(named, "name", "needs at least one form");
        if let Some((date, unknown, text)) = self.birth_date {
            check_birth_date(&mut check, date, unknown, text);
        }
        check.done()
    }
}

/// Known: the date alone. Unknown (不詳): the text as written, and the date as far as the register holds one.
fn check_birth_date(check: &mut Check, date: &str, unknown: bool, text: &str) {
    if unknown {
        check.holds(!text.is_empty(), "birth_date.text", "is required when the date is unknown (不詳)");
    } else {
        check.holds(!date.is_empty(), "birth_date.date", "is required unless the date is unknown (不詳)");
        check.holds(text.is_empty(), "birth_date.text", "is for unknown dates (不詳) only");
    }
}

// === impl PersonName ===

impl PersonName<'_> {
    fn forms(&self) -> [(&'static str, &str, usize); 6] {
        [
            ("name.full_name", self.full_name, 100),
            ("name.family_name", self.family_name, 50),
            ("name.given_name", self.given_name, 50),
            ("name.full_name_kana", self.full_name_kana, 100),
            ("name.roman_name", self.roman_name, 100),
            ("name.foreign_kanji_name", self.foreign_kanji_name, 100),
        ]
    }

    fn check(&self, check: &mut Check) {
        for (field, text, max) in self.forms() {
            if field == "name.full_name_kana" {
                check.kana(field, text, max);
            } else {
                check.text(field, text, max);
            }
        }
    }
}

// === impl Address ===

impl Address<'_> {
    fn check(&self, check: &mut Check) {
        if !self.municipality_code.is_empty() {
            check.holds(
                MunicipalityCode::parse(self.municipality_code).is_ok(),
                "address.municipality_code",
                "must be 6 digits with a right check digit",
            );
        }
        check.digits("address.town_code", self.town_code, 7, "must be 7 digits");
        check.digits("address.postal_code", self.postal_code, 7, "must be 7 digits without hyphen");
        let country = self.country_code;
        check.holds(
            country.is_empty() || (country.len() == 3 && country.bytes().all(|byte| byte.is_ascii_alphanumeric())),
            "address.country_code",
            "must be 3 letters or digits",
        );
        for (field, text, max) in [
            ("address.prefecture", self.prefecture, 4),
            ("address.city", self.city, 12),
            ("address.town", self.town, 120),
            ("address.block", self.block, 50),
            ("address.building", self.building, 300),
            ("address.country_name", self.country_name, 100),
            ("address.overseas_address", self.overseas_address, 300),
        ] {
            check.text(field, text, max);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> Person<'static> {
        Person {
            name: Some(PersonName { full_name: "葛󠄀城　太郎", ..PersonName::default() }),
            birth_date: Some(("1980-01-01", false, "")),
            address: Some(Address { municipality_code: "132098", town_code: "0000000", ..Address::default() }),
            ..Person::default()
        }
    }

    const TODAY: Date = jiff::civil::date(2026, 11, 26);

    fn fields(person: &Person<'_>) -> Vec<String> {
        let found = person.violations_of_fields(TODAY).into_iter().chain(person.violations_of_whole());
        found.map(|violation| violation.field).collect()
    }

    #[test]
    fn a_birth_lies_not_ahead_and_a_reading_is_katakana() {
        let born = |date| Person { birth_date: Some((date, false, "")), ..good() };
        assert!(fields(&born("2026-11-26")).is_empty(), "today");
        assert_eq!(fields(&born("2026-11-27")), ["birth_date.date"]);
        assert_eq!(fields(&Person { birth_date: Some(("2999-01-01", true, "頃")), ..good() }), ["birth_date.date"]);
        let name = PersonName { full_name: "町田", full_name_kana: "まちだ", ..PersonName::default() };
        let person =
            Person { name: Some(name), alias: Some(("a", "b")), former_surname: Some(("c", "ﾄﾞ")), ..good() };
        assert_eq!(fields(&person), ["name.full_name_kana", "alias.alias_kana", "former_surname.former_surname_kana"]);
    }

    #[test]
    fn fields_are_judged_apart_from_the_whole_they_make_up() {
        let part = Person { birth_date: Some(("", true, "")), ..Person::default() };
        assert!(part.violations_of_fields(TODAY).is_empty(), "an update may give nothing else");
        assert_eq!(part.violations_of_whole().len(), 2);
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let long = "邉󠄂".repeat(50);
        let name = Some(PersonName { full_name: &long, ..PersonName::default() });
        assert!(fields(&Person { name, ..good() }).is_empty(), "50 characters with a selector each are 100");
        let longer = "亜".repeat(101);
        let name = Some(PersonName { full_name: &longer, ..PersonName::default() });
        assert_eq!(fields(&Person { name, ..good() }), ["name.full_name"]);
    }

    #[test]
    fn an_unknown_birth_date_has_its_text_and_a_known_one_has_none() {
        assert!(fields(&Person { birth_date: Some(("", true, "昭和１５年頃")), ..good() }).is_empty());
        assert!(fields(&Person { birth_date: Some(("1940-01-01", true, "昭和１５年頃")), ..good() }).is_empty());
        assert_eq!(fields(&Person { birth_date: Some(("", true, "")), ..good() }), ["birth_date.text"]);
        assert_eq!(fields(&Person { birth_date: Some(("", false, "")), ..good() }), ["birth_date.date"]);
        assert_eq!(fields(&Person { birth_date: Some(("1940-01-01", false, "頃")), ..good() }), ["birth_date.text"]);
    }

    #[test]
    fn somebody_without_any_name_is_refused() {
        assert_eq!(fields(&Person { name: None, ..good() }), ["name"]);
        assert_eq!(fields(&Person { name: Some(PersonName::default()), ..good() }), ["name"]);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in ".*", code in any::<i32>()) {
            let person = Person {
                name: Some(PersonName { full_name: &text, ..PersonName::default() }),
                sex: code,
                birth_date: Some((&text, true, &text)),
                address: Some(Address { municipality_code: &text, postal_code: &text, ..Address::default() }),
                ..Person::default()
            };
            let _ = fields(&person);
        }
    }
}
