//! Whole files through the readers and writers.

use std::io::Cursor;

use atena_proto::v1::{
    Payment, PaymentMonth, Person, PersonName, PersonRegistration, PushedRecord, pushed_record::Body,
};
use encoding_rs::SHIFT_JIS;

use super::*;

type Row<T> = Result<(u64, T), RowError>;

fn read(text: impl Into<Vec<u8>>) -> Vec<Row<PersonRegistration>> {
    counted(read_people(Cursor::new(text.into()), Format::Csv, None).ok().unwrap())
}

fn read_json(text: impl Into<Vec<u8>>) -> Vec<Row<PersonRegistration>> {
    counted(read_people(Cursor::new(text.into()), Format::JsonLines, None).ok().unwrap())
}

/// The rows of a file; each line with content is in one of them.
fn counted<T>(file: FileRows<T>) -> Vec<Row<T>> {
    let FileRows { rows, lines, .. } = file;
    let rows: Vec<Row<T>> = rows.collect();
    let sum: u64 = rows.iter().map(|row| row.as_ref().map_or_else(|bad| bad.rows, |_| 1)).sum();
    assert_eq!(sum, lines.get(), "rows read and rows refused are the lines with content");
    rows
}

/// Lines of good rows, and (line, lines that it stands for, column) of errors.
fn outline<T>(rows: &[Row<T>]) -> Vec<String> {
    let told = |row: &Row<T>| match row {
        Ok((line, _)) => format!("{line}"),
        Err(bad) => format!("{} x{} {}", bad.line, bad.rows, bad.column.as_deref().unwrap_or("-")),
    };
    rows.iter().map(told).collect()
}

fn name(row: &Row<PersonRegistration>) -> String {
    row.as_ref().ok().unwrap().1.person.as_ref().unwrap().name.as_ref().unwrap().full_name().to_owned()
}

fn message<T>(row: &Row<T>) -> &str {
    let Err(error) = row else { panic!("read") };
    &error.message
}

#[test]
fn a_file_in_cp932_with_japanese_headers_is_read() {
    let text = "宛名番号,氏名,生年月日,性別,個人番号\r\n０００００００００００００１９,町田　太郎,１９８０-０１-０２,男,123456789018\r\n";
    let (bytes, _, _) = SHIFT_JIS.encode(text);
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
    assert_eq!(outline(&rows), ["2 x1 sex", "3"], "the rows after it go on");
    assert!(!message(&rows[0]).contains("nonsense"));
}

/// A file without header has a row with a personal number there.
#[test]
fn a_header_that_is_refused_shows_none_of_its_text_and_every_line_is_refused() {
    let row = "000000000060480,200000004803,機密　太郎";
    let tabs = row.replace(',', "\t");
    for (header, told) in [
        (row, "no header"),
        (&tabs, "tabs"),
        (&row.replace(',', ";"), "semicolons"),
        ("宛名番号\t氏名", "tabs"),
        ("宛名番号;氏名", "semicolons"),
        ("宛名番号,氏名,200000004803", "column 3"),
        ("宛名番号,氏名,", "column 3"),
        ("宛名番号,氏名,機密\u{fffd}", "column 3"),
        ("宛名番号,氏名,氏名", "columns 2 and 3"),
        ("宛名番号,氏名, name.full_name ", "columns 2 and 3"),
        ("宛名番号,person.name.full_name,氏名", "columns 2 and 3"),
        ("local_address_number,氏名,宛名番号", "columns 1 and 3"),
        ("宛名番号,氏名\r機密,200000004803", "CR alone"),
    ] {
        let rows = read(format!("{header}\nA1,x\n\nA2,y\n"));
        let [Err(error)] = rows.as_slice() else { panic!("{header}") };
        assert!(error.is_header && error.line == 1 && error.rows >= 2, "{header}: {error:?}");
        assert!(error.message.contains(told), "{header}: {error}");
        for cell in ["4803", "機密", "604"] {
            assert!(!error.to_string().contains(cell), "{header}: {error}");
        }
    }
    let rows = read("\u{feff}宛名番号,氏名,\u{feff}宛名番号\nA1,x,A2\n");
    assert_eq!(outline(&rows), ["1 x1 -"], "a second byte order mark");
}

