#![no_main]

use atena_ledger::Leaf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((shape, leaf)) = Leaf::decode(bytes) {
        let rendered = shape.render().expect("what was read can be written");
        let mut again = Vec::new();
        leaf.encode(&rendered, &mut again).expect("what was read can be written");
        assert_eq!(again, bytes);
    }
});
