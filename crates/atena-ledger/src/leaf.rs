//! The leaf: what the log says of one transfer in the open. Text, one line an item, so that an auditor can read it as it is; without
//! personal data, which stays behind three salted commitments.
//!
//! ```text
//! atena-transfer/1
//! direction OUTBOUND
//! method LinkageService/GetRecords
//! system resident-tax
//! division 財務部市民税課
//! affair 市都民税賦課業務
//! rule transfer-1 1
//! basis 町田市個人番号及び特定個人情報の利用に関する条例
//! dataset payment
//! fields fiscal_year months.month months.status
//! policy 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
//! id 0199c2a4-0000-7000-8000-000000000001
//! requested 1763888400000000
//! provided 1763888400001234
//! outcome RELEASED
//! records 3
//! subject e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
//! content 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
//! details fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
//! ```
//!
//! `division`, `affair`, `rule`, `basis`, `dataset`, `fields` and `reason` (after `outcome`) are left out where there is none. Times
//! are microseconds since 1970-01-01T00:00:00Z. One leaf has one spelling.

use std::fmt;

use crate::hash::Hash;
use crate::text::{parse_decimal, parse_hex, push_decimal, push_hex};

/// The first line.
const VERSION: &str = "atena-transfer/1";

/// Longest leaf, in bytes: what fits an entry bundle (c2sp.org/tlog-tiles).
const BYTES_MAX: usize = 65_535;

/// Which way, seen from the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// 入手.
    Inbound,
    /// 移転.
    Outbound,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Sent.
    Released,
    /// Stored.
    Received,
    /// Nothing was sent or stored.
    Refused,
    /// The caller went away before.
    Cancelled,
    /// The deadline passed before.
    TimedOut,
    /// The gateway could not answer.
    Failed,
}

/// What thousands of leaves share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeafShape {
    /// Which way.
    pub direction: Direction,
    /// The RPC, `Service/Method`.
    pub method: String,
    /// The calling system, or its certificate's URI where no system is known.
    pub system: String,
    /// 部署.
    pub division: Option<String>,
    /// 事務.
    pub affair: Option<String>,
    /// The rule that allowed it, with its version.
    pub rule: Option<(String, u32)>,
    /// 法令上の根拠 in force.
    pub basis: Option<String>,
    /// The dataset.
    pub dataset: Option<String>,
    /// Paths of the fields.
    pub fields: Vec<String>,
    /// SHA-256 of the rules in force.
    pub policy: [u8; 32],
}

/// The lines of a [`LeafShape`], written once for all leaves that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedShape {
    lines: Vec<u8>,
}

/// What is one leaf's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The transfer's id, a UUID.
    pub id: [u8; 16],
    /// 求め日時, microseconds since 1970.
    pub requested_us: u64,
    /// 提供日時, microseconds since 1970.
    pub provided_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Reason of a refusal.
    pub reason: Option<String>,
    /// Rows sent or received.
    pub records: u64,
    /// Commitment to the person.
    pub subject: Hash,
    /// Commitment to the digest of what was sent or stored.
    pub content: Hash,
    /// Commitment to the sealed details.
    pub details: Hash,
}

/// Why something is no leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// A value has a control character, or a name has a space, or is empty.
    #[error("a value of a leaf has a character that it may not have")]
    Character,
    /// Longer than 65,535 bytes.
    #[error("a leaf has at most 65,535 bytes")]
    TooLong,
    /// Not in the form of a leaf.
    #[error("this is not a leaf of version 1")]
    Malformed,
}

// === impl Direction ===

impl Direction {
    /// As the log keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "INBOUND",
            Self::Outbound => "OUTBOUND",
        }
    }

    /// Reads what [`Direction::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound].into_iter().find(|direction| direction.as_str() == text)
    }
}

// === impl Outcome ===

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Released, Self::Received, Self::Refused, Self::Cancelled, Self::TimedOut, Self::Failed];

    /// As the log keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "RELEASED",
            Self::Received => "RECEIVED",
            Self::Refused => "REFUSED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
            Self::Failed => "FAILED",
        }
    }

    /// Reads what [`Outcome::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

// === impl LeafShape ===

