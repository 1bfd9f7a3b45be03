//! The header of a CSV file: which column goes where. No error of it shows a text that is no known
//! column, because a file without a header has a row of data there.

use super::RowError;
use super::read::{Layout, Target};

/// The columns of a file in its order: each as the header spells it, and where it goes.
pub(super) type Targets = Vec<(String, Target)>;

/// Columns that an error lists.
const LISTED_MAX: usize = 10;

/// Why a header is refused.
pub(super) struct HeaderFault {
    /// With the line of the header.
    pub(super) error: RowError,
    /// Whether the line may well be a row: it has no known column.
    pub(super) may_be_row: bool,
}

/// Finds the target of each column.
pub(super) fn targets(layout: &Layout, line: u64, header: &str, cells: &[String]) -> Result<Targets, HeaderFault> {
    let found: Vec<Option<Target>> = cells.iter().map(|cell| layout.target(cell)).collect();
    let refuse = |may_be_row, message: String| Err(HeaderFault { error: RowError::header(line, message), may_be_row });
    if found.iter().all(Option::is_none) {
        return refuse(true, no_header(layout, header));
    }
    let unknown: Vec<usize> = (1..).zip(&found).filter(|(_, target)| target.is_none()).map(|(at, _)| at).collect();
    if !unknown.is_empty() {
        let listed = positions(&unknown);
        return refuse(
            false,
            format!(
                "{listed}列目の見出しは、この種類のファイルの列ではありません / column {listed}: the header names no \
                 column of this kind of file; `atena sample` shows all of them"
            ),
        );
    }
    let targets: Targets =
        cells.iter().zip(found).filter_map(|(cell, target)| Some((cell.trim().to_owned(), target?))).collect();
    match twice(&targets) {
        None => Ok(targets),
        Some((first, second)) => {
            let name = targets.get(first).map(|(name, _)| name.as_str()).unwrap_or_default();
            let (first, second) = (first + 1, second + 1);
            refuse(
                false,
                format!(
                    "「{name}」の列が2つあります（{first}列目と{second}列目） / columns {first} and {second} are the \
                     same one; remove one of them"
                ),
            )
        }
    }
}

/// The first two columns that go to the same place, whatever they are called.
fn twice(targets: &Targets) -> Option<(usize, usize)> {
    targets.iter().enumerate().find_map(|(second, (_, target))| {
        let first = targets.iter().take(second).position(|(_, other)| other.is_same(target))?;
        Some((first, second))
    })
}

/// What a first line that names no column at all probably is.
fn no_header(layout: &Layout, header: &str) -> String {
    for (separator, japanese, english) in
        [('\t', "タブ", "tabs"), (';', "セミコロン", "semicolons"), ('|', "縦線", "vertical bars")]
    {
        if header.contains(separator) {
            let known = header.split(separator).any(|cell| layout.target(cell.trim_matches('"')).is_some());
            let (no, without) = if known { ("", "") } else { ("（見出しなし）", " and has no header") };
            return format!(
                "{japanese}区切りのファイル{no}です。見出しを付けて CSV（コンマ区切り）で保存してください / the file is \
                 separated by {english}{without}; save it as comma-separated CSV with a header"
            );
        }
    }
    "最初の行が見出しではありません。列の名前の行を付けてください / the first line is no header: it names no column of this \
     kind of file; `atena sample` shows a header"
        .to_owned()
}

/// `3, 5, 6`, shortened.
fn positions(of: &[usize]) -> String {
    let listed: Vec<String> = of.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    let more = if of.len() > LISTED_MAX { ", …" } else { "" };
    format!("{}{more}", listed.join(", "))
}
