//! Files of people and records, as a town hall has them: CSV (UTF-8 with or without byte order mark, or CP932) and JSON Lines.
//!
//! Columns are the leaf fields of the contract's messages, named by path or by the Japanese term of their comment, so that there is
//! no second list of fields. No error holds a value.

mod columns;
mod encoding;
mod read;
mod write;

use atena_proto::v1::Dataset;
use prost_reflect::DynamicMessage;

use crate::contract::Contract;
use crate::error::CliError;

pub(crate) use read::{MissingColumns, read_people, read_records};
pub(crate) use write::{ReleasedWriter, write_people, write_records};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Comma-separated, with a header.
    Csv,
    /// One JSON object a line, in protobuf's JSON form.
    JsonLines,
}

/// Whether a CSV file begins with a byte order mark, by which Excel tells UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bom {
    /// It does.
    With,
    /// It does not.
    Without,
}

/// A row that can't be read. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {message}", column.as_ref().map(|column| format!(", column {column}")).unwrap_or_default())]
pub(crate) struct RowError {
    /// Line in the file, from 1.
    pub(crate) line: u64,
    /// The column, where it is one.
    pub(crate) column: Option<String>,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

// === impl RowError ===

impl RowError {
    fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line, column: None, message: message.into() }
    }
}

/// The message that holds a dataset's record, and the field of `PushedRecord` that holds the message.
fn record_message(dataset: Dataset) -> Result<(&'static str, &'static str), CliError> {
    match dataset {
        Dataset::Qualification => Ok(("Qualification", "qualification")),
        Dataset::Payment => Ok(("Payment", "payment")),
        Dataset::Exemption => Ok(("Exemption", "exemption")),
        Dataset::Benefit => Ok(("Benefit", "benefit")),
        Dataset::WelfarePension => Ok(("WelfarePension", "welfare_pension")),
        Dataset::Person | Dataset::Unspecified => Err(CliError::Answer("a dataset that holds no records")),
    }
}

/// A generated message as one that can be walked.
fn dynamic<M: prost::Message>(contract: &Contract, name: &str, message: &M) -> Result<DynamicMessage, CliError> {
    let mut walked = DynamicMessage::new(contract.message(name)?);
    walked.transcode_from(message).map_err(|_| CliError::Answer("a message can't be read"))?;
    Ok(walked)
}

/// A walked message as a generated one.
fn generated<M: prost::Message + Default>(message: &DynamicMessage) -> Result<M, CliError> {
    message.transcode_to().map_err(|_| CliError::Answer("a message can't be written"))
}

/// What a file of people is made of.
const PEOPLE: &str = "PersonRegistration";

