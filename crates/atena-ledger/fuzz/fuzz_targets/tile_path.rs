#![no_main]

use atena_ledger::TilePath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(path) = TilePath::parse(text) {
        assert_eq!(path.to_string(), text);
    }
});
