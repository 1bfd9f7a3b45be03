//! Every reader of outside bytes, on bytes that nobody honest wrote: it refuses or reads, and what it reads it would write.
#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

use atena_ledger::witness::AddCheckpoint;
use atena_ledger::{
    Checkpoint, Direction, Frontier, Hash, Leaf, LeafShape, Note, Outcome, Receipt, Signer, TilePath, VerifierKey,
    decode_bundle, encode_bundle,
};
use proptest::prelude::*;

/// Feeds one input to every reader.
fn read_everything(bytes: &[u8]) {
    if let Ok((shape, leaf)) = Leaf::decode(bytes) {
        let mut again = Vec::new();
        leaf.encode(&shape.render().unwrap(), &mut again).unwrap();
        assert_eq!(again, bytes);
    }
    if let Ok(entries) = decode_bundle(bytes) {
        assert_eq!(encode_bundle(entries).unwrap(), bytes);
    }
    if let Ok(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.text(), text);
    }
    if let Ok(receipt) = Receipt::parse(text) {
        assert_eq!(receipt.to_string(), text);
    }
    if let Ok(request) = AddCheckpoint::parse(text) {
        assert_eq!(request.to_string(), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Some(path) = TilePath::parse(text) {
        assert_eq!(path.to_string(), text);
    }
}

/// One good input for every reader.
fn good() -> Vec<Vec<u8>> {
    let signer = Signer::new("log.example", &[1; 32]).unwrap();
    let note = Checkpoint::new("log.example", 5, Hash([7; 32])).sign(&signer);
    let receipt =
        Receipt { extra: Some(b"x".to_vec()), index: 3, proof: vec![Hash([1; 32]); 3], checkpoint: note.to_string() };
    let request = AddCheckpoint { old_size: 3, proof: vec![Hash([2; 32]); 2], checkpoint: note.to_string() };
    let shape = LeafShape {
        direction: Direction::Inbound,
        method: "RecordService/PushRecords".into(),
        system: "pension".into(),
        division: Some("保険年金課".into()),
        affair: None,
        rule: Some(("r".into(), 2)),
        basis: None,
        dataset: Some("payment".into()),
        fields: vec!["a".into(), "b.c".into()],
        policy: [9; 32],
    };
    let leaf = Leaf {
        id: [5; 16],
        requested_us: 1,
        provided_us: 2,
        outcome: Outcome::TimedOut,
        reason: Some("CALL_TIMED_OUT".into()),
        records: 0,
        subject: Hash([1; 32]),
        content: Hash([2; 32]),
        details: Hash([3; 32]),
    };
    let mut encoded = Vec::new();
    leaf.encode(&shape.render().unwrap(), &mut encoded).unwrap();
    let mut frontier = Frontier::empty();
    (0..7).for_each(|_| frontier.push(Hash([4; 32]), |_, _, _| {}));
    vec![
        note.text.clone().into_bytes(),
        note.to_string().into_bytes(),
        receipt.to_string().into_bytes(),
        request.to_string().into_bytes(),
        signer.verifier_key().to_string().into_bytes(),
        encode_bundle([encoded.as_slice(), b"other"]).unwrap(),
        encoded,
        frontier.to_bytes(),
        b"tile/3/x001/234.p/7".to_vec(),
    ]
}

#[test]
fn good_input_is_read_and_every_prefix_and_flipped_bit_of_it_is_harmless() {
    for input in good() {
        read_everything(&input);
        for end in 0..input.len() {
            read_everything(&input[..end]);
        }
        for bit in 0..input.len() * 8 {
            let mut flipped = input.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            read_everything(&flipped);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_everything(&bytes);
    }

    #[test]
    fn spliced_input_is_harmless(which in 0_usize..9, other in 0_usize..9, cut in any::<usize>(), from in any::<usize>()) {
        let good = good();
        let (one, two) = (&good[which], &good[other]);
        let spliced = [&one[..cut % (one.len() + 1)], &two[from % (two.len() + 1)..]].concat();
        read_everything(&spliced);
    }
}
