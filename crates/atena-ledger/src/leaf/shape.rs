//! What thousands of leaves share, written once.

use super::lines::{Lines, Reader, is_name};
use super::{BYTES_MAX, Direction, LeafError, VERSION};
use crate::hash::{Hash, LeafHasher};
use crate::text::push_hex;

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
#[derive(Clone)]
pub struct RenderedShape {
    lines: Vec<u8>,
    /// The hash of a leaf as far as these lines go: they are hashed once for all leaves that share them.
    begun: LeafHasher,
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
        if lines.out.len() > BYTES_MAX { Err(LeafError::TooLong) } else { Ok(RenderedShape::new(lines.out)) }
    }
}

// === impl RenderedShape ===

impl RenderedShape {
    fn new(lines: Vec<u8>) -> Self {
        Self { begun: LeafHasher::new().update(&lines), lines }
    }

    /// The hash of the leaf that goes on with `own`.
    pub(super) fn hash_with(&self, own: &[u8]) -> Hash {
        self.begun.clone().update(own).finish()
    }

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
        if reader.rest.is_empty() { Ok(Self::new(lines)) } else { Err(LeafError::Malformed) }
    }

    /// What the lines say.
    ///
    /// # Errors
    /// [`LeafError::Malformed`]: never for lines that [`LeafShape::render`] wrote.
    pub fn shape(&self) -> Result<LeafShape, LeafError> {
        Reader::new(&self.lines)?.shape()
    }
}

impl PartialEq for RenderedShape {
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines
    }
}

impl Eq for RenderedShape {}

impl std::fmt::Debug for RenderedShape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.lines))
    }
}
