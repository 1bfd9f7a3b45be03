//! A file as lines of text, each with its number, whatever its encoding and line ends.

use std::io::{self, BufRead as _, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encoding::{self, Encoding, WINDOW_BYTES_MAX};
use super::file_kind::{self, END_OF_FILE, is_padding};
use super::record::{self, Ended};
use super::source::Source;
use super::{FileFault, Format};

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

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
    /// Whether an odd number of quotation marks stands in it, by its bytes: then it opens a quoted
    /// cell or closes one.
    pub(super) has_odd_quotes: bool,
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
    /// The caller says CP932, and the file is in UTF-8.
    NotAsSaid,
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
    source: Source,
    encoding: State,
    format: Format,
    number: u64,
    /// A line that was read ahead.
    ahead: Option<Raw>,
    /// An error that comes after that line.
    failed: Option<io::Error>,
    count: LineCount,
    ended: bool,
}

enum State {
    /// So far all is ASCII.
    Undecided,
    /// What was looked at ahead is not ASCII, and shows nothing.
    NothingShown,
    /// By the file's own bytes.
    Decided(Encoding),
    /// By the caller; so far all is ASCII.
    Said(Encoding),
    /// By a byte order mark, the format, or the caller.
    Given(Encoding),
    /// By the caller, and wrong.
    NotAsSaid,
    Doubt,
}