#[test]
fn what_an_open_quotation_mark_takes_along_is_refused_and_counted() {
    for (body, expected) in [
        // Never closed.
        ("A1,x,1\nA2,\"y,1\nA3,z,1\n\nA4,w,1\n", &["2", "3 x3 -"][..]),
        // Closed by the quotation mark of another row.
        ("A1,\"x,1\nA2,\"y\",1\nA3,z,1\n", &["2 x2 -", "4"]),
        ("A1,x,1\nA2,\"y,1\nA3,z,1\nA4,w\",1\nA5,v,1\n", &["2", "3 x3 -", "6"]),
        // By chance as many cells as the header has.
        ("A1,\"x,1\nA2,y\",1\nA3,z,1\n", &["2 x2 -", "4"]),
        // A row that was planted in a cell is none.
        ("A1,\"x\nA9,planted,1\n\",1\nA3,z,1\n", &["2 x3 -", "5"]),
        // Closed on a line that has nothing else.
        ("A1,\"x\n\"\nA2,y,1\n", &["2 x2 -", "4"]),
        // Opened on a line that has nothing else: what is planted in the cell is no row either.
        ("\"\nA9,planted,1\n\",A1,x\nA3,z,1\n", &["2 x3 -", "5"]),
        (",\"\nA9,planted,1\n\",x\nA3,z,1\n", &["2 x3 -", "5"]),
        (",,\"\nA9,planted,1\n\"\nA3,z,1\n", &["2 x3 -", "5"]),
        ("\"\",,\"\nA9,planted,1\n\"\nA3,z,1\n", &["2 x3 -", "5"]),
        (" \",\"\nA9,planted,1\n\"\nA3,z,1\n", &["2 x3 -", "5"]),
        ("\"\n", &["2 x1 -"]),
        // A cell of one quotation mark.
        ("\"\"\"\",,\nA3,z,1\n", &["2", "3"]),
        // In the last cell, and at the end of the file.
        ("A1,x,\"1\nA2,y,1", &["2 x2 -"]),
        ("A1,x,1\nA2,y,\"", &["2", "3 x1 -"]),
        ("A1,x,1\nA2,y,\"\n\u{1a}", &["2", "3 x1 -"]),
        // A mark in the middle of a cell, or a cell that goes on behind it.
        ("A1,x\"y,1\nA2,\"x\"y,1\nA3,\"x\"\"y\",1\n", &["2 x1 -", "3 x1 -", "4"]),
    ] {
        let rows = read(format!("宛名番号,氏名,性別\n{body}"));
        assert_eq!(outline(&rows), expected, "{body}");
    }
    let rows = read("宛名番号,氏名\nA1,x\nA2,\"y\nA3,z\n");
    assert!(message(&rows[1]).contains("opens in line 3"), "{}", message(&rows[1]));
    let rows = read("宛名番号,\"氏名\nA1,x\nA2,y\n");
    assert_eq!(outline(&rows), ["1 x2 -"], "in the header");
}

/// A line that can't be read opens and closes cells all the same.
#[test]
fn a_row_that_was_planted_in_a_cell_of_a_line_that_can_not_be_read_is_none() {
    let long = "x".repeat(1024 * 1024 + 1);
    for (body, expected) in [
        ("A1,\"José\nA9,planted,1\n\",1\nA3,z,1\n", &["2 x3 -", "5"][..]),
        ("A1,\"x\nJosé\",1\nA3,z,1\nA4,\"z\",1\n", &["2 x2 -", "4", "5"]),
        ("A1,\"José\",1\nA3,z,1\n", &["2 x1 -", "3"]),
        (&format!("A1,\"{long}\nA9,planted,1\n\",1\nA3,z,1\n"), &["2 x3 -", "5"]),
        (&format!("A1,\"x\n{long}\",1\nA3,z,1\n"), &["2 x2 -", "4"]),
    ] {
        let rows = read(format!("local_address_number,name.full_name,sex\n{body}"));
        assert_eq!(outline(&rows), expected, "{}", body.get(..20).unwrap_or(body));
    }
}

#[test]
fn lines_without_content_are_no_rows_and_every_other_line_is_one() {
    let rows = read("\n\n宛名番号,氏名\r\n\r\nA1,x\r\n,\r\n　, \r\n\"\",\"\"\r\nA2\r\nA3,y,z\r\n,w\r\n\u{1a}");
    assert_eq!(outline(&rows), ["5", "9 x1 -", "10 x1 -", "11"]);
    let joined = read("宛名番号,氏名\nA1,x\n\u{1a}\n\u{feff}宛名番号,氏名\nA2,y\n");
    assert_eq!(outline(&joined), ["2", "3 x1 -", "4 x1 宛名番号", "5"], "two files joined");
}

