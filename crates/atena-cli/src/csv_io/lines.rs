//! A file as lines of text, each with its number, whatever its encoding and line ends.

use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encoding::{self, Encoding, WINDOW_BYTES_MAX};
use super::file_kind;
use super::{FileFault, Format};

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// End of file, as DOS and CP/M wrote it.
const END_OF_FILE: u8 = 0x1a;

/// A line with content.
pub(super) struct Line {
    /// From 1, lines without content included.
    pub(super) number: u64,
    /// Without line end. Bytes without a meaning are U+FFFD.
    pub(super) text: String,
    /// Whether there were such bytes.
    pub(super) damaged: bool,
    /// Whether it was in CP932.
    pub(super) cp932: bool,
    /// Why it can't be read at all; then it has no text.
    pub(super) fault: Option<LineFault>,
}

/// Why a line can't be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    /// It is longer than any row.
    TooLong,
    /// The encoding of the file is in doubt.
    EncodingInDoubt,
    /// It is in UTF-8, in a file in CP932.
    OtherEncoding,
    /// The disk or pipe failed; nothing follows.
    Unreadable(io::ErrorKind),
}

/// Lines with content so far. Counted apart from rows, so that a lost row is noticed.
#[derive(Clone, Default)]
pub(crate) struct LineCount(Arc<AtomicU64>);

/// The lines of a file.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    encoding: State,
    format: Format,
    number: u64,
    /// A line that was read ahead.
    ahead: Option<Raw>,
    count: LineCount,
    ended: bool,
}

enum State {
    /// So far all is ASCII.
    Undecided,
    /// By the file's own bytes.
    Decided(Encoding),
    /// By a byte order mark, the format, or the caller.
    Given(Encoding),
    Doubt,
}

struct Raw {
    number: u64,
    bytes: Vec<u8>,
    too_long: bool,
}

// === impl LineCount ===