impl LeafShape {
    /// Writes the lines.
    ///
    /// # Errors
    /// [`LeafError::Character`], [`LeafError::TooLong`].
    pub fn render(&self) -> Result<RenderedShape, LeafError> {
        let mut lines = Lines { out: format!("{VERSION}\n").into_bytes() };
        lines.name("direction", self.direction.as_str())?;
        lines.name("method", &self.method)?;
        lines.name("system", &self.system)?;
        lines.optional("division", self.division.as_deref())?;
        lines.optional("affair", self.affair.as_deref())?;
        if let Some((id, version)) = &self.rule {
            is_name(id)?;
            lines.text("rule", &format!("{id} {version}"))?;
        }
        lines.optional("basis", self.basis.as_deref())?;
        if let Some(dataset) = &self.dataset {
            lines.name("dataset", dataset)?;
        }
        if !self.fields.is_empty() {
            self.fields.iter().try_for_each(|field| is_name(field))?;
            lines.text("fields", &self.fields.join(" "))?;
        }
        lines.out.extend_from_slice(b"policy ");
        push_hex(&mut lines.out, &self.policy);
        lines.out.push(b'\n');
        if lines.out.len() > BYTES_MAX { Err(LeafError::TooLong) } else { Ok(RenderedShape { lines: lines.out }) }
    }
}

// === impl RenderedShape ===

impl RenderedShape {
    /// The lines, as they stand in every leaf of this shape.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.lines
    }

    /// Takes lines that were written by [`LeafShape::render`] and kept.
    ///
    /// # Errors
    /// [`LeafError::Malformed`].
    pub fn from_bytes(lines: Vec<u8>) -> Result<Self, LeafError> {
        let mut reader = Reader::new(&lines)?;
        reader.shape()?;
        if reader.rest.is_empty() { Ok(Self { lines }) } else { Err(LeafError::Malformed) }
    }

    /// What the lines say.
    ///
    /// # Errors
    /// [`LeafError::Malformed`]: never for lines that [`LeafShape::render`] wrote.
    pub fn shape(&self) -> Result<LeafShape, LeafError> {
        Reader::new(&self.lines)?.shape()
    }
}

// === impl Leaf ===

impl Leaf {
    /// Appends the whole leaf to `out`; on an error `out` is as it was.
    ///
    /// # Errors
    /// [`LeafError::Character`], [`LeafError::TooLong`].
    pub fn encode(&self, shape: &RenderedShape, out: &mut Vec<u8>) -> Result<(), LeafError> {
        if let Some(reason) = &self.reason {
            is_name(reason)?;
        }
        let start = out.len();
        out.extend_from_slice(&shape.lines);
        out.extend_from_slice(b"id ");
        for (index, part) in
            [&self.id[..4], &self.id[4..6], &self.id[6..8], &self.id[8..10], &self.id[10..]].iter().enumerate()
        {
            if index > 0 {
                out.push(b'-');
            }
            push_hex(out, part);
        }
        let mut number = |name: &str, value: u64| {
            out.extend_from_slice(name.as_bytes());
            push_decimal(out, value);
        };
        number("\nrequested ", self.requested_us);
        number("\nprovided ", self.provided_us);
        out.extend_from_slice(b"\noutcome ");
        out.extend_from_slice(self.outcome.as_str().as_bytes());
        if let Some(reason) = &self.reason {
            out.extend_from_slice(b"\nreason ");
            out.extend_from_slice(reason.as_bytes());
        }
        out.extend_from_slice(b"\nrecords ");
        push_decimal(out, self.records);
        for (name, commitment) in
            [("\nsubject ", &self.subject), ("\ncontent ", &self.content), ("\ndetails ", &self.details)]
        {
            out.extend_from_slice(name.as_bytes());
            push_hex(out, &commitment.0);
        }
        out.push(b'\n');
        if out.len() - start > BYTES_MAX {
            out.truncate(start);
            return Err(LeafError::TooLong);
        }
        Ok(())
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// [`LeafError::Malformed`] for everything that [`Leaf::encode`] would not write.
    pub fn decode(leaf: &[u8]) -> Result<(LeafShape, Self), LeafError> {
        let mut reader = Reader::new(leaf)?;
        let shape = reader.shape()?;
        let own = reader.own()?;
        if reader.rest.is_empty() { Ok((shape, own)) } else { Err(LeafError::Malformed) }
    }
}

/// Lines under way.
struct Lines {
    out: Vec<u8>,
}

// === impl Lines ===

impl Lines {
    fn text(&mut self, key: &str, value: &str) -> Result<(), LeafError> {
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(LeafError::Character);
        }
        self.out.extend_from_slice(key.as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'\n');
        Ok(())
    }

