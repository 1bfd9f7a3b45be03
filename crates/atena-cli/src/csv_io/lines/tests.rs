//! Lines of files of every kind.

use std::io::Cursor;

use super::*;

fn lines(bytes: &[u8]) -> Vec<(u64, String)> {
    let file: Box<dyn Read + Send> = Box::new(Cursor::new(bytes.to_vec()));
    let lines = Lines::open(file, Format::Csv, None).ok().unwrap();
    lines.map(|line| (line.number, line.text)).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    lines(bytes).into_iter().map(|(number, _)| number).collect()
}

#[test]
fn an_end_of_file_and_lines_without_content_are_no_lines() {
    for end in [
        "",
        "\n",
        "\r\n\r\n\n",
        "\u{1a}",
        "\n\u{1a}",
        "\r\n\u{1a}\r\n",
        "\n\u{1a}\u{1a}\0\0\0",
        // Filled up to a block, as CP/M and DOS did.
        &format!("\n\u{1a}{}", "\0".repeat(114)),
        &format!("\r\n\u{1a}{}", "\0".repeat(497)),
        &format!("\u{1a}{}", "\u{1a}".repeat(1_000)),
        "\n,,,\r\n",
        "\n \t　\n",
        "\n\"\",\"\"\n\u{1a}",
        "\n\n\n\u{1a}\n\n",
    ] {
        let text = format!("a,b\r\nA1,x{end}");
        let expected = [(1, "a,b".to_owned()), (2, "A1,x".to_owned())];
        assert_eq!(lines(text.as_bytes()), expected, "{end:?}");
    }
}

#[test]
fn an_end_of_file_in_the_middle_hides_nothing() {
    assert_eq!(numbers(b"a\nA1\x1a\n\nA2\n"), [1, 2, 4]);
    assert_eq!(lines(b"a\nA1\x1aA2\n")[1].1, "A1\u{1a}A2");
    assert_eq!(numbers(b"a\n\x1a\nA2\n"), [1, 2, 3]);
}

#[test]
fn a_line_that_is_too_long_is_one_line() {
    let mut bytes = b"a\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 3 * usize::try_from(LINE_BYTES_MAX).unwrap()));
    bytes.extend_from_slice(b"\nA2\n");
    let file: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
    let lines: Vec<_> = Lines::open(file, Format::Csv, None).ok().unwrap().collect();
    let told: Vec<_> = lines.iter().map(|line| (line.number, line.fault)).collect();
    assert_eq!(told, [(1, None), (2, Some(LineFault::TooLong)), (3, None)]);
}

#[test]
fn the_encoding_is_decided_where_the_first_kanji_is_however_late() {
    let mut bytes = b"a,b\n".to_vec();
    for _ in 0..20_000 {
        bytes.extend_from_slice(b"A1,plain\n");
    }
    bytes.extend_from_slice(&encoding_rs::SHIFT_JIS.encode("A2,町田\n").0);
    assert_eq!(lines(&bytes).last().unwrap(), &(20_002, "A2,町田".to_owned()));
}

#[test]
fn a_line_in_utf_8_in_a_file_in_cp932_is_not_guessed() {
    let rows = "A1,町田　太郎,東京都町田市森野二丁目\n".repeat(10);
    let mut bytes = encoding_rs::SHIFT_JIS.encode(&rows).0.into_owned();
    bytes.extend_from_slice("A2,山,\nA3,x,\n".as_bytes());
    let file: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
    let faults: Vec<_> = Lines::open(file, Format::Csv, None).ok().unwrap().map(|line| line.fault).collect();
    assert_eq!(faults[9..], [None, Some(LineFault::OtherEncoding), None]);
    assert!(faults[..9].iter().all(Option::is_none));
}

fn faults(bytes: Vec<u8>, given: Option<Encoding>) -> Vec<Option<LineFault>> {
    let file: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
    Lines::open(file, Format::Csv, given).ok().unwrap().map(|line| line.fault).collect()
}

/// Each of these names in UTF-8 is as well some text in CP932.
#[test]
fn a_file_in_utf_8_that_is_said_to_be_in_cp932_is_refused() {
    for name in ["山田", "高橋健", "原町田", "東京都町田市"] {
        let text = format!("name\nA1,{name}\nA2,x\n");
        let refused = Some(LineFault::NotAsSaid);
        assert_eq!(faults(text.into_bytes(), Some(Encoding::Cp932)), [None, refused, None], "{name}");
    }
    // It is so at the end as well, where two files were joined.
    let mut joined = encoding_rs::SHIFT_JIS.encode("name\nA1,町田\n").0.into_owned();
    joined.extend_from_slice("A2,高橋健\n".as_bytes());
    assert_eq!(faults(joined, Some(Encoding::Cp932)), [None, None, Some(LineFault::OtherEncoding)]);
    // What can be either is what the caller says.
    for name in ["José", "東"] {
        let text = format!("name\nA1,{name}\n").into_bytes();
        assert_eq!(faults(text, Some(Encoding::Cp932)), [None, None], "{name}");
    }
    let whole = encoding_rs::SHIFT_JIS.encode("氏名\nA1,ﾏﾁﾀﾞ\nA2,森野二丁目二番\nA3,後藤\n").0.into_owned();
    assert_eq!(faults(whole, Some(Encoding::Cp932)), [None; 4]);
}

#[test]
fn a_letter_with_an_accent_far_before_the_first_kanji_leaves_the_encoding_open() {
    for kanji in ["A2,町田\n".as_bytes().to_vec(), encoding_rs::SHIFT_JIS.encode("A2,町田\n").0.into_owned()] {
        let mut bytes = "name\nA1,José\n".as_bytes().to_vec();
        bytes.extend_from_slice(&b"A1,plain\n".repeat(20_000));
        bytes.extend_from_slice(&kanji);
        let faults = faults(bytes, None);
        assert_eq!(faults.iter().flatten().collect::<Vec<_>>(), [&LineFault::EncodingInDoubt]);
        assert_eq!((faults[1], faults.len()), (Some(LineFault::EncodingInDoubt), 20_003));
    }
}

/// Gives these bytes, and then an error.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            read => Ok(read),
        }
    }
}

#[test]
fn a_line_before_an_error_is_not_lost() {
    let content = [b"a\nA1,x\n\x1a\n".to_vec(), vec![b'\n'; 1_000]].concat();
    let file: Box<dyn Read + Send> = Box::new(Failing(Cursor::new(content)));
    let lines: Vec<_> = Lines::open(file, Format::Csv, None).ok().unwrap().collect();
    let numbers: Vec<_> = lines.iter().map(|line| line.number).take(3).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let fault = lines.last().unwrap().fault;
    assert_eq!((fault, lines.len()), (Some(LineFault::Unreadable(io::ErrorKind::BrokenPipe)), 4));
}

#[test]
fn a_count_knows_lines_with_content_alone() {
    let file: Box<dyn Read + Send> = Box::new(Cursor::new(b"a\n\nA1\n,,\nA2".to_vec()));
    let lines = Lines::open(file, Format::Csv, None).ok().unwrap();
    let count = lines.content_count();
    assert_eq!((lines.count(), count.get()), (3, 3));
}
