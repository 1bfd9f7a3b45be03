//! Ways in for `crates/atena-cli/fuzz`: the readers of files that vendors make. Compiled for fuzzing, and
//! for a test that runs the seeds and some mutations of them.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "only fuzz targets see this")]

use std::io::Cursor;

use atena_proto::RECORD_DATASETS;
use atena_proto::v1::{PersonRegistration, PushedRecord};
use encoding_rs::SHIFT_JIS;

use crate::csv_io::{
    Bom, Encoding, FileFault, FileRows, Format, PeopleWriter, RecordWriter, RowError, read_people, read_records,
};

type Rows<T> = Vec<Result<(u64, T), RowError>>;

/// Any file is read row by row, in either encoding alike; people that were read are the same when they are written and read again.
pub fn people(bytes: &[u8]) {
    let read = |bytes: &[u8], encoding: Option<Encoding>| -> Rows<PersonRegistration> {
        rows(read_people(Cursor::new(bytes.to_vec()), Format::Csv, encoding))
    };
    let mut people: Vec<_> = good(read(bytes, None));
    // A row of cells that mean "nothing" is written as a line without content.
    people.retain(|person| !person.local_address_number.is_empty());
    alike_in_both_encodings(bytes, &read);
    for bom in [Bom::With, Bom::Without] {
        let written = |people: &[PersonRegistration]| {
            let mut file = Vec::new();
            let mut writer = PeopleWriter::new(&mut file, bom).expect("the contract is whole");
            people.iter().for_each(|person| writer.write(person).expect("what was read can be written"));
            writer.finish().expect("memory can be written to");
            file
        };
        // A file has every column: what was absent is empty now, and stays so.
        let again = good(read(&written(&people), Some(Encoding::Utf8)));
        assert!(good(read(&written(&again), Some(Encoding::Utf8))) == again, "people come back otherwise");
        assert!(again.len() == people.len(), "a person is lost");
    }
}

/// The same for records of the dataset that the first byte says.
pub fn records(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let dataset = RECORD_DATASETS[usize::from(*first) % RECORD_DATASETS.len()];
    let read = |bytes: &[u8], encoding: Option<Encoding>| -> Rows<PushedRecord> {
        rows(read_records(dataset, Cursor::new(bytes.to_vec()), Format::Csv, encoding))
    };
    let records: Vec<_> = good(read(bytes, None));
    alike_in_both_encodings(bytes, &read);
    let mut file = Vec::new();
    let mut writer = RecordWriter::new(dataset, &mut file, Bom::With).expect("the contract is whole");
    records.iter().for_each(|record| writer.write(record).expect("what was read can be written"));
    writer.finish().expect("memory can be written to");
    assert!(good(read(&file, Some(Encoding::Utf8))) == records, "records come back otherwise");
}

/// Any JSON Lines are read line by line.
pub fn json_lines(bytes: &[u8]) {
    for row in rows(read_people(Cursor::new(bytes.to_vec()), Format::JsonLines, None)) {
        let _ = row;
    }
}

/// The rows of a file. Each line with content is in exactly one of them.
fn rows<T>(file: Result<FileRows<T>, FileFault>) -> Rows<T> {
    let Ok(FileRows { rows, lines, .. }) = file else { return Vec::new() };
    let rows: Rows<T> = rows.collect();
    let counted: u64 = rows.iter().map(|row| row.as_ref().map_or_else(|bad| bad.rows, |_| 1)).sum();
    assert!(counted == lines.get(), "a line is lost");
    rows
}

fn good<T>(rows: Rows<T>) -> Vec<T> {
    rows.into_iter().filter_map(|row| row.ok().map(|(_, row)| row)).collect()
}

/// A text gives the same rows whether the file is in UTF-8 or in CP932. A caller says which it is: the bytes may be both.
fn alike_in_both_encodings<T: PartialEq>(bytes: &[u8], read: &impl Fn(&[u8], Option<Encoding>) -> Rows<T>) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (encoded, _, unmappable) = SHIFT_JIS.encode(text);
    let (decoded, _, malformed) = SHIFT_JIS.decode(&encoded);
    if unmappable || malformed || decoded != text || text.starts_with('\u{feff}') {
        return;
    }
    let (one, other) = (read(bytes, Some(Encoding::Utf8)), read(&encoded, Some(Encoding::Cp932)));
    assert!(one == other, "other rows in CP932");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A target's folder of seeds, and what it runs.
    type Target = (&'static str, fn(&[u8]));

    /// Mutations of each seed.
    const MUTATIONS: u32 = 80;

    /// Bytes that mean something to a reader.
    const PIECES: [&[u8]; 14] = [
        b"\"",
        b",",
        b"\n",
        b"\r\n",
        b"\x1a",
        b"\xff",
        b"\xe3\x82",
        b"\x82\xa0",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xef\xbf\xbd",
        b"1",
        b"{}",
        b"\xf0\x40",
    ];

    /// The same numbers in each run (xorshift).
    fn next(state: &mut u32, below: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        usize::try_from(*state).unwrap() % below.max(1)
    }

    fn mutated(seed: &[u8], state: &mut u32) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=next(state, 3) {
            let at = next(state, bytes.len() + 1);
            let end = (at + next(state, 3)).min(bytes.len());
            let piece = PIECES[next(state, PIECES.len())];
            bytes.splice(at..end, piece.iter().copied());
        }
        bytes
    }

    #[test]
    fn what_fuzzing_checks_holds_for_the_seeds_and_some_mutations() {
        let targets: [Target; 3] = [("csv_people", people), ("csv_records", records), ("json_lines", json_lines)];
        for (target, run) in targets {
            let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
            let mut state = 0x2545_f491;
            for entry in fs::read_dir(folder).unwrap() {
                let seed = fs::read(entry.unwrap().path()).unwrap();
                run(&seed);
                (0..MUTATIONS).for_each(|_| run(&mutated(&seed, &mut state)));
            }
        }
    }
}