#[test]
fn damage_is_named_with_line_and_column_and_is_never_stored() {
    let mut cut = "宛名番号,氏名\r\nA1,山田　太郎\r\nA2,鈴木　".as_bytes().to_vec();
    cut.extend_from_slice(b"\xe8\x8a\r\nA3,x\r\n");
    let rows = read(cut);
    assert_eq!(outline(&rows), ["2", "3 x1 氏名", "4"]);
    let rows = read("宛名番号,氏名\nA1,鈴木\u{fffd}\nA2,鈴木\u{feff}\nA3,鈴\u{1}木\n");
    assert_eq!(outline(&rows), ["2 x1 氏名", "3 x1 氏名", "4 x1 氏名"]);
    assert!(message(&rows[0]).contains("U+FFFD"));
    let mut cp932 = SHIFT_JIS
        .encode("宛名番号,氏名,番地号\nA1,山田　太郎,森野二丁目二番地二十二号市庁舎三階国民年金係\nA2,鈴木,")
        .0
        .into_owned();
    cp932.extend_from_slice(b"\xf0\x40\nA3,\x85\x40,\nA4,\x80,\nA5,\xfd\xa0,\nA6,x,y\n");
    let rows = read(cp932);
    assert_eq!(outline(&rows), ["2", "3 x1 番地号", "4 x1 氏名", "5 x1 氏名", "6 x1 氏名", "7"]);
    assert!(message(&rows[1]).contains("user-defined"), "{}", message(&rows[1]));
}

#[test]
fn an_encoding_in_doubt_refuses_lines_until_the_caller_says_it() {
    let bytes = SHIFT_JIS.encode("local_address_number,name.full_name_kana\nA1,ﾏﾁﾀﾞ\nA2,MACHIDA\n").0.into_owned();
    let rows = read(bytes.clone());
    assert_eq!(outline(&rows), ["2 x1 -", "3"]);
    assert!(message(&rows[0]).contains("--encoding"));
    let said = counted(read_people(Cursor::new(bytes), Format::Csv, Some(Encoding::Cp932)).ok().unwrap());
    assert_eq!(outline(&said), ["2", "3"]);
}

#[test]
fn people_written_come_back_code_point_for_code_point() {
    let person = Person {
        name: Some(PersonName { full_name: Some("神\u{fa19}邉\u{e0102}\u{10de92}\"".into()), ..Default::default() }),
        protected: Some(true),
        ..Default::default()
    };
    let people = [PersonRegistration { local_address_number: "A1".into(), person: Some(person), ..Default::default() }];
    let mut file = Vec::new();
    let mut writer = PeopleWriter::new(&mut file, Bom::With).unwrap();
    people.iter().for_each(|person| writer.write(person).unwrap());
    assert_eq!(writer.finish().unwrap(), 1);
    assert!(file.starts_with(BYTE_ORDER_MARK));
    let rows = read(file);
    let read = rows[0].as_ref().ok().unwrap().1.person.as_ref().unwrap();
    let name = read.name.as_ref().unwrap();
    assert_eq!((name.full_name(), read.protected), ("神\u{fa19}邉\u{e0102}\u{10de92}\"", Some(true)));
    assert_eq!((name.family_name.as_deref(), read.sex), (Some(""), Some(0)), "what the file has no text for is empty");
}

/// What is not in the file is left as it is; what is there and empty is cleared; no protection ends by an
/// empty cell.
#[test]
fn a_missing_column_is_absent_an_empty_cell_is_empty_and_a_protection_ends_only_by_a_0() {
    let text = "宛名番号,氏名,番地号,支援措置対象者,他業務参照不可フラグ,住民状態,通称の確認状況\nA1,町田,,,,,\nA2,町田,一,0,0,1,1\n";
    let opened = read_people(Cursor::new(text), Format::Csv, None).ok().unwrap();
    let missing = opened.missing.clone();
    let people: Vec<_> = counted(opened).into_iter().map(|row| row.ok().unwrap().1.person.unwrap()).collect();
    let block = |person: &Person| person.address.as_ref().unwrap().block.clone();
    assert_eq!(block(&people[0]).as_deref(), Some(""), "an empty cell clears");
    assert_eq!((people[0].resident_status, people[0].alias.as_ref().unwrap().verified), (Some(0), Some(false)));
    assert_eq!((people[0].protected, people[0].restricted_to_owner), (None, None));
    assert_eq!((people[1].protected, people[1].restricted_to_owner), (Some(false), Some(false)));
    assert_eq!(block(&people[1]).as_deref(), Some("一"));
    for person in &people {
        assert!(person.birth_date.is_none() && person.sex.is_none() && person.former_surname.is_none());
        assert_eq!(person.address.as_ref().unwrap().town, None, "a neighbouring column is missing");
    }
    assert!(missing.contains(&"生年月日".to_owned()) && missing.contains(&"町字".to_owned()));
    assert!(!missing.contains(&"番地号".to_owned()) && !missing.contains(&"支援措置対象者".to_owned()));
}

