#![no_main]

use atena_ledger::Chunk;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(chunk) = Chunk::from_bytes(bytes) {
        assert_eq!(Chunk::from_bytes(&chunk.to_bytes()), Ok(chunk));
    }
});
