//! The tree, its proofs and the signed notes against implementations that others wrote (Cloudflare's tlog_tiles and signed_note).
#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

use std::collections::HashMap;

use atena_ledger::{
    Checkpoint, Frontier, Hash, Signer, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use tlog_tiles::HashReader;

/// The other implementation's way of keeping hashes: one list.
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

fn ours(hash: &tlog_tiles::Hash) -> Hash {
    Hash(hash.0)
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

/// Both trees over the same leaves.
struct Trees {
    tree: Frontier,
    nodes: HashMap<(u8, u64), Hash>,
    leaves: Vec<Hash>,
    stored: Stored,
}

fn trees(size: u64, seed: u64) -> Trees {
    let (mut tree, mut nodes, mut leaves, mut stored) =
        (Frontier::empty(), HashMap::new(), Vec::new(), Stored(Vec::new()));
    for number in 0..size {
        let leaf = (number ^ seed).to_be_bytes();
        let hash = atena_ledger::leaf_hash(&leaf);
        leaves.push(hash);
        tree.push(hash, |level, index, node| {
            nodes.insert((level, index), node);
        });
        let more = tlog_tiles::stored_hashes(number, &leaf, &stored).unwrap();
        stored.0.extend(more);
    }
    Trees { tree, nodes, leaves, stored }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn roots_and_proofs_agree_and_each_accepts_the_others(size in 1_u64..1000, seed in any::<u64>(), index in any::<u64>(), old in any::<u64>()) {
        let Trees { tree, nodes, leaves, stored } = trees(size, seed);
        let read = |level: u8, index: u64| nodes.get(&(level, index)).copied().ok_or(());
        let root = tlog_tiles::tree_hash(size, &stored).unwrap();
        prop_assert_eq!(tree.root(), ours(&root));

        let index = index % size;
        let leaf = leaves[usize::try_from(index).unwrap()];
        let proof = inclusion_proof(index, size, read).unwrap();
        let other: Vec<_> = tlog_tiles::prove_record(size, index, &stored).unwrap();
        prop_assert_eq!(&proof, &other.iter().map(ours).collect::<Vec<_>>());
        verify_inclusion(index, size, &leaf, &proof, &tree.root()).unwrap();
        prop_assert!(tlog_tiles::check_record(&other, size, root, index, theirs(&leaf)).is_ok());

        let old = old % size + 1;
        let proof = consistency_proof(old, size, read).unwrap();
        let other: Vec<_> = tlog_tiles::prove_tree(size, old, &stored).unwrap();
        prop_assert_eq!(&proof, &other.iter().map(ours).collect::<Vec<_>>());
        let old_root = tlog_tiles::tree_hash(old, &stored).unwrap();
        verify_consistency(old, &ours(&old_root), size, &tree.root(), &proof).unwrap();
        prop_assert!(tlog_tiles::check_tree(&other, size, root, old, old_root).is_ok());
    }

    #[test]
    fn notes_that_we_sign_are_accepted_by_others_and_forged_ones_are_not(size in any::<u64>(), root in any::<[u8; 32]>(), seed in any::<[u8; 32]>(), bit in any::<usize>()) {
        let signer = Signer::new("132098.atena/log", &seed).unwrap();
        let note = Checkpoint::new(signer.name(), size, Hash(root)).sign(&signer).to_string();
        let verifier = signed_note::StandardVerifier::new(&signer.verifier_key().to_string()).unwrap();
        let list = signed_note::VerifierList::new(vec![Box::new(verifier)]);
        let parsed = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
        prop_assert!(parsed.verify(&list).is_ok());
        let text = note.find("\n\n").unwrap();
        let mut forged = note.into_bytes();
        let bit = bit % (text * 8);
        forged[bit / 8] ^= 1 << (bit % 8);
        let refused = signed_note::Note::from_bytes(&forged).map_or(true, |note| note.verify(&list).is_err());
        prop_assert!(refused);
    }
}
