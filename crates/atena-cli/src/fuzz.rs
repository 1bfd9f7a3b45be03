//! Ways in for `crates/atena-cli/fuzz`: the readers of files that vendors make. Compiled for fuzzing alone.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "only fuzz targets see this")]

use std::io::Cursor;

use atena_proto::RECORD_DATASETS;
use atena_proto::v1::{PersonRegistration, PushedRecord};
use encoding_rs::SHIFT_JIS;

use crate::csv_io::{Bom, Format, PeopleWriter, RecordWriter, RowError, read_people, read_records};

type Rows<T> = Vec<Result<(u64, T), RowError>>;

/// Any file is read row by row, in either encoding alike; people that were read are the same when they are written and read again.
pub fn people(bytes: &[u8]) {
    let read = |bytes: &[u8]| -> Rows<PersonRegistration> {
        read_people(Cursor::new(bytes.to_vec()), Format::Csv).0.collect()
    };
    let people: Vec<_> = good(read(bytes));
    alike_in_both_encodings(bytes, &read);
    for bom in [Bom::With, Bom::Without] {
        let mut file = Vec::new();
        let written = |people: &[PersonRegistration]| {
            let mut file = Vec::new();
            let mut writer = PeopleWriter::new(&mut file, bom).expect("the contract is whole");
            people.iter().for_each(|person| writer.write(person).expect("what was read can be written"));
            writer.finish().expect("memory can be written to");
            file
        };
        // A file has every column: what was absent is empty now, and stays so.
        let again = good(read(&written(&people)));
        assert!(good(read(&written(&again))) == again, "people come back otherwise");
        assert!(again.len() == people.len(), "a person is lost");
    }
}

/// The same for records of the dataset that the first byte says.
pub fn records(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let dataset = RECORD_DATASETS[usize::from(*first) % RECORD_DATASETS.len()];
    let read = |bytes: &[u8]| -> Rows<PushedRecord> {
        read_records(dataset, Cursor::new(bytes.to_vec()), Format::Csv).0.collect()
    };
    let records: Vec<_> = good(read(bytes));
    alike_in_both_encodings(bytes, &read);
    let mut file = Vec::new();
    let mut writer = RecordWriter::new(dataset, &mut file, Bom::With).expect("the contract is whole");
    records.iter().for_each(|record| writer.write(record).expect("what was read can be written"));
    writer.finish().expect("memory can be written to");
    assert!(good(read(&file)) == records, "records come back otherwise");
}

/// Any JSON Lines are read line by line.
pub fn json_lines(bytes: &[u8]) {
    for row in read_people(Cursor::new(bytes.to_vec()), Format::JsonLines).0 {
        let _ = row;
    }
}

fn good<T>(rows: Rows<T>) -> Vec<T> {
    rows.into_iter().filter_map(|row| row.ok().map(|(_, row)| row)).collect()
}

/// A text gives the same rows whether the file is in UTF-8 or in CP932. Bytes that are both are read as UTF-8, so they say nothing.
fn alike_in_both_encodings<T: PartialEq>(bytes: &[u8], read: &impl Fn(&[u8]) -> Rows<T>) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (encoded, _, unmappable) = SHIFT_JIS.encode(text);
    let (decoded, _, malformed) = SHIFT_JIS.decode(&encoded);
    if unmappable || malformed || decoded != text || std::str::from_utf8(&encoded).is_ok() {
        return;
    }
    for (one, other) in read(bytes).into_iter().zip(read(&encoded)) {
        assert!(one == other, "another row in CP932");
    }
}
