//! Which encoding a file is in. It is decided from the file's own bytes, and never past a doubt.
//!
//! The rule looks at the first lines that are not plain ASCII, 64 KiB of them at most:
//!
//! 1. A byte order mark of UTF-8 decides.
//! 2. Valid UTF-8 with a Japanese character (all have three or four bytes) is UTF-8.
//! 3. Such characters that are at least twice as many as the damaged places are UTF-8 with damage.
//!    So are those of which some were cut, where nothing else is wrong.
//! 4. What CP932 (Windows' Shift_JIS) reads, with a character of two bytes, is CP932, where the
//!    damaged places of UTF-8 are three times as many as its characters, and EUC-JP can't read it.
//! 5. Everything else is in doubt, and no line of it is read.

use encoding_rs::{EUC_JP, SHIFT_JIS};

/// Bytes that are looked at, from the first one that is not ASCII.
pub(super) const WINDOW_BYTES_MAX: u64 = 64 * 1024;

/// Malformed places of CP932 that a thousand of its characters may have, for the file to be taken for CP932.
const CP932_DAMAGE_PER_MILLE_MAX: usize = 200;

/// Damaged places of UTF-8 for each of its characters: from here on the characters stand there by accident. Names in CP932 have
/// more of them nearly always.
const ACCIDENTAL_UTF8: usize = 3;

/// Japanese characters in valid UTF-8 from which on it is UTF-8, whatever the caller says.
const CERTAIN_UTF8: usize = 2;

/// The same where some bytes are damaged.
const CERTAIN_UTF8_DAMAGED: usize = 4;

/// How a file's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8.
    Utf8,
    /// Windows code page 932, an extension of Shift_JIS.
    Cp932,
}

/// What the window says of UTF-8.
#[derive(Default)]
struct Utf8Signs {
    /// Characters of three or four bytes, of those that Japanese texts have.
    wide: usize,
    /// Places that are no UTF-8.
    damaged: usize,
    /// Those of them that are more than a character cut short.
    foreign: usize,
}

/// What the window says of CP932.
struct Cp932Signs {
    /// Characters of two bytes.
    double: usize,
    /// Places that mean nothing in CP932.
    malformed: usize,
}

/// The encoding of whole lines; `None` where it is in doubt.
pub(super) fn decide(window: &[u8]) -> Option<Encoding> {
    let utf8 = utf8_signs(window);
    let cp932 = cp932_signs(window);
    if utf8.damaged == 0 {
        // Two bytes of UTF-8 (é) can be two half-width katakana as well.
        return (utf8.wide > 0 || cp932.malformed > 0).then_some(Encoding::Utf8);
    }
    let cut = utf8.foreign == 0 && utf8.wide >= utf8.damaged;
    if cut || (utf8.wide > 0 && utf8.wide >= 2 * utf8.damaged) {
        return Some(Encoding::Utf8);
    }
    let accidental = utf8.wide * ACCIDENTAL_UTF8 <= utf8.damaged;
    let readable = cp932.malformed * 1_000 <= cp932.double * CP932_DAMAGE_PER_MILLE_MAX;
    // A lone kanji that could be a cut character of UTF-8 is a doubt.
    let clear = accidental && readable && cp932.double > 0 && utf8.foreign > 0 && !is_euc_jp(window);
    clear.then_some(Encoding::Cp932)
}

/// Whether a line is UTF-8 beyond doubt: valid, with a kanji or kana in it.
pub(super) fn is_utf8_text(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| text.chars().any(|character| character.len_utf8() > 2))
}

/// Whether bytes are UTF-8 though the caller says CP932: so many Japanese characters stand nowhere
/// by accident. One alone may, and then the caller is believed.
pub(super) fn is_utf8_whatever_is_said(bytes: &[u8]) -> bool {
    let signs = utf8_signs(bytes);
    let characters_min = if signs.damaged == 0 { CERTAIN_UTF8 } else { CERTAIN_UTF8_DAMAGED };
    signs.wide >= characters_min && decide(bytes) == Some(Encoding::Utf8)
}

/// Whether bytes are valid in both encodings and Japanese in none: `José`. Then later lines may
/// decide.
pub(super) fn shows_nothing(window: &[u8]) -> bool {
    let signs = utf8_signs(window);
    signs.damaged == 0 && signs.wide == 0
}

/// A line as text; bytes without a meaning become U+FFFD. Says whether there were any.
pub(super) fn decode(encoding: Encoding, line: &[u8]) -> (String, bool) {
    match encoding {
        Encoding::Utf8 => match std::str::from_utf8(line) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (String::from_utf8_lossy(line).into_owned(), true),
        },
        Encoding::Cp932 => {
            let (text, malformed) = SHIFT_JIS.decode_without_bom_handling(line);
            // The WHATWG's Shift_JIS passes 0x80 through; in CP932 it means nothing.
            if line.contains(&0x80) && text.contains('\u{80}') {
                return (text.replace('\u{80}', "\u{fffd}"), true);
            }
            (text.into_owned(), malformed)
        }
    }
}

/// A user-defined character (外字): which one it is, only the machine that wrote it knows.
pub(super) fn is_user_defined(character: char) -> bool {
    // F040 to F9FC, as they are decoded.
    ('\u{e000}'..='\u{e757}').contains(&character)
}

