//! The growing edge of the tree: all that is needed to append.

use crate::hash::{Hash, node_hash};

/// The roots of the perfect subtrees of a tree, largest first: one for each bit of its size. At most 64 hashes, whatever the size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

/// Why stored bytes are no frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not the edge of a tree")]
pub struct FrontierError;

// === impl Frontier ===

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, roots: Vec::new() }
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of a leaf, and tells `completed(level, index, root)` of every perfect subtree that is complete with it:
    /// level 0 is the leaf itself, level k covers the 2^k leaves from `index << k` on.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        let index = self.size;
        completed(0, index, leaf);
        let mut root = leaf;
        for level in 0..u8::try_from(index.trailing_ones()).unwrap_or(u8::MAX) {
            if let Some(left) = self.roots.pop() {
                root = node_hash(&left, &root);
                completed(level + 1, index >> (level + 1), root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The root of the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => Hash::EMPTY_ROOT,
            Some(smallest) => roots.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }

    /// The size (8 bytes, big endian) and the hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        bytes.extend(self.roots.iter().flat_map(|root| root.0));
        bytes
    }

    /// Reads what [`Frontier::to_bytes`] writes.
    ///
    /// # Errors
    /// [`FrontierError`] where the number of hashes does not fit the size.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let (size, hashes) = bytes.split_first_chunk::<8>().ok_or(FrontierError)?;
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() || u32::try_from(hashes.len()).ok() != Some(size.count_ones()) {
            return Err(FrontierError);
        }
        Ok(Self { size, roots: hashes.iter().copied().map(Hash).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn the_edge_survives_storage_and_refuses_what_does_not_fit() {
        let mut tree = Frontier::empty();
        for number in 0..100_u64 {
            tree.push(leaf_hash(&number.to_be_bytes()), |_, _, _| {});
            let bytes = tree.to_bytes();
            assert_eq!(Frontier::from_bytes(&bytes), Ok(tree.clone()));
            for wrong in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() - 32], &[bytes.as_slice(), &[0; 32]].concat()]
            {
                assert_eq!(Frontier::from_bytes(wrong), Err(FrontierError));
            }
        }
        assert_eq!(Frontier::from_bytes(&[0; 7]), Err(FrontierError));
    }
}
