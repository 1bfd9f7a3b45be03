#![no_main]

use atena_ledger::{Receipt, Signer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(receipt) = Receipt::parse(text) {
        assert_eq!(receipt.to_string(), text);
        let key = Signer::new("log.example", &[1; 32]).expect("a good name").verifier_key();
        assert!(receipt.verify(b"leaf", &key).is_err(), "a forged receipt");
    }
});
