//! The lines of a leaf, written and read strictly: one leaf has one spelling.

use super::{BYTES_MAX, Direction, Leaf, LeafError, LeafShape, Outcome, VERSION};
use crate::hash::Hash;
use crate::text::{parse_decimal, parse_hex};

/// Lines under way.
pub(super) struct Lines {
    pub(super) out: Vec<u8>,
}

// === impl Lines ===

impl Lines {
    pub(super) fn text(&mut self, key: &str, value: &str) -> Result<(), LeafError> {
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(LeafError::Character);
        }
        self.out.extend_from_slice(key.as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'\n');
        Ok(())
    }

    pub(super) fn name(&mut self, key: &str, value: &str) -> Result<(), LeafError> {
        is_name(value)?;
        self.text(key, value)
    }

    pub(super) fn optional(&mut self, key: &str, value: Option<&str>) -> Result<(), LeafError> {
        value.map_or(Ok(()), |value| self.text(key, value))
    }
}

pub(super) fn is_name(value: &str) -> Result<(), LeafError> {
    let wrong = |letter: char| letter == ' ' || letter.is_control();
    if value.is_empty() || value.contains(wrong) { Err(LeafError::Character) } else { Ok(()) }
}

/// Lines being read, in order.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a str,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, LeafError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LeafError::Malformed)?;
        let mut reader = Self { rest: text };
        if bytes.len() <= BYTES_MAX && reader.line() == Some(VERSION) { Ok(reader) } else { Err(LeafError::Malformed) }
    }

    fn line(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        Some(line)
    }

    /// The value of the next line if it has this key.
    fn optional(&mut self, key: &str) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        let value = line.strip_prefix(key)?.strip_prefix(' ')?;
        self.rest = rest;
        Some(value)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, LeafError> {
        match self.optional(key) {
            Some(value) if value.is_empty() || value.chars().any(char::is_control) => Err(LeafError::Malformed),
            value => Ok(value.map(str::to_owned)),
        }
    }

    fn name(&mut self, key: &str) -> Result<&'a str, LeafError> {
        self.optional(key).filter(|value| is_name(value).is_ok()).ok_or(LeafError::Malformed)
    }

    fn number(&mut self, key: &str) -> Result<u64, LeafError> {
        self.optional(key).and_then(parse_decimal).ok_or(LeafError::Malformed)
    }

    fn hash(&mut self, key: &str) -> Result<Hash, LeafError> {
        self.optional(key).and_then(Hash::from_hex).ok_or(LeafError::Malformed)
    }

    pub(super) fn shape(&mut self) -> Result<LeafShape, LeafError> {
        let names = |text: &str| -> Result<Vec<String>, LeafError> {
            text.split(' ')
                .map(|name| is_name(name).map(|()| name.to_owned()).map_err(|_| LeafError::Malformed))
                .collect()
        };
        let rule = |text: &str| {
            let (id, version) = text.split_once(' ')?;
            let version = parse_decimal(version).and_then(|version| u32::try_from(version).ok())?;
            is_name(id).ok()?;
            Some((id.to_owned(), version))
        };
        Ok(LeafShape {
            direction: self.optional("direction").and_then(Direction::parse).ok_or(LeafError::Malformed)?,
            method: self.name("method")?.to_owned(),
            system: self.name("system")?.to_owned(),
            division: self.text("division")?,
            affair: self.text("affair")?,
            rule: self.optional("rule").map(|text| rule(text).ok_or(LeafError::Malformed)).transpose()?,
            basis: self.text("basis")?,
            dataset: match self.optional("dataset") {
                Some(name) if is_name(name).is_err() => return Err(LeafError::Malformed),
                name => name.map(str::to_owned),
            },
            fields: self.optional("fields").map_or(Ok(Vec::new()), names)?,
            policy: self.hash("policy")?.0,
        })
    }

    pub(super) fn own(&mut self) -> Result<Leaf, LeafError> {
        Ok(Leaf {
            id: self.optional("id").and_then(parse_uuid).ok_or(LeafError::Malformed)?,
            requested_us: self.number("requested")?,
            provided_us: self.number("provided")?,
            outcome: self.optional("outcome").and_then(Outcome::parse).ok_or(LeafError::Malformed)?,
            reason: match self.optional("reason") {
                Some(reason) if is_name(reason).is_err() => return Err(LeafError::Malformed),
                reason => reason.map(str::to_owned),
            },
            records: self.number("records")?,
            subject: self.hash("subject")?,
            content: self.hash("content")?,
            details: self.hash("details")?,
        })
    }
}

/// 8-4-4-4-12 lower-case hexadecimal digits.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hyphens = [8, 13, 18, 23];
    let in_place = text.len() == 36 && hyphens.iter().all(|place| text.as_bytes()[*place] == b'-');
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    if in_place { parse_hex(&digits) } else { None }
}
