//! Which encoding a file is in: a byte order mark, else UTF-8 if it is valid, else CP932 (Windows' Shift_JIS).

use std::io::{self, BufReader, Cursor, Read};

use encoding_rs::SHIFT_JIS;
use encoding_rs_io::DecodeReaderBytesBuilder;

/// Bytes that are looked at.
const HEAD: usize = 64 * 1024;

/// What stands for bytes that mean nothing in CP932.
pub(super) const MALFORMED: char = '\u{fffd}';

/// The file as UTF-8 without byte order mark.
pub(super) fn as_utf8<R: Read + Send + 'static>(mut file: R) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let utf8 = match std::str::from_utf8(&head) {
        Ok(_) => true,
        // The head may end in the middle of a character.
        Err(error) => error.error_len().is_none() && head.len() == HEAD,
    };
    let whole = Cursor::new(head).chain(file);
    let mut decoder = DecodeReaderBytesBuilder::new();
    decoder.bom_override(true).strip_bom(true);
    if utf8 {
        decoder.utf8_passthru(true);
    } else {
        decoder.encoding(Some(SHIFT_JIS));
    }
    Ok(Box::new(BufReader::new(decoder.build(whole))))
}