/// What a file of records is made of.
const RECORDS: &str = "PushedRecord";

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use atena_proto::v1::{
        Payment, PaymentMonth, Person, PersonName, PersonRegistration, PushedRecord, pushed_record::Body,
    };

    use super::*;

    fn read(text: impl Into<Vec<u8>>) -> Vec<Result<(u64, PersonRegistration), RowError>> {
        read_people(Cursor::new(text.into()), Format::Csv).0.collect()
    }

    fn name(row: &Result<(u64, PersonRegistration), RowError>) -> String {
        row.as_ref().ok().unwrap().1.person.as_ref().unwrap().name.as_ref().unwrap().full_name().to_owned()
    }

    #[test]
    fn a_file_in_cp932_with_japanese_headers_is_read() {
        let text = "宛名番号,氏名,生年月日,性別,個人番号\r\n０００００００００００００１９,町田　太郎,１９８０-０１-０２,男,123456789018\r\n";
        let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(text);
        let rows = read(bytes.into_owned());
        let (line, person) = rows[0].as_ref().ok().unwrap();
        assert_eq!((*line, person.local_address_number.as_str()), (2, "000000000000019"));
        assert_eq!(name(&rows[0]), "町田　太郎");
        let person = person.person.as_ref().unwrap();
        assert_eq!((person.sex, person.birth_date.as_ref().unwrap().date()), (Some(1), "1980-01-02"));
        assert_eq!(person.personal_number, "123456789018");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_column() {
        let rows = read("\u{feff}local_address_number,name.full_name\nA1,葛󠄀城　𠮷\n");
        assert_eq!(name(&rows[0]), "葛󠄀城　𠮷");
    }

    #[test]
    fn a_bad_row_names_line_and_column_and_no_value() {
        let rows = read("local_address_number,sex,name.full_name\nA1,9nonsense,x\nA2,FEMALE,y\n");
        let Err(error) = &rows[0] else { panic!("read") };
        assert_eq!((error.line, error.column.as_deref()), (2, Some("sex")));
        assert!(!error.to_string().contains("nonsense"));
        assert!(rows[1].is_ok(), "the rows after it go on");
    }

    /// What is not in the file is left as it is; what is there and empty is cleared; no protection
    /// ends by an empty cell.
    #[test]
    fn a_missing_column_is_absent_an_empty_cell_is_empty_and_a_protection_ends_only_by_a_0() {
        let text = "宛名番号,氏名,番地号,支援措置対象者,他業務参照不可フラグ,住民状態,通称の確認状況\nA1,町田,,,,,\nA2,町田,一,0,0,1,1\n";
        let (rows, missing) = read_people(Cursor::new(text), Format::Csv);
        let people: Vec<_> = rows.map(|row| row.ok().unwrap().1.person.unwrap()).collect();
        let block = |person: &Person| person.address.as_ref().unwrap().block.clone();
        assert_eq!(block(&people[0]).as_deref(), Some(""), "an empty cell clears");
        assert_eq!((people[0].resident_status, people[0].alias.as_ref().unwrap().verified), (Some(0), Some(false)));
        assert_eq!((people[0].protected, people[0].restricted_to_owner), (None, None));
        assert_eq!((people[1].protected, people[1].restricted_to_owner), (Some(false), Some(false)));
        assert_eq!(block(&people[1]).as_deref(), Some("一"));
        for person in &people {
            assert!(person.birth_date.is_none() && person.sex.is_none() && person.former_surname.is_none());
            assert_eq!(person.address.as_ref().unwrap().town, None, "this column is missing");
        }
        assert!(missing.contains(&"生年月日".to_owned()) && missing.contains(&"町字".to_owned()));
        assert!(!missing.contains(&"番地号".to_owned()) && !missing.contains(&"支援措置対象者".to_owned()));
    }

    #[test]
    fn columns_that_a_file_lacks_are_named_and_a_list_by_its_first_entry() {
        let text = "local_address_number,record_key,revision,fiscal_year,months[0].month,months[0].status\n";
        let (_, missing) = read_records(Dataset::Payment, Cursor::new(text), Format::Csv);
        assert_eq!(
            missing,
            ["基礎年金番号", "納付額1", "付加保険料納付申出年月日", "付加保険料納付辞退年月日", "備考"]
        );
        let (_, missing) = read_people(Cursor::new("{}\n"), Format::JsonLines);
        assert!(missing.is_empty());
    }

    #[test]
    fn an_unknown_column_is_named_and_stops_the_file() {
        let rows = read("local_address_number,shoe_size\nA1,27\n");
        let Err(error) = &rows[0] else { panic!("read") };
        assert_eq!((rows.len(), error.line, error.column.as_deref()), (1, 1, Some("shoe_size")));
    }

    #[test]
    fn people_written_come_back_code_point_for_code_point() {
        let person = Person {
            name: Some(PersonName {
                full_name: Some("神\u{fa19}邉\u{e0102}\u{10de92}".into()), ..Default::default()
            }),
            protected: Some(true),
            ..Default::default()
        };
        let people =
            [PersonRegistration { local_address_number: "A1".into(), person: Some(person), ..Default::default() }];
        let mut file = Vec::new();
        write_people(&mut file, Bom::With, people.iter().map(Clone::clone)).unwrap();
        let rows = read(file);
        let read = rows[0].as_ref().ok().unwrap().1.person.as_ref().unwrap();
        let name = read.name.as_ref().unwrap();
        assert_eq!((name.full_name(), read.protected), ("神\u{fa19}邉\u{e0102}\u{10de92}", Some(true)));
        assert_eq!(
            (name.family_name.as_deref(), read.sex),
            (Some(""), Some(0)),
            "what the file has no text for is empty"
        );
    }

    /// Found by fuzzing: a quoted cell that ended with two CRs lost one each time it was written and read.
    #[test]
    fn carriage_returns_at_the_end_of_a_cell_are_no_part_of_it() {
        let rows = read("local_address_number,name.full_name,sex\nA1,\"町田\r\r\",1\nA2,\"町\r田\r\",2\r\n");
        assert_eq!((name(&rows[0]).as_str(), name(&rows[1]).as_str()), ("町田", "町\r田"));
    }

    #[test]
    fn records_written_come_back_deletions_included() {
        let month =
            |month: &str, status: &str| PaymentMonth { month: month.into(), status: status.into(), amount_yen: 0 };
        let payment = Payment {
            fiscal_year: 2025,
            months: vec![month("2025-04", "*"), month("2025-05", "サ")],
            ..Default::default()
        };
        let record = |revision, body| PushedRecord {
            local_address_number: "A1".into(),
            record_key: "P-1".into(),
            revision,
            body: Some(body),
        };
        let deletion = atena_proto::v1::Deletion { dataset: Dataset::Payment.into() };
        let records = [record(1, Body::Payment(payment)), record(2, Body::Deletion(deletion))];
        let mut file = Vec::new();
        write_records(Dataset::Payment, &mut file, Bom::Without, records.iter().map(Clone::clone)).unwrap();
        let read: Vec<_> =
            read_records(Dataset::Payment, Cursor::new(file), Format::Csv).0.map(|row| row.ok().unwrap().1).collect();
        assert!(read == records);
    }

    #[test]
    fn json_lines_follow_the_contract_and_errors_quote_nothing() {
        let text =
            "{\"local_address_number\":\"A1\",\"person\":{\"sex\":\"SEX_FEMALE\"}}\n\n{\"personal\":\"secret\"}\n";
        let rows: Vec<_> = read_people(Cursor::new(text), Format::JsonLines).0.collect();
        let person = rows[0].as_ref().ok().unwrap().1.person.as_ref().unwrap();
        assert_eq!((person.sex, person.name.is_none(), person.protected), (Some(2), true, None));
        let Err(error) = &rows[1] else { panic!("read") };
        assert_eq!(error.line, 3);
        assert!(!error.to_string().contains("secret"));
    }
}
