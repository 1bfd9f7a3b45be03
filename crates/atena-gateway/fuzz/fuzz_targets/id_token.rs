#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| atena_gateway::fuzz::id_token(text));