fn utf8_signs(window: &[u8]) -> Utf8Signs {
    let mut signs = Utf8Signs::default();
    for chunk in window.utf8_chunks() {
        signs.wide += chunk.valid().chars().filter(is_japanese).count();
        if let Some(first) = chunk.invalid().first() {
            signs.damaged += 1;
            // A lead byte of three or four is a character cut short.
            signs.foreign += usize::from(!(0xe0..=0xf4).contains(first));
        }
    }
    signs
}

/// Whether a character is of those that Japanese texts have beyond ASCII: symbols, kana, kanji of every plane, variation selectors,
/// and the private use of 行政事務標準文字.
fn is_japanese(character: &char) -> bool {
    matches!(
        *character,
        '\u{2000}'..='\u{9fff}'
            | '\u{e000}'..='\u{faff}'
            | '\u{fe00}'..='\u{ffef}'
            | '\u{fffd}'
            | '\u{1f000}'..='\u{3ffff}'
            | '\u{e0100}'..='\u{e01ef}'
            | '\u{100000}'..='\u{10ffff}'
    )
}

fn cp932_signs(window: &[u8]) -> Cp932Signs {
    let (text, _) = decode(Encoding::Cp932, window);
    let malformed = text.chars().filter(|character| *character == '\u{fffd}').count();
    let katakana = |character: &char| ('\u{ff61}'..='\u{ff9f}').contains(character);
    let double = text.chars().filter(|character| !character.is_ascii() && !katakana(character)).count();
    Cp932Signs { double: double - malformed, malformed }
}

fn is_euc_jp(window: &[u8]) -> bool {
    !EUC_JP.decode_without_bom_handling(window).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cp932(text: &str) -> Vec<u8> {
        let (bytes, _, unmapped) = SHIFT_JIS.encode(text);
        assert!(!unmapped, "{text}");
        bytes.into_owned()
    }

    fn euc_jp(text: &str) -> Vec<u8> {
        EUC_JP.encode(text).0.into_owned()
    }

    #[test]
    fn whole_files_are_what_they_are() {
        for text in ["宛名番号,氏名\nA1,町田　太郎\n", "a,b\nA1,髙橋　①郎\n", "x,ﾏﾁﾀﾞ　太\n", "林"]
        {
            assert_eq!(decide(text.as_bytes()), Some(Encoding::Utf8), "{text}");
            assert_eq!(decide(&cp932(text)), Some(Encoding::Cp932), "{text}");
        }
    }

    #[test]
    fn utf_8_with_a_few_bad_bytes_is_utf_8() {
        let whole = "宛名番号,氏名\nA1,鈴木　花\nA2,林\n".as_bytes();
        for place in (0..whole.len()).filter(|place| !whole[*place].is_ascii()) {
            // A byte is lost, or changed.
            let lost = [&whole[..place], &whole[place + 1..]].concat();
            assert_eq!(decide(&lost), Some(Encoding::Utf8), "without byte {place}");
            let changed = [&whole[..place], b"\xff", &whole[place + 1..]].concat();
            assert_eq!(decide(&changed), Some(Encoding::Utf8), "with another byte {place}");
        }
        // The shortest: one good character, and one that was cut.
        assert_eq!(decide(b"name\n\xe6\x9e\x97\xe6\x9e\n"), Some(Encoding::Utf8));
    }

    /// 森野二 in CP932 holds four bytes that are a character of UTF-8, though of no Japanese text; 後藤 holds three of a kanji.
    #[test]
    fn characters_that_stand_there_by_accident_do_not_count() {
        for address in ["森野二丁目二番", "後藤太郎", "大島町上村　鈴木道子"] {
            for rows in [1, 2, 50] {
                let bytes = cp932(&format!("a,b\n{}", format!("A1,{address}\n").repeat(rows)));
                assert_eq!(decide(&bytes), Some(Encoding::Cp932), "{address} {rows}");
            }
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_in_doubt() {
        let doubts: [&[u8]; 7] = [
            "name\nJosé\n".as_bytes(),
            b"name\nJos\xe9\n",
            b"name\nJos\xc3\n",
            &cp932("name\nﾏﾁﾀﾞ\n"),
            &euc_jp("name\n町田　太郎\n"),
            &euc_jp("宛名番号,氏名\nA1,町田　太郎\n"),
            b"name\n\xe8\x8a\n",
        ];
        for bytes in doubts {
            assert_eq!(decide(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn one_bad_byte_leaves_cp932_what_it_is() {
        let mut bytes = cp932("宛名番号,氏名,住所\nA1,町田　太郎,東京都\n");
        bytes.extend_from_slice(b"A2,\x85\x40,\n");
        assert_eq!(decide(&bytes), Some(Encoding::Cp932));
    }

    #[test]
    fn bytes_without_a_meaning_in_cp932_are_never_replaced_in_silence() {
        for bytes in [&b"\x80"[..], b"\xa0", b"\xfd", b"\xff", b"\x85\x40", b"\x81"] {
            let (text, damaged) = decode(Encoding::Cp932, bytes);
            assert!(damaged && text.contains('\u{fffd}'), "{bytes:?}");
        }
        let (text, damaged) = decode(Encoding::Cp932, b"\xf0\x40\xf9\xfc");
        assert!(!damaged && text.chars().all(is_user_defined), "{text}");
        assert_eq!(text.chars().count(), 2);
    }
}
