//! Keys, sealing and opening of personal data, the blind index: the only crate that sees a personal number in the clear.
