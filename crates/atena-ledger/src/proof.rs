//! Inclusion and consistency proofs (RFC 6962 §2.1.1 and §2.1.2), and how they are checked (RFC 9162 §2.1.3.2 and §2.1.4.2).
//!
//! Proofs are made from the roots of perfect subtrees, which `read(level, index)` supplies: the root over the 2^level leaves from
//! `index << level` on.

use crate::hash::{Hash, node_hash};

/// Why a proof could not be made or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E = std::convert::Infallible> {
    /// The leaf or the older tree is not within the tree.
    #[error("the tree does not reach that far")]
    OutOfRange,
    /// The proof is too short or too long.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Mismatch,
    /// A node could not be read.
    #[error("a node of the tree could not be read: {0}")]
    Read(E),
}

/// A perfect subtree: its level and its place in the level.
pub type Node = (u8, u64);

/// The nodes that [`inclusion_proof`] reads, for those who fetch them all at once.
#[must_use]
pub fn inclusion_nodes(index: u64, size: u64) -> Vec<Node> {
    asked(|read| inclusion_proof(index, size, read).is_ok())
}

/// The nodes that [`consistency_proof`] reads.
#[must_use]
pub fn consistency_nodes(old: u64, new: u64) -> Vec<Node> {
    asked(|read| consistency_proof(old, new, read).is_ok())
}

/// The nodes that [`tree_root`] reads.
#[must_use]
pub fn root_nodes(size: u64) -> Vec<Node> {
    asked(|read| tree_root(size, read).is_ok())
}

fn asked(run: impl FnOnce(&mut dyn FnMut(u8, u64) -> Result<Hash, std::convert::Infallible>) -> bool) -> Vec<Node> {
    let mut nodes = Vec::new();
    run(&mut |level, index| {
        nodes.push((level, index));
        Ok(Hash::EMPTY_ROOT)
    });
    nodes
}

/// The hashes beside the way from leaf `index` to the root of the tree of `size` leaves, lowest first.
///
/// # Errors
/// [`ProofError::OutOfRange`], or what `read` failed with.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    // Downwards: the sibling of each step, from the root's children to the leaf's sibling.
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        let sibling = if index < middle { (middle, end) } else { (start, middle) };
        proof.push(range_root(sibling.0, sibling.1, &mut read)?);
        (start, end) = if index < middle { (start, middle) } else { (middle, end) };
    }
    proof.reverse();
    Ok(proof)
}

/// The hashes that show that the tree of `old` leaves is the beginning of the tree of `new` leaves.
///
/// # Errors
/// [`ProofError::OutOfRange`], or what `read` failed with.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut read: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    // SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2, downwards.
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(middle, end, &mut read)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, &mut read)?);
            start = middle;
        }
    }
    if start != 0 {
        proof.push(range_root(start, end, &mut read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root of the tree of `size` leaves.
///
/// # Errors
/// What `read` failed with.
pub fn tree_root<E>(size: u64, mut read: impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, ProofError<E>> {
    if size == 0 { Ok(Hash::EMPTY_ROOT) } else { range_root(0, size, &mut read) }
}

/// Checks that the leaf with hash `leaf` stands at `index` of the tree of `size` leaves with `root` (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Mismatch),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree of `old` leaves with `old_root` is the beginning of the tree of `new` leaves with `new_root` (RFC 9162
/// §2.1.4.2). The empty tree is the beginning of every tree, with an empty proof.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        let same = if old == 0 { *old_root == Hash::EMPTY_ROOT } else { old_root == new_root };
        return if same { Ok(()) } else { Err(ProofError::Mismatch) };
    }
    // A tree of 2^k leaves is itself a node of the larger one, and left out of the proof.
    let (first, rest) = if old.is_power_of_two() {
        (*old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::Length)?;
        (*first, rest)
    };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::Mismatch) }
}

/// The largest power of two smaller than `size` (at least 2): where RFC 6962 splits a tree.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// The root over leaves `start..end`, which begins where a perfect subtree of that size may begin.
fn range_root<E>(
    start: u64,
    end: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, ProofError<E>> {
    // Perfect subtrees from the left, largest first; then folded from the right.
    let mut roots = Vec::new();
    let mut at = start;
    while at < end {
        let level = 63 - (end - at).leading_zeros();
        let level_of_node = u8::try_from(level).unwrap_or(u8::MAX);
        roots.push(read(level_of_node, at >> level).map_err(ProofError::Read)?);
        at += 1 << level;
    }
    let right = roots.pop().ok_or(ProofError::OutOfRange)?;
    Ok(roots.iter().rev().fold(right, |right, left| node_hash(left, &right)))
}