struct Raw {
    number: u64,
    bytes: Vec<u8>,
    has_odd_quotes: bool,
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
            (Format::Csv, Some(encoding)) => State::Said(encoding),
            (Format::Csv, None) => State::Undecided,
        };
        head.drain(..mark);
        Ok(Self {
            source: Source::new(head, file),
            encoding,
            format,
            number: 0,
            ahead: None,
            failed: None,
            count: LineCount::default(),
            ended: false,
        })
    }

    /// The count that goes up with each line.
    pub(super) fn content_count(&self) -> LineCount {
        self.count.clone()
    }

    fn decoded(&mut self, raw: Raw) -> Line {
        let mut line = Line { has_odd_quotes: raw.has_odd_quotes, ..Line::new(raw.number) };
        if raw.too_long {
            line.fault = Some(LineFault::TooLong);
            return line;
        }
        let is_ascii = raw.bytes.is_ascii();
        if !is_ascii {
            self.decide(&raw.bytes);
        }
        let encoding = match self.encoding {
            _ if is_ascii => Encoding::Utf8,
            State::Decided(Encoding::Cp932) if encoding::is_utf8_text(&raw.bytes) => {
                line.fault = Some(LineFault::OtherEncoding);
                return line;
            }
            State::Given(Encoding::Cp932) if encoding::is_utf8_whatever_is_said(&raw.bytes) => {
                line.fault = Some(LineFault::OtherEncoding);
                return line;
            }
            State::Decided(encoding) | State::Given(encoding) | State::Said(encoding) => encoding,
            State::NotAsSaid => {
                line.fault = Some(LineFault::NotAsSaid);
                return line;
            }
            State::Undecided | State::NothingShown | State::Doubt => {
                line.fault = Some(LineFault::EncodingInDoubt);
                return line;
            }
        };
        (line.text, line.damaged) = encoding::decode(encoding, &raw.bytes);
        line.cp932 = encoding == Encoding::Cp932;
        line
    }

    /// Decides at a line that is not ASCII, where it is not decided yet.
    fn decide(&mut self, line: &[u8]) {
        let next = match self.encoding {
            State::NothingShown if !self.source.looked_at().is_empty() => return,
            State::Undecided | State::NothingShown => {
                let window = self.window(line);
                match encoding::decide(&window) {
                    Some(encoding) => State::Decided(encoding),
                    // The first kanji may come later.
                    None if encoding::shows_nothing(&window) => State::NothingShown,
                    None => State::Doubt,
                }
            }
            State::Said(Encoding::Cp932) => {
                if encoding::is_utf8_whatever_is_said(&self.window(line)) {
                    State::NotAsSaid
                } else {
                    State::Given(Encoding::Cp932)
                }
            }
            _ => return,
        };
        self.encoding = next;
    }

    /// A line, and the whole lines after it, as far as the encoding is decided by them.
    fn window(&mut self, line: &[u8]) -> Vec<u8> {
        let ahead = self.source.look(WINDOW_BYTES_MAX);
        let whole_lines = if (ahead.len() as u64) < WINDOW_BYTES_MAX {
            ahead.len()
        } else {
            ahead.iter().rposition(|byte| *byte == b'\n').unwrap_or(0)
        };
        [line, b"\n", ahead.get(..whole_lines).unwrap_or_default()].concat()
    }

    /// The next line with anything in it, without a DOS end of file.
    fn next_raw(&mut self) -> io::Result<Option<Raw>> {
        let Some(mut raw) = self.read_raw()? else { return Ok(None) };
        let Some(place) = raw.bytes.iter().position(|byte| *byte == END_OF_FILE) else { return Ok(Some(raw)) };
        if !raw.bytes.iter().skip(place).all(|byte| is_padding(*byte)) {
            return Ok(Some(raw));
        }
        // It ends the file only where nothing follows. In the middle it stays, and its row is refused.
        loop {
            match self.read_raw() {
                Ok(None) => break,
                Ok(Some(next)) if !next.too_long && next.bytes.iter().all(|byte| is_padding(*byte)) => {}
                Ok(Some(next)) => {
                    self.ahead = Some(next);
                    return Ok(Some(raw));
                }
                // The line that is held comes first.
                Err(error) => {
                    self.failed = Some(error);
                    return Ok(Some(raw));
                }
            }
        }
        raw.bytes.truncate(place);
        Ok(Some(raw))
    }

    fn read_raw(&mut self) -> io::Result<Option<Raw>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut bytes = Vec::new();
        if self.source.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut quotes = quotes(&bytes);
        let too_long = bytes.len() as u64 > LINE_BYTES_MAX;
        if too_long {
            quotes += self.skip_line(&bytes)?;
            bytes.clear();
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        while bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(Raw { number: self.number, bytes, has_odd_quotes: quotes % 2 == 1, too_long }))
    }

    /// Skips the rest of a line; how many quotation marks stand in it.
    fn skip_line(&mut self, begun: &[u8]) -> io::Result<usize> {
        let (mut ended, mut marks) = (begun.last() == Some(&b'\n'), 0);
        while !ended {
            let mut part = Vec::new();
            let read = self.source.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut part)?;
            marks += quotes(&part);
            ended = read == 0 || part.last() == Some(&b'\n');
        }
        Ok(marks)
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
                Line { fault: Some(LineFault::Unreadable(error.kind())), ..Line::new(self.number + 1) }
            }
        };
        let content = self.has_content(&line);
        if content {
            self.count.add_one();
        }
        Some((line, content))
    }

    fn has_content(&self, line: &Line) -> bool {
        let is_blank = match self.format {
            Format::Csv => is_blank_row(&line.text),
            Format::JsonLines => line.text.chars().all(char::is_whitespace),
        };
        line.fault.is_some() || !is_blank
    }
}

// === impl Line ===

impl Line {
    fn new(number: u64) -> Self {
        Self { number, text: String::new(), damaged: false, cp932: false, has_odd_quotes: false, fault: None }
    }
}

/// Whether a line is what a spreadsheet leaves of a row that was emptied. One that opens a quoted
/// cell is none: what follows belongs to that cell.
fn is_blank_row(text: &str) -> bool {
    let is_blank = |character: char| character.is_whitespace() || matches!(character, ',' | '"');
    if !text.chars().all(is_blank) {
        return false;
    }
    let (cells, ended) = record::split(text, false);
    ended == Ended::Whole && cells.iter().all(|cell| cell.chars().all(char::is_whitespace))
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

/// Quotation marks in a line. In every encoding that is read here the byte stands for nothing else.
fn quotes(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'"').count()
}

#[cfg(test)]
mod tests;
