//! Files that are read in bulk.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How a file is written down.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// CSV with a header row.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// How a file's bytes become text.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingArg {
    /// UTF-8, with or without byte order mark.
    #[value(name = "utf-8")]
    Utf8,
    /// Windows' Shift_JIS.
    Cp932,
}

/// What is read and sent in bulk.
#[derive(Args)]
pub(crate) struct BulkArgs {
    /// The file; `-` is stdin. `.jsonl` is JSON Lines, everything else CSV.
    ///
    /// Rules of files (ファイルの規則):
    /// - Every line with content is read or refused, and the summary counts all three.
    ///   A header is apart.
    /// - Lines without content are no rows: empty ones, and those of commas, spaces and
    ///   quotation marks alone. So is a DOS end of file (0x1A) at the end.
    /// - A file without any content is an error. A header without rows is none: nothing
    ///   changed.
    /// - A header with an unknown column, or with one column twice, refuses the whole file.
    /// - No cell may hold a line break. What an open quotation mark took along is refused
    ///   and counted.
    /// - CSV is UTF-8 or CP932. Lines are refused where the encoding is in doubt: save the
    ///   file with a byte order mark, or say --encoding. Bytes without a meaning, U+FFFD,
    ///   and user-defined characters (外字) of CP932 refuse their row.
    /// - JSON Lines are UTF-8, one object a line, each field once.
    /// - Rows that need a person to decide (REVIEW_REQUIRED) are listed; the exit code is 2.
    /// - Errors name line and column, never a cell.
    #[arg(value_name = "FILE", verbatim_doc_comment)]
    pub(crate) file: PathBuf,
    /// How the file is written down, where its name does not say it.
    #[arg(long)]
    pub(crate) format: Option<FileFormat>,
    /// The encoding of a CSV file, where its own bytes leave a doubt. JSON Lines are UTF-8.
    #[arg(long)]
    pub(crate) encoding: Option<EncodingArg>,
    /// Items in one request; each request is one transaction.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) request_size: u16,
}