#[test]
fn columns_that_a_file_lacks_are_named_and_a_list_by_its_first_entry() {
    let text = "local_address_number,record_key,revision,fiscal_year,months[0].month,months[0].status\n";
    let opened = read_records(Dataset::Payment, Cursor::new(text), Format::Csv, None).ok().unwrap();
    let expected = ["基礎年金番号", "納付額1", "付加保険料納付申出年月日", "付加保険料納付辞退年月日", "備考"];
    assert_eq!(opened.missing, expected);
    assert!(read_people(Cursor::new("{}\n"), Format::JsonLines, None).ok().unwrap().missing.is_empty());
}

/// Found by fuzzing: a quoted cell that ended with two CRs lost one each time it was written and read.
#[test]
fn carriage_returns_at_the_end_of_a_cell_are_no_part_of_it() {
    let rows = read("local_address_number,name.full_name,sex\nA1,\"町田\r\r\",1\nA2,\"町\r田\",2\r\n");
    assert_eq!(name(&rows[0]), "町田");
    assert_eq!(outline(&rows), ["2", "3 x1 name.full_name"], "in its middle one is a control character");
}

#[test]
fn records_written_come_back_deletions_included() {
    let month = |month: &str, status: &str| PaymentMonth { month: month.into(), status: status.into(), amount_yen: 0 };
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
    let mut writer = RecordWriter::new(Dataset::Payment, &mut file, Bom::Without).unwrap();
    records.iter().for_each(|record| writer.write(record).unwrap());
    assert_eq!(writer.finish().unwrap(), 2);
    let rows = counted(read_records(Dataset::Payment, Cursor::new(file), Format::Csv, None).ok().unwrap());
    let read: Vec<_> = rows.into_iter().map(|row| row.ok().unwrap().1).collect();
    assert!(read == records);
}

#[test]
fn a_file_of_records_has_its_own_names_for_the_fields_of_the_contract() {
    let file = "宛名番号,レコードキー,改訂番号,月別納付記号4,payment.fiscal_year\n";
    let opened = read_records(Dataset::Payment, Cursor::new(file), Format::Csv, None).ok().unwrap();
    for (path, name) in [
        ("record_key", "レコードキー"),
        ("payment.months[3].status", "月別納付記号4"),
        ("payment.fiscal_year", "payment.fiscal_year"),
        ("payment.months[0].status", "月別納付記号1"),
    ] {
        assert_eq!(opened.names.name(path), name);
    }
}

#[test]
fn json_lines_follow_the_contract_and_errors_quote_nothing() {
    let text = "{\"local_address_number\":\"A1\",\"person\":{\"sex\":\"SEX_FEMALE\"}}\n\n{\"personal\":\"secret\"}\n\
                {\"localAddressNumber\":\"A3\"}{\"localAddressNumber\":\"A4\"}\n{\"person\":{\"sex\":\"secret\"}}\n\u{1a}";
    let rows = read_json(text);
    assert_eq!(rows[0].as_ref().ok().unwrap().1.person.as_ref().unwrap().sex, Some(2));
    assert_eq!(outline(&rows), ["1", "3 x1 -", "4 x1 -", "5 x1 性別 (person.sex)"]);
    assert!(rows[1..].iter().all(|row| !row.as_ref().err().unwrap().to_string().contains("secret")));
}

#[test]
fn json_lines_are_utf_8_alone() {
    let good = "{\"localAddressNumber\":\"A1\",\"person\":{\"name\":{\"fullName\":\"山田\"}}}\n";
    let mut bytes = good.as_bytes().to_vec();
    bytes.extend_from_slice(&SHIFT_JIS.encode(good).0);
    bytes.extend_from_slice(b"{\"localAddressNumber\":\"A2\",\"person\":{\"name\":{\"fullName\":\"\xe8\x8a\"}}}\n");
    bytes.extend_from_slice(good.replace("山田", "山\u{fffd}").as_bytes());
    let rows = read_json(bytes);
    assert_eq!(outline(&rows), ["1", "2 x1 -", "3 x1 -", "4 x1 氏名 (person.name.full_name)"]);
    assert!(message(&rows[1]).contains("UTF-8 only") && message(&rows[2]).contains("UTF-8 only"));
    let rows = read_json(SHIFT_JIS.encode(good).0.into_owned());
    assert_eq!(outline(&rows), ["1 x1 -"]);
}

#[test]
fn a_file_that_is_none_of_rows_is_refused_as_a_whole() {
    let utf16: Vec<u8> = "\u{feff}宛名番号,氏名\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for format in [Format::Csv, Format::JsonLines] {
        let fault = |bytes: &[u8]| read_people(Cursor::new(bytes.to_vec()), format, None).err();
        assert_eq!(fault(&utf16), Some(FileFault::OtherKind("UTF-16")));
        for empty in ["", "\u{feff}", "\n\r\n", "\u{1a}", " \n\u{1a}\u{1a}"] {
            assert_eq!(fault(empty.as_bytes()), Some(FileFault::Empty), "{empty:?}");
        }
    }
}
