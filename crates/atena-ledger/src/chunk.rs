//! How leaves are stored: many in one value, what they share written once. Storage only: what is hashed and shown to others is the
//! leaf's own text.
//!
//! Version byte, then the shapes (count, then length and lines of each), then the leaves (count, then for each: shape, id, times,
//! outcome, reason, records, the three commitments). Counts and lengths are LEB128, times 8 bytes big endian.

use crate::hash::Hash;
use crate::leaf::{Leaf, LeafError, Outcome, RenderedShape};

/// First byte.
const VERSION: u8 = 1;

/// Leaves with the shapes they share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    shapes: Vec<RenderedShape>,
    leaves: Vec<(usize, Leaf)>,
}

// === impl Chunk ===

impl Chunk {
    /// The leaves in order, each with its shape.
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = (&RenderedShape, &Leaf)> {
        self.leaves.iter().map(|(place, leaf)| (&self.shapes[*place], leaf))
    }

    /// The shapes, each once.
    #[must_use]
    pub fn shapes(&self) -> &[RenderedShape] {
        &self.shapes
    }

    /// The leaves in order, each with the place of its shape among [`Chunk::shapes`].
    #[must_use]
    pub fn placed(&self) -> &[(usize, Leaf)] {
        &self.leaves
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_chunk(self.leaves())
    }

    /// Reads the stored form. Shapes stand in the order in which leaves use them, each once and none unused, so that leaves have one form alone.
    ///
    /// # Errors
    /// [`LeafError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut reader = Reader { rest: bytes };
        if reader.take(1)? != [VERSION] {
            return Err(LeafError::Malformed);
        }
        let mut chunk = Self::default();
        for _ in 0..reader.number()? {
            let length = reader.length()?;
            let shape = RenderedShape::from_bytes(reader.take(length)?.to_vec())?;
            if chunk.shapes.contains(&shape) {
                return Err(LeafError::Malformed);
            }
            chunk.shapes.push(shape);
        }
        let mut used = 0;
        for _ in 0..reader.number()? {
            let place = reader.length()?;
            if place > used || place >= chunk.shapes.len() {
                return Err(LeafError::Malformed);
            }
            used = used.max(place + 1);
            chunk.leaves.push((place, reader.leaf()?));
        }
        if reader.rest.is_empty() && used == chunk.shapes.len() { Ok(chunk) } else { Err(LeafError::Malformed) }
    }
}

/// The stored form of leaves with their shapes; [`Chunk::from_bytes`] reads it.
#[must_use]
pub fn encode_chunk<'a>(leaves: impl ExactSizeIterator<Item = (&'a RenderedShape, &'a Leaf)>) -> Vec<u8> {
    let mut shapes: Vec<&RenderedShape> = Vec::new();
    let mut own = Vec::with_capacity(160 * leaves.len());
    push_number(&mut own, leaves.len() as u64);
    for (shape, leaf) in leaves {
        // A chunk has few shapes, and the one of the last leaf is most often that of the next.
        let known = shapes.iter().rposition(|known| std::ptr::eq(*known, shape) || *known == shape);
        let place = known.unwrap_or_else(|| {
            shapes.push(shape);
            shapes.len() - 1
        });
        push_number(&mut own, place as u64);
        push_leaf(&mut own, leaf);
    }
    let length: usize = shapes.iter().map(|shape| shape.as_bytes().len() + 4).sum();
    let mut out = Vec::with_capacity(16 + length + own.len());
    out.push(VERSION);
    push_number(&mut out, shapes.len() as u64);
    for shape in shapes {
        push_number(&mut out, shape.as_bytes().len() as u64);
        out.extend_from_slice(shape.as_bytes());
    }
    out.extend_from_slice(&own);
    out
}

fn push_leaf(out: &mut Vec<u8>, leaf: &Leaf) {
    out.extend_from_slice(&leaf.id);
    out.extend_from_slice(&leaf.requested_us.to_be_bytes());
    out.extend_from_slice(&leaf.provided_us.to_be_bytes());
    out.push(outcome_code(leaf.outcome));
    let reason = leaf.reason.as_deref().unwrap_or_default();
    push_number(out, reason.len() as u64);
    out.extend_from_slice(reason.as_bytes());
    push_number(out, leaf.records);
    for commitment in [&leaf.subject, &leaf.content, &leaf.details] {
        out.extend_from_slice(&commitment.0);
    }
}

fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Released => 0,
        Outcome::Received => 1,
        Outcome::Refused => 2,
        Outcome::Cancelled => 3,
        Outcome::TimedOut => 4,
        Outcome::Failed => 5,
        Outcome::Erased => 6,
        Outcome::Begun => 7,
        Outcome::Done => 8,
    }
}