impl LineCount {
    /// Lines with content that were read; a header is none of them.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the header off.
    pub(super) fn take_header(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Lines ===

impl Lines {
    /// Opens a file. `given` is the encoding as the caller says it.
    ///
    /// # Errors
    /// [`FileFault`] when it is no text file at all.
    pub(super) fn open(
        mut file: Box<dyn Read + Send>,
        format: Format,
        given: Option<Encoding>,
    ) -> Result<Self, FileFault> {
        let mut head = Vec::new();
        file.by_ref()
            .take(file_kind::HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(|error| FileFault::Unreadable(error.kind()))?;
        let mark = file_kind::check(&head)?;
        let encoding = match (format, given) {
            _ if mark > 0 => State::Given(Encoding::Utf8),
            // RFC 8259 knows no other.
            (Format::JsonLines, _) => State::Given(Encoding::Utf8),
            (Format::Csv, Some(encoding)) => State::Given(encoding),
            (Format::Csv, None) => State::Undecided,
        };
        head.drain(..mark);
        let reader: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(file));
        Ok(Self {
            reader: BufReader::new(reader),
            encoding,
            format,
            number: 0,
            ahead: None,
            count: LineCount::default(),
            ended: false,
        })
    }

    /// The count that goes up with each line.
    pub(super) fn content_count(&self) -> LineCount {
        self.count.clone()
    }

    fn decoded(&mut self, raw: Raw) -> Line {
        let mut line = Line { number: raw.number, text: String::new(), damaged: false, cp932: false, fault: None };
        if raw.too_long {
            line.fault = Some(LineFault::TooLong);
            return line;
        }
        if matches!(self.encoding, State::Undecided) && !raw.bytes.is_ascii() {
            self.encoding = self.decide(&raw.bytes);
        }
        let encoding = match self.encoding {
            _ if raw.bytes.is_ascii() => Encoding::Utf8,
            State::Decided(Encoding::Cp932) if encoding::is_utf8_text(&raw.bytes) => {
                line.fault = Some(LineFault::OtherEncoding);
                return line;
            }
            State::Decided(encoding) | State::Given(encoding) => encoding,
            State::Undecided | State::Doubt => {
                line.fault = Some(LineFault::EncodingInDoubt);
                return line;
            }
        };
        (line.text, line.damaged) = encoding::decode(encoding, &raw.bytes);
        line.cp932 = encoding == Encoding::Cp932;
        line
    }

    /// Looks ahead from the first line that is not ASCII, and decides.
    fn decide(&mut self, line: &[u8]) -> State {
        let mut ahead = Vec::new();
        // An error comes again when the lines themselves are read.
        let _ = self.reader.by_ref().take(WINDOW_BYTES_MAX).read_to_end(&mut ahead);
        let whole_lines = if (ahead.len() as u64) < WINDOW_BYTES_MAX {
            ahead.len()
        } else {
            ahead.iter().rposition(|byte| *byte == b'\n').unwrap_or(0)
        };
        let window = [line, b"\n", ahead.get(..whole_lines).unwrap_or_default()].concat();
        let placeholder: Box<dyn Read + Send> = Box::new(io::empty());
        let rest = std::mem::replace(&mut self.reader, BufReader::new(placeholder));
        self.reader = BufReader::new(Box::new(Cursor::new(ahead).chain(rest)));
        encoding::decide(&window).map_or(State::Doubt, State::Decided)
    }

    /// The next line with anything in it, without a DOS end of file.
    fn next_raw(&mut self) -> io::Result<Option<Raw>> {
        let Some(mut raw) = self.read_raw()? else { return Ok(None) };
        let Some(place) = raw.bytes.iter().position(|byte| *byte == END_OF_FILE) else { return Ok(Some(raw)) };
        if !raw.bytes.iter().skip(place).all(|byte| is_padding(*byte)) {
            return Ok(Some(raw));
        }
        // It ends the file only where nothing follows. In the middle it stays, and its row is refused.
        while let Some(next) = self.read_raw()? {
            if next.too_long || !next.bytes.iter().all(|byte| is_padding(*byte)) {
                self.ahead = Some(next);
                return Ok(Some(raw));
            }
        }
        raw.bytes.truncate(place);
        Ok(Some(raw))
    }

    fn read_raw(&mut self) -> io::Result<Option<Raw>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let mut bytes = Vec::new();
        if self.reader.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let too_long = bytes.len() as u64 > LINE_BYTES_MAX;
        if too_long {
            self.skip_line(&bytes)?;
            bytes.clear();
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        while bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(Raw { number: self.number, bytes, too_long }))
    }

    fn skip_line(&mut self, begun: &[u8]) -> io::Result<()> {
        let mut ended = begun.last() == Some(&b'\n');
        while !ended {
            let mut part = Vec::new();
            let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut part)?;
            ended = read == 0 || part.last() == Some(&b'\n');
        }
        Ok(())
    }

    /// The next line, and whether it has content; then it is counted.
    pub(super) fn next_any(&mut self) -> Option<(Line, bool)> {
        if self.ended {
            return None;
        }
        let line = match self.next_raw() {
            Ok(Some(raw)) => self.decoded(raw),
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Err(error) => {
                self.ended = true;
                let fault = Some(LineFault::Unreadable(error.kind()));
                Line { number: self.number + 1, text: String::new(), damaged: false, cp932: false, fault }
            }
        };
        let content = self.has_content(&line);
        if content {
            self.count.add_one();
        }
        Some((line, content))
    }

    fn has_content(&self, line: &Line) -> bool {
        let empty = |character: char| match self.format {
            // What a spreadsheet leaves of a row that was emptied.
            Format::Csv => character.is_whitespace() || matches!(character, ',' | '"'),
            Format::JsonLines => character.is_whitespace(),
        };
        line.fault.is_some() || !line.text.chars().all(empty)
    }
}

impl Iterator for Lines {
    type Item = Line;

    /// The next line with content.
    fn next(&mut self) -> Option<Line> {
        loop {
            let (line, content) = self.next_any()?;
            if content {
                return Some(line);
            }
        }
    }
}

/// What may stand after an end of file: itself again, what old systems fill blocks with, line ends.
fn is_padding(byte: u8) -> bool {
    matches!(byte, END_OF_FILE | 0 | b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_count_knows_lines_with_content_alone() {
        let file: Box<dyn Read + Send> = Box::new(Cursor::new(b"a\n\nA1\n,,\nA2".to_vec()));
        let lines = Lines::open(file, Format::Csv, None).ok().unwrap();
        let count = lines.content_count();
        assert_eq!((lines.count(), count.get()), (3, 3));
    }
}
