//! The tree against the vectors of RFC 6962 implementations, and its proofs against every forgery of one bit.
#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

use std::collections::HashMap;

use atena_ledger::{
    Frontier, Hash, consistency_proof, inclusion_proof, leaf_hash, node_hash, tree_root, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;
use serde_json::Value;

/// A tree with every node of every perfect subtree, and its head at every size.
struct Tree {
    leaves: Vec<Hash>,
    nodes: HashMap<(u8, u64), Hash>,
    roots: Vec<Hash>,
}

impl Tree {
    fn of(leaves: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let (mut frontier, mut tree) =
            (Frontier::empty(), Self { leaves: Vec::new(), nodes: HashMap::new(), roots: vec![Hash::EMPTY_ROOT] });
        for leaf in leaves {
            let hash = leaf_hash(&leaf);
            tree.leaves.push(hash);
            frontier.push(hash, |level, index, node| {
                assert!(tree.nodes.insert((level, index), node).is_none(), "a node is completed once");
            });
            tree.roots.push(frontier.root());
        }
        tree
    }

    fn counting(size: u64) -> Self {
        Self::of((0..size).map(|number| number.to_be_bytes().to_vec()))
    }

    fn read(&self, level: u8, index: u64) -> Result<Hash, ()> {
        self.nodes.get(&(level, index)).copied().ok_or(())
    }

    fn root(&self, size: u64) -> &Hash {
        &self.roots[usize::try_from(size).unwrap()]
    }
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("rfc6962-vectors.json")).unwrap()
}

fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(|hash| Hash(bytes(hash).try_into().unwrap())).collect()
}

#[test]
fn roots_and_proofs_are_those_of_the_vectors() {
    let vectors = vectors();
    let tree = Tree::of(vectors["leaves"].as_array().unwrap().iter().map(bytes));
    assert_eq!(tree.roots, hashes(&vectors["roots"]));
    let inclusion = vectors["inclusion"].as_array().unwrap();
    let consistency = vectors["consistency"].as_array().unwrap();
    assert_eq!((inclusion.len(), consistency.len()), (36, 36));
    for vector in inclusion {
        let (size, index) = (vector["n"].as_u64().unwrap(), vector["i"].as_u64().unwrap());
        let proof = inclusion_proof(index, size, |level, index| tree.read(level, index)).unwrap();
        assert_eq!(proof, hashes(&vector["proof"]), "leaf {index} of {size}");
        let leaf = &tree.leaves[usize::try_from(index).unwrap()];
        verify_inclusion(index, size, leaf, &proof, tree.root(size)).unwrap();
    }
    for vector in consistency {
        let mut sizes = vector
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "proof")
            .map(|(_, size)| size.as_u64().unwrap());
        let (one, two) = (sizes.next().unwrap(), sizes.next().unwrap());
        let (old, new) = (one.min(two), one.max(two));
        let proof = consistency_proof(old, new, |level, index| tree.read(level, index)).unwrap();
        assert_eq!(proof, hashes(&vector["proof"]), "{old} to {new}");
        verify_consistency(old, tree.root(old), new, tree.root(new), &proof).unwrap();
    }
}

/// RFC 6962 §2.1 as it is written, without any cleverness.
fn root_as_written(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let middle = leaves.len().next_power_of_two() / 2;
            node_hash(&root_as_written(&leaves[..middle]), &root_as_written(&leaves[middle..]))
        }
    }
}

#[test]
fn roots_are_those_of_the_definition() {
    let tree = Tree::counting(200);
    for size in 0..=200 {
        let leaves = &tree.leaves[..usize::try_from(size).unwrap()];
        assert_eq!(*tree.root(size), root_as_written(leaves), "{size}");
        assert_eq!(tree_root(size, |level, index| tree.read(level, index)).unwrap(), *tree.root(size));
    }
}

#[test]
fn tamper_evident_every_proof_of_every_size_verifies_and_no_other() {
    let tree = Tree::counting(33);
    for size in 1..=33 {
        for index in 0..size {
            let proof = inclusion_proof(index, size, |level, index| tree.read(level, index)).unwrap();
            let leaf = &tree.leaves[usize::try_from(index).unwrap()];
            let holds = |index, size, leaf: &Hash, proof: &[Hash], root: &Hash| {
                verify_inclusion(index, size, leaf, proof, root).is_ok()
            };
            assert!(holds(index, size, leaf, &proof, tree.root(size)));
            for other in (0..=33).filter(|other| *other != index) {
                assert!(!holds(other, size, leaf, &proof, tree.root(size)), "leaf {index} of {size} at {other}");
            }
            assert!(!holds(index, size, leaf, &[proof.clone(), vec![Hash([0; 32])]].concat(), tree.root(size)));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!holds(index, size, leaf, shorter, tree.root(size)));
            }
        }
        for old in 0..=size {
            let proof = consistency_proof(old, size, |level, index| tree.read(level, index)).unwrap();
            let holds = |old, size, proof: &[Hash]| {
                verify_consistency(old, tree.root(old), size, tree.root(size), proof).is_ok()
            };
            assert!(holds(old, size, &proof), "{old} to {size}");
            assert!(!holds(old, size, &[proof.clone(), vec![Hash([0; 32])]].concat()));
            if old > 0 && old < size {
                let fork = Tree::of((0..size).map(|number| (number + 1).to_be_bytes().to_vec()));
                assert!(verify_consistency(old, fork.root(old), size, tree.root(size), &proof).is_err());
                assert!(verify_consistency(old, tree.root(old), size, fork.root(size), &proof).is_err());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tamper_evident_one_flipped_bit_anywhere_is_found(size in 2_u64..600, index in any::<u64>(), old in any::<u64>(), bit in any::<usize>()) {
        let tree = Tree::counting(size);
        let index = index % size;
        let leaf = tree.leaves[usize::try_from(index).unwrap()];
        let proof = inclusion_proof(index, size, |level, index| tree.read(level, index)).unwrap();
        let flip = |hash: &mut Hash, bit: usize| hash.0[bit / 8 % 32] ^= 1 << (bit % 8);
        let mut forged = proof.clone();
        let place = bit % forged.len();
        flip(&mut forged[place], bit);
        prop_assert!(verify_inclusion(index, size, &leaf, &forged, tree.root(size)).is_err());
        let mut other = leaf;
        flip(&mut other, bit);
        prop_assert!(verify_inclusion(index, size, &other, &proof, tree.root(size)).is_err());
        let mut root = *tree.root(size);
        flip(&mut root, bit);
        prop_assert!(verify_inclusion(index, size, &leaf, &proof, &root).is_err());

        let old = old % (size - 1) + 1;
        let proof = consistency_proof(old, size, |level, index| tree.read(level, index)).unwrap();
        let mut forged = proof.clone();
        let place = bit % forged.len();
        flip(&mut forged[place], bit);
        prop_assert!(verify_consistency(old, tree.root(old), size, tree.root(size), &forged).is_err());
    }
}