    fn name(&mut self, key: &str, value: &str) -> Result<(), LeafError> {
        is_name(value)?;
        self.text(key, value)
    }

    fn optional(&mut self, key: &str, value: Option<&str>) -> Result<(), LeafError> {
        value.map_or(Ok(()), |value| self.text(key, value))
    }
}

fn is_name(value: &str) -> Result<(), LeafError> {
    let wrong = |letter: char| letter == ' ' || letter.is_control();
    if value.is_empty() || value.contains(wrong) { Err(LeafError::Character) } else { Ok(()) }
}

/// Lines being read, in order.
struct Reader<'a> {
    rest: &'a str,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, LeafError> {
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

    fn shape(&mut self) -> Result<LeafShape, LeafError> {
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

    fn own(&mut self) -> Result<Leaf, LeafError> {
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

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> LeafShape {
        LeafShape {
            direction: Direction::Outbound,
            method: "LinkageService/GetRecords".into(),
            system: "resident-tax".into(),
            division: Some("財務部市民税課".into()),
            affair: Some("市都民税賦課業務".into()),
            rule: Some(("transfer-1".into(), 1)),
            basis: Some("条例; 番号法第19条第8項 別表第2(48)".into()),
            dataset: Some("payment".into()),
            fields: vec!["fiscal_year".into(), "months.month".into()],
            policy: [0xab; 32],
        }
    }

    fn leaf() -> Leaf {
        Leaf {
            id: [0x12; 16],
            requested_us: 1_763_888_400_000_000,
            provided_us: 1_763_888_400_001_234,
            outcome: Outcome::Released,
            reason: None,
            records: 3,
            subject: Hash([1; 32]),
            content: Hash([2; 32]),
            details: Hash([3; 32]),
        }
    }

    fn encoded(shape: &LeafShape, leaf: &Leaf) -> Vec<u8> {
        let mut out = Vec::new();
        leaf.encode(&shape.render().unwrap(), &mut out).unwrap();
        out
    }

    #[test]
    fn a_leaf_is_read_as_it_was_written() {
        let bare = LeafShape {
            division: None,
            affair: None,
            rule: None,
            basis: None,
            dataset: None,
            fields: Vec::new(),
            ..shape()
        };
        let refused = Leaf { outcome: Outcome::Refused, reason: Some("ROLE_REQUIRED".into()), ..leaf() };
        for (shape, leaf) in [(shape(), leaf()), (bare, refused)] {
            let bytes = encoded(&shape, &leaf);
            assert_eq!(Leaf::decode(&bytes), Ok((shape.clone(), leaf)));
            let rendered = RenderedShape::from_bytes(shape.render().unwrap().as_bytes().to_vec()).unwrap();
            assert_eq!(rendered.shape().unwrap(), shape);
        }
    }

    #[test]
    fn one_leaf_has_one_spelling() {
        let text = String::from_utf8(encoded(&shape(), &leaf())).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for index in 0..lines.len() {
            let mut without = lines.clone();
            without.remove(index);
            let joined = without.join("\n") + "\n";
            if let Ok((shape, leaf)) = Leaf::decode(joined.as_bytes()) {
                assert_eq!(encoded(&shape, &leaf), joined.as_bytes(), "only optional lines can be missing");
            }
            let mut twice = lines.clone();
            twice.insert(index, lines[index]);
            assert_eq!(Leaf::decode((twice.join("\n") + "\n").as_bytes()), Err(LeafError::Malformed));
        }
        for wrong in [
            text.trim_end().to_owned(),
            text.clone() + "\n",
            text.replace("records 3", "records 03"),
            text.replace("id 12", "id AB"),
        ] {
            assert_eq!(Leaf::decode(wrong.as_bytes()), Err(LeafError::Malformed));
        }
    }

    #[test]
    fn a_value_can_not_pretend_to_be_a_line() {
        let forged = LeafShape { affair: Some("x\noutcome RELEASED".into()), ..shape() };
        assert_eq!(forged.render(), Err(LeafError::Character));
        let spaced = LeafShape { fields: vec!["a b".into()], ..shape() };
        assert_eq!(spaced.render(), Err(LeafError::Character));
        let mut out = b"before".to_vec();
        let bad = Leaf { reason: Some("A\nB".into()), ..leaf() };
        assert_eq!(bad.encode(&shape().render().unwrap(), &mut out), Err(LeafError::Character));
        assert_eq!(out, b"before");
    }
}
