//! Looks for personal numbers in bytes, in every form in which they could lie there.

use std::collections::HashSet;

/// Digits of a personal number.
const NUMBER_DIGITS: u32 = 12;
/// 10 to the power of the digits.
const NUMBER_RANGE: u64 = 1_000_000_000_000;

/// How digits are written: one digit (or two) in so many bytes.
struct Form {
    name: &'static str,
    unit_bytes: usize,
    /// 1 or 2.
    unit_digits: u32,
    unit: fn(&[u8]) -> Option<u64>,
}

/// Every form looked for.
const FORMS: [Form; 8] = [
    Form { name: "ASCII", unit_bytes: 1, unit_digits: 1, unit: |unit| ascii(*unit.first()?) },
    Form { name: "packed BCD", unit_bytes: 1, unit_digits: 2, unit: |unit| packed(*unit.first()?) },
    Form { name: "hex of ASCII", unit_bytes: 2, unit_digits: 1, unit: |unit| strip(unit, b"3", b"").and_then(ascii) },
    Form { name: "UTF-16LE", unit_bytes: 2, unit_digits: 1, unit: |unit| strip(unit, b"", b"\0").and_then(ascii) },
    Form { name: "UTF-16BE", unit_bytes: 2, unit_digits: 1, unit: |unit| strip(unit, b"\0", b"").and_then(ascii) },
    Form {
        name: "full-width",
        unit_bytes: 3,
        unit_digits: 1,
        unit: |unit| digit(strip(unit, b"\xef\xbc", b"")?, 0x90),
    },
    Form {
        name: "full-width UTF-16LE",
        unit_bytes: 2,
        unit_digits: 1,
        unit: |unit| digit(strip(unit, b"", b"\xff")?, 0x10),
    },
    Form {
        name: "full-width UTF-16BE",
        unit_bytes: 2,
        unit_digits: 1,
        unit: |unit| digit(strip(unit, b"\xff", b"")?, 0x10),
    },
];

/// The numbers that are looked for.
pub(super) struct Detector {
    numbers: HashSet<u64>,
}

/// A number was found; never which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// How it was written.
    pub(super) form: &'static str,
    /// Where.
    pub(super) offset: usize,
}

// === impl Detector ===

impl Detector {
    /// Looks for these numbers; what is not 12 digits is left out.
    pub(super) fn new<'a>(numbers: impl IntoIterator<Item = &'a str>) -> Self {
        let twelve = |number: &&str| number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit());
        Self { numbers: numbers.into_iter().filter(twelve).filter_map(|number| number.parse().ok()).collect() }
    }

    /// How many numbers are looked for.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Every place where one of them stands, in whatever form, inside longer runs of digits as well.
    pub(super) fn find(&self, bytes: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for form in &FORMS {
            for phase in 0..form.unit_bytes {
                self.find_form(form, phase, bytes, |offset, _| found.push(Found { form: form.name, offset }));
            }
        }
        found
    }

    /// How many of the numbers stand there in ASCII.
    pub(super) fn distinct(&self, bytes: &[u8]) -> usize {
        let mut seen = HashSet::new();
        self.find_form(&FORMS[0], 0, bytes, |_, number| {
            seen.insert(number);
        });
        seen.len()
    }

    /// One pass: `phase` is where the first unit starts. Looks at every twelfth digit only until it meets one: a number that is
    /// there covers one of these places.
    fn find_form(&self, form: &Form, phase: usize, bytes: &[u8], mut each: impl FnMut(usize, u64)) {
        let units = bytes.len().saturating_sub(phase) / form.unit_bytes;
        let unit = |index: usize| {
            let start = phase + index * form.unit_bytes;
            bytes.get(start..start + form.unit_bytes).and_then(form.unit)
        };
        let stride = (NUMBER_DIGITS / form.unit_digits) as usize;
        let mut place = stride - 1;
        while place < units {
            if unit(place).is_none() {
                place += stride;
                continue;
            }
            let mut start = place;
            while start > 0 && unit(start - 1).is_some() {
                start -= 1;
            }
            let mut end = start;
            let mut value = 0;
            while let Some(next) = unit(end) {
                value = (value * 10_u64.pow(form.unit_digits) + next) % NUMBER_RANGE;
                end += 1;
                if end - start >= stride && self.numbers.contains(&value) {
                    each(phase + end * form.unit_bytes, value);
                }
            }
            // No digit at `end`, so the next number covers the place one stride on.
            place = end + stride;
        }
    }
}

fn ascii(byte: u8) -> Option<u64> {
    digit(byte, b'0')
}

fn digit(byte: u8, zero: u8) -> Option<u64> {
    byte.checked_sub(zero).filter(|digit| *digit < 10).map(u64::from)
}

fn packed(byte: u8) -> Option<u64> {
    let (high, low) = (byte >> 4, byte & 0x0f);
    (high < 10 && low < 10).then(|| u64::from(high) * 10 + u64::from(low))
}

/// The one byte between a prefix and a suffix.
fn strip(unit: &[u8], prefix: &[u8], suffix: &[u8]) -> Option<u8> {
    match unit.strip_prefix(prefix)?.strip_suffix(suffix)? {
        [byte] => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "012345678901";

    fn forms() -> Vec<(&'static str, Vec<u8>)> {
        let wide: String =
            NUMBER.chars().map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0xff10).unwrap()).collect();
        let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        vec![
            ("ASCII", NUMBER.as_bytes().to_vec()),
            ("packed BCD", vec![0x01, 0x23, 0x45, 0x67, 0x89, 0x01]),
            ("hex of ASCII", NUMBER.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()),
            ("UTF-16LE", utf16(NUMBER, u16::to_le_bytes)),
            ("UTF-16BE", utf16(NUMBER, u16::to_be_bytes)),
            ("full-width", wide.clone().into_bytes()),
            ("full-width UTF-16LE", utf16(&wide, u16::to_le_bytes)),
            ("full-width UTF-16BE", utf16(&wide, u16::to_be_bytes)),
        ]
    }

    #[test]
    fn a_number_is_found_in_every_form_at_every_alignment() {
        let detector = Detector::new([NUMBER]);
        for (form, written) in forms() {
            for before in ["", "x", "xy", "999"] {
                let bytes = [before.as_bytes(), &written, b"--"].concat();
                let found = detector.find(&bytes);
                assert!(found.iter().any(|found| found.form == form), "{form} after {before:?}: {found:?}");
            }
        }
    }

    #[test]
    fn other_digits_are_not_found() {
        let detector = Detector::new([NUMBER]);
        assert_eq!(detector.find(b"012345678902 01234567890 1 2026-11-01T00:00:00.123456789Z"), []);
    }
}
