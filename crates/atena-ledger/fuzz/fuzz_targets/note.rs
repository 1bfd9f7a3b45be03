#![no_main]

use atena_ledger::{Note, Signer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
        let known = Signer::new("log.example", &[1; 32]).expect("a good name").verifier_key();
        assert!(note.verify(&[known]).is_err(), "a forged signature");
    }
});