fn push_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits always fit.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a> {
    rest: &'a [u8],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], LeafError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(LeafError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LeafError> {
        self.take(N)?.try_into().map_err(|_| LeafError::Malformed)
    }

    fn number(&mut self) -> Result<u64, LeafError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(LeafError::Malformed)
    }

    fn length(&mut self) -> Result<usize, LeafError> {
        usize::try_from(self.number()?).map_err(|_| LeafError::Malformed)
    }

    fn leaf(&mut self) -> Result<Leaf, LeafError> {
        let id = self.array()?;
        let requested_us = u64::from_be_bytes(self.array()?);
        let provided_us = u64::from_be_bytes(self.array()?);
        let [outcome] = self.array()?;
        let outcome =
            Outcome::ALL.into_iter().find(|known| outcome_code(*known) == outcome).ok_or(LeafError::Malformed)?;
        let length = self.length()?;
        let reason = std::str::from_utf8(self.take(length)?).map_err(|_| LeafError::Malformed)?;
        let reason = if reason.is_empty() { None } else { Some(reason.to_owned()) };
        let records = self.number()?;
        let (subject, content, details) = (Hash(self.array()?), Hash(self.array()?), Hash(self.array()?));
        Ok(Leaf { id, requested_us, provided_us, outcome, reason, records, subject, content, details })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::{Direction, LeafShape};

    fn stored() -> Vec<u8> {
        let shape = |system: &str| {
            LeafShape {
                direction: Direction::Outbound,
                method: "m".into(),
                system: system.into(),
                division: None,
                affair: None,
                rule: None,
                basis: None,
                dataset: None,
                fields: Vec::new(),
                policy: [0; 32],
            }
            .render()
            .unwrap()
        };
        let mut leaves = Vec::new();
        for number in 0..300_u64 {
            let outcome = Outcome::ALL[usize::try_from(number).unwrap() % 9];
            let reason = (number % 3 == 0).then(|| "REASON".to_owned());
            let leaf = Leaf {
                id: [7; 16],
                requested_us: number,
                provided_us: u64::MAX - number,
                outcome,
                reason,
                records: number * 1000,
                subject: Hash([1; 32]),
                content: Hash([2; 32]),
                details: Hash([3; 32]),
            };
            leaves.push((shape(if number % 2 == 0 { "a" } else { "b" }), leaf));
        }
        encode_chunk(leaves.iter().map(|(shape, leaf)| (shape, leaf)))
    }

    #[test]
    fn leaves_come_back_and_shapes_are_kept_once() {
        let bytes = stored();
        let chunk = Chunk::from_bytes(&bytes).unwrap();
        assert_eq!((chunk.shapes.len(), chunk.leaves.len()), (2, 300));
        let (shape, leaf) = chunk.leaves().nth(299).unwrap();
        assert_eq!(
            (shape.shape().unwrap().system.as_str(), leaf.records, leaf.provided_us),
            ("b", 299_000, u64::MAX - 299)
        );
        assert_eq!(chunk.to_bytes(), bytes);
        for end in 0..bytes.len() {
            assert!(Chunk::from_bytes(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn shapes_that_no_leaf_uses_or_that_stand_twice_or_in_another_order_are_refused() {
        let chunk = Chunk::from_bytes(&stored()).unwrap();
        let (leaf, two) = (&chunk.leaves[0].1, &chunk.shapes);
        let written = |shapes: &[&RenderedShape], places: &[u8]| {
            let mut out = vec![VERSION, u8::try_from(shapes.len()).unwrap()];
            for shape in shapes {
                push_number(&mut out, shape.as_bytes().len() as u64);
                out.extend_from_slice(shape.as_bytes());
            }
            out.push(u8::try_from(places.len()).unwrap());
            for place in places {
                out.push(*place);
                push_leaf(&mut out, leaf);
            }
            Chunk::from_bytes(&out).is_ok()
        };
        assert!(written(&[], &[]) && written(&[&two[0], &two[1]], &[0, 1, 0]));
        assert!(!written(&[&two[0]], &[]));
        assert!(!written(&[&two[0], &two[1]], &[0]));
        assert!(!written(&[&two[0], &two[1]], &[1, 0]));
        assert!(!written(&[&two[0], &two[0]], &[0, 1]));
    }

    #[test]
    fn damage_is_refused_or_read_as_something_else_and_never_harmful() {
        let bytes = stored();
        let good = Chunk::from_bytes(&bytes).unwrap();
        for bit in 0..2000 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = Chunk::from_bytes(&flipped);
            assert!(read.is_err() || read.is_ok_and(|read| read != good));
        }
    }
}
