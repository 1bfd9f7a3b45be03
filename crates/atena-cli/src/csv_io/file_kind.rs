//! What a file is by its first bytes: text, or something that is named with what to do.

use super::FileFault;

/// End of file, as DOS and CP/M wrote it.
pub(super) const END_OF_FILE: u8 = 0x1a;

/// Bytes that are looked at.
pub(super) const HEAD_BYTES: u64 = 512;

/// UTF-8's byte order mark, by which Excel recognises a CSV file in UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What other files begin with.
const OTHERS: [(&[u8], &str); 8] = [
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"PK\x03\x04", "Excel (.xlsx) / ZIP"),
    (b"\xd0\xcf\x11\xe0", "Excel 97-2003 (.xls)"),
    (b"\x1f\x8b", "gzip"),
    (b"%PDF", "PDF"),
    (b"SQLite format 3\0", "SQLite"),
];

/// Of the first bytes, the part of NUL that only UTF-16 without a byte order mark has: one in `NUL_SHARE`.
const NUL_SHARE: usize = 4;

/// The length of the byte order mark.
///
/// # Errors
/// [`FileFault`] for what is no text in UTF-8 or CP932.
pub(super) fn check(head: &[u8]) -> Result<usize, FileFault> {
    if let Some((_, kind)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(FileFault::OtherKind(kind));
    }
    let head = without_padding(head);
    let nuls = head.iter().filter(|byte| **byte == 0).count();
    if nuls * NUL_SHARE >= head.len().max(1) {
        return Err(FileFault::OtherKind("UTF-16"));
    }
    // Escape sequences that switch to JIS X 0208.
    if head.windows(3).any(|three| matches!(three, [0x1b, b'$', b'B' | b'@'])) {
        return Err(FileFault::OtherKind("ISO-2022-JP (JIS)"));
    }
    Ok(if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 })
}

/// What may stand after an end of file: itself again, what old systems fill blocks with, line ends.
pub(super) fn is_padding(byte: u8) -> bool {
    matches!(byte, END_OF_FILE | 0 | b' ' | b'\t' | b'\r' | b'\n')
}

/// The bytes before an end of file of DOS, where nothing but padding follows it.
fn without_padding(head: &[u8]) -> &[u8] {
    let end = head.iter().position(|byte| *byte == END_OF_FILE);
    let is_padded = |end: &usize| head.iter().skip(*end).all(|byte| is_padding(*byte));
    end.filter(is_padded).and_then(|end| head.get(..end)).unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named() {
        let utf16: Vec<u8> = "a,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, kind) in [
            (&b"\xff\xfea\0"[..], "UTF-16"),
            (b"\xfe\xff\0a", "UTF-16"),
            (&utf16, "UTF-16"),
            (b"PK\x03\x04abc", "Excel (.xlsx) / ZIP"),
            (b"name\n\x1b$B;3\x1b(B\n", "ISO-2022-JP (JIS)"),
        ] {
            assert_eq!(check(bytes), Err(FileFault::OtherKind(kind)), "{bytes:?}");
        }
        assert_eq!(check("\u{feff}a,b".as_bytes()), Ok(3));
        assert_eq!((check(b"a,b\n"), check(b"")), (Ok(0), Ok(0)));
    }
}
