//! What a quoted cell takes along that stays open at the end of its line.

use std::io;

use super::RowError;
use super::lines::{LineFault, Lines};
use super::record::{self, Ended};

/// Lines that a quoted cell takes along.
pub(super) struct Swallowed {
    /// With content, the one that opens the cell included.
    pub(super) rows: u64,
    last: u64,
    end: CellEnd,
}

/// How a quoted cell ends that goes over several lines.
enum CellEnd {
    Closed,
    EndOfFile,
    Unreadable(io::ErrorKind),
}

/// Reads on to the end of the row whose quoted cell stays open in the line `opened`.
pub(super) fn rest_of_cell(opened: u64, lines: &mut Lines) -> Swallowed {
    let mut swallowed = Swallowed { rows: 1, last: opened, end: CellEnd::EndOfFile };
    // A line of quotation marks alone closes a cell as well.
    while let Some((line, content)) = lines.next_any() {
        swallowed.rows += u64::from(content);
        swallowed.last = line.number;
        let is_closed = match line.fault {
            Some(LineFault::Unreadable(kind)) => {
                swallowed.end = CellEnd::Unreadable(kind);
                break;
            }
            Some(_) => line.has_odd_quotes,
            None => !matches!(record::split(&line.text, true).1, Ended::Open(_)),
        };
        if is_closed {
            swallowed.end = CellEnd::Closed;
            break;
        }
    }
    swallowed
}

/// What an open quotation mark took along, up to the end of that cell's row.
pub(super) fn swallowed(opened: u64, column: usize, lines: &mut Lines) -> RowError {
    let Swallowed { rows, last, end } = rest_of_cell(opened, lines);
    let message = match end {
        CellEnd::Closed => format!(
            "{column}列目の引用符 \" が{opened}行目で閉じず、{last}行目まで続きます。セルに改行は使えません / column {column}: a \
             quotation mark opens in line {opened} and goes on to line {last}; none of these lines was read; no cell may \
             hold a line break"
        ),
        CellEnd::EndOfFile => format!(
            "{column}列目の引用符 \" が{opened}行目で開いたまま、ファイルの終わり（{last}行目）まで閉じません / column \
             {column}: a quotation mark opens in line {opened} and is never closed; no line from there to line {last}, \
             the end, was read"
        ),
        CellEnd::Unreadable(kind) => format!(
            "{column}列目の引用符 \" が{opened}行目で開き、{last}行目から先を読めません / column {column}: a quotation mark \
             opens in line {opened}, and from line {last} on the file can't be read: {kind}"
        ),
    };
    RowError { rows, ..RowError::new(opened, message) }
}
