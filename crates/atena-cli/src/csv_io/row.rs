//! Rows of a CSV file, appended to a buffer. The bytes are those that the `csv` crate writes.

use super::wire::Cell;

/// Appends one row after the other.
pub(super) struct RowWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

// === impl RowWriter ===

impl<'a> RowWriter<'a> {
    /// Begins a row. Every row of Atena has at least two cells.
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, first: true }
    }

    /// A cell of text.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.separate();
        // Without an early end the loop runs on many bytes at once; most cells need no quotation marks.
        let quoted = text.iter().fold(false, |any, byte| any | matches!(byte, b'"' | b',' | b'\r' | b'\n'));
        if !quoted {
            return self.out.extend_from_slice(text);
        }
        self.out.push(b'"');
        for byte in text {
            if *byte == b'"' {
                self.out.push(b'"');
            }
            self.out.push(*byte);
        }
        self.out.push(b'"');
    }

    /// The cell of a message that was read from `message`.
    pub(super) fn cell(&mut self, cell: Cell, message: &[u8]) {
        match cell {
            Cell::Absent => self.separate(),
            Cell::Text(from, to) => self.text(message.get(from..to).unwrap_or_default()),
            Cell::Signed(number) => {
                self.separate();
                if number < 0 {
                    self.out.push(b'-');
                }
                digits(number.unsigned_abs(), self.out);
            }
            Cell::Unsigned(number) => {
                self.separate();
                digits(number, self.out);
            }
        }
    }

    /// Ends the row.
    pub(super) fn end(self) {
        self.out.push(b'\n');
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }
}

fn digits(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}
