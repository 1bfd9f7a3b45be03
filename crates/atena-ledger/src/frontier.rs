//! The growing edge of the tree: all that is needed to append.

use crate::hash::{Hash, node_hash};

/// The roots of the perfect subtrees of a tree, largest first: one for each bit of its size. At most 64 hashes, whatever the size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

/// Why a subtree can't be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no subtree of 2^{level} leaves begins at leaf {size}")]
pub struct MisplacedSubtree {
    /// Its level: it covers 2^level leaves.
    pub level: u8,
    /// Leaves in the tree.
    pub size: u64,
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
    pub fn push(&mut self, leaf: Hash, completed: impl FnMut(u8, u64, Hash)) {
        self.append(0, leaf, completed);
    }

    /// Appends the 2^`level` leaves under `root`, as if each were appended, and tells `completed` of this subtree and those above it.
    ///
    /// # Errors
    /// [`MisplacedSubtree`] where the size is no multiple of 2^`level`: nothing is appended.
    pub fn push_subtree(
        &mut self,
        level: u8,
        root: Hash,
        completed: impl FnMut(u8, u64, Hash),
    ) -> Result<(), MisplacedSubtree> {
        if level >= 64 || self.size.trailing_zeros() < u32::from(level) {
            return Err(MisplacedSubtree { level, size: self.size });
        }
        self.append(level, root, completed);
        Ok(())
    }

    fn append(&mut self, mut level: u8, mut root: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        let mut index = self.size >> level;
        self.size += 1 << level;
        completed(level, index, root);
        while index & 1 == 1
            && let Some(left) = self.roots.pop()
        {
            root = node_hash(&left, &root);
            (level, index) = (level + 1, index >> 1);
            completed(level, index, root);
        }
        self.roots.push(root);
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

/// The root over a power of two of leaves or nodes (RFC 6962 §2.1); `None` for any other number of them.
#[must_use]
pub fn perfect_root(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let half = row.len() / 2;
        for at in 0..half {
            row[at] = node_hash(&row[2 * at], &row[2 * at + 1]);
        }
        row.truncate(half);
    }
    row.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn a_subtree_does_what_its_leaves_would_have_done() {
        let leaves = leaves(64);
        for level in 0..=5_u8 {
            let width = 1_usize << level;
            for start in 0..=leaves.len() - width {
                let (mut whole, mut told) = (Frontier::empty(), Vec::new());
                for leaf in &leaves[..start] {
                    whole.push(*leaf, |_, _, _| {});
                }
                let mut one_by_one = whole.clone();
                for leaf in &leaves[start..start + width] {
                    one_by_one.push(*leaf, |level, index, root| told.push((level, index, root)));
                }
                told.retain(|(completed, ..)| *completed >= level);
                let root = perfect_root(&leaves[start..start + width]).unwrap();
                let mut of_subtree = Vec::new();
                let pushed =
                    whole.push_subtree(level, root, |level, index, root| of_subtree.push((level, index, root)));
                if start % width == 0 {
                    assert_eq!((pushed, &whole, of_subtree), (Ok(()), &one_by_one, told));
                } else {
                    let size = u64::try_from(start).unwrap();
                    assert_eq!((pushed, whole.size()), (Err(MisplacedSubtree { level, size }), size));
                }
            }
        }
        assert!(Frontier::empty().push_subtree(64, leaves[0], |_, _, _| {}).is_err());
    }

    #[test]
    fn only_a_power_of_two_has_a_perfect_root() {
        let leaves = leaves(9);
        let mut tree = Frontier::empty();
        for (count, leaf) in (1..).zip(&leaves) {
            tree.push(*leaf, |_, _, _| {});
            let perfect = [1, 2, 4, 8].contains(&count).then(|| tree.root());
            assert_eq!(perfect_root(&leaves[..count]), perfect);
        }
        assert_eq!(perfect_root(&[]), None);
    }

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
