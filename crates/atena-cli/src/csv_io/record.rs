//! One line of a CSV file taken apart (RFC 4180), strictly: a quotation mark where none may be is an error.

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With its last cell.
    Whole,
    /// Inside of a quoted cell, whose number this is (from 0).
    Open(usize),
    /// With its last cell, but a quotation mark stands where none may be, in the cell of this number.
    Stray(usize),
}

enum State {
    Start,
    Bare,
    Quoted,
    /// After a quotation mark in a quoted cell: the end, or the first of two.
    Closed,
}

/// Takes a line apart. `open` says that a quoted cell began on a line before.
pub(super) fn split(line: &str, open: bool) -> (Vec<String>, Ended) {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut state = if open { State::Quoted } else { State::Start };
    let mut stray = None;
    for character in line.chars() {
        state = match (state, character) {
            (State::Start, '"') => State::Quoted,
            (State::Start | State::Bare | State::Closed, ',') => {
                cells.push(std::mem::take(&mut cell));
                State::Start
            }
            (State::Quoted, '"') => State::Closed,
            (State::Quoted, other) => {
                cell.push(other);
                State::Quoted
            }
            (State::Closed, '"') => {
                cell.push('"');
                State::Quoted
            }
            (before, other) => {
                if other == '"' || matches!(before, State::Closed) {
                    stray.get_or_insert(cells.len());
                }
                cell.push(other);
                State::Bare
            }
        };
    }
    let column = cells.len();
    cells.push(cell);
    let ended = match (state, stray) {
        (State::Quoted, _) => Ended::Open(column),
        (_, Some(column)) => Ended::Stray(column),
        (_, None) => Ended::Whole,
    };
    (cells, ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_what_rfc_4180_says() {
        let whole = |line: &str| {
            let (cells, ended) = split(line, false);
            assert_eq!(ended, Ended::Whole, "{line}");
            cells
        };
        assert_eq!(whole("a,b,"), ["a", "b", ""]);
        assert_eq!(whole("\"a,b\",\"say \"\"x\"\"\",\"\""), ["a,b", "say \"x\"", ""]);
        assert_eq!(whole(""), [""]);
    }

    #[test]
    fn a_quotation_mark_that_stays_open_or_stands_wrong_is_found() {
        assert_eq!(split("a,\"b,c", false).1, Ended::Open(1));
        assert_eq!(split("a,b\"c,d", false).1, Ended::Stray(1));
        assert_eq!(split("\"a\"b,c", false).1, Ended::Stray(0));
        assert_eq!(split("still,open", true).1, Ended::Open(0));
        assert_eq!(split("closes\",x", true).1, Ended::Whole);
    }
}
