//! Reading and writing the small pieces that the text formats share: strict, so that one value has one spelling.

/// A decimal number without sign or leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if plain && canonical { text.parse().ok() } else { None }
}

/// Appends a decimal number without allocating.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A digit below ten always fits.
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends lower-case hexadecimal digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    let (pairs, _) = out[start..].as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
}

/// Exactly `N` bytes in lower-case hexadecimal digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| HEX.iter().position(|hex| *hex == byte).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; N];
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_spelling() {
        for (text, value) in [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("10", Some(10))] {
            assert_eq!(parse_decimal(text), value);
        }
        for wrong in ["", "00", "01", "+1", "-1", "1 ", "18446744073709551616", "１"] {
            assert_eq!(parse_decimal(wrong), None, "{wrong}");
        }
        for value in [0, 7, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
        assert_eq!(parse_hex::<2>("00ff"), Some([0, 255]));
        for wrong in ["00FF", "00f", "00fff", "zz00"] {
            assert_eq!(parse_hex::<2>(wrong), None, "{wrong}");
        }
    }
}
