//! Pulls that stop and go on: never a torn row, never a row lost or doubled.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use atena_proto::released::{ReleasedBody, ReleasedRecord};
use atena_proto::v1::{Delivery, Payment, Qualification};
use prost::Message as _;
use tempfile::TempDir;

use super::*;

mod appended;

/// The byte order mark as text.
const BOM: char = '\u{feff}';

const DATASETS: [Dataset; 2] = [Dataset::Qualification, Dataset::Payment];

/// A folder with room for the files of a pull, and its cursor file.
struct Place {
    folder: TempDir,
}

// === impl Place ===

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.out().join(name)
    }

    fn cursor(&self) -> PathBuf {
        self.folder.path().join("tax.cursor")
    }

    fn prepare(&self) -> Result<Prepared, CliError> {
        Cursor::open(Some(&self.cursor()))?.prepare(&self.out(), FileFormat::Csv, &DATASETS)
    }

    fn begin(&self) -> Received {
        self.prepare().unwrap().begin().unwrap()
    }

    fn refusal(&self) -> String {
        let Err(error) = self.prepare() else { panic!("it goes on") };
        error.to_string()
    }

    /// A pull of some chunks that comes to its end.
    fn pull(&self, chunks: std::ops::Range<u8>) {
        let mut received = self.begin();
        chunks.for_each(|number| assert_eq!(received.take(chunk(number)).unwrap(), 2));
        received.finish().unwrap();
    }

    /// What both files hold without their heads.
    fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for name in ["qualification.csv", "payment.csv"] {
            let text = fs::read_to_string(self.file(name)).unwrap();
            assert_eq!(text.matches(BOM).count(), 1, "one byte order mark, at the beginning");
            assert!(text.starts_with(BOM) && text.ends_with('\n'));
            assert_eq!(text.matches("宛名番号").count(), 1, "one header");
            rows.extend(text.lines().skip(1).map(|row| row.split(",0,").next().unwrap().to_owned()));
        }
        rows
    }
}

/// Chunk `number`: a record of each dataset. Its cursor is its number.
fn chunk(number: u8) -> PullRecordsResponse {
    let deliveries = DATASETS.map(|dataset| {
        let body = match dataset {
            Dataset::Payment => Payment { fiscal_year: 2025, ..Default::default() }.encode_to_vec(),
            _ => Qualification { remarks: "\"a,b\n\"".into(), ..Default::default() }.encode_to_vec(),
        };
        let mut delivery = Delivery::default();
        (delivery.local_address_number, delivery.dataset) = (format!("T{number}"), dataset.into());
        let body = ReleasedBody::new(dataset, body.into());
        delivery.records.push(ReleasedRecord { record_id: format!("r{number}"), body });
        delivery
    });
    PullRecordsResponse { deliveries: deliveries.into(), next_cursor: vec![0xff, number], complete: false }
}

fn expected(chunks: std::ops::Range<u8>) -> Vec<String> {
    let place = Place::new();
    place.pull(chunks);
    place.rows()
}

fn add(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// Something that happens to a file between two pulls.
type Spoil = Box<dyn Fn(&Path)>;

fn lost() -> CliError {
    CliError::Answer("the pull ended before it was complete")
}

#[test]
fn a_pull_that_was_killed_goes_on_after_its_last_cursor() {
    // At every point between two writes: rows of a block in no file, in one, in both, before the cursor.
    for (qualification, payment) in [(0, 0), (1, 0), (40, 0), (400, 0), (400, 1), (400, 400)] {
        let place = Place::new();
        let mut received = place.begin();
        received.take(chunk(0)).unwrap();
        received.keep(State::Going).unwrap();
        drop(received);
        let junk = vec![b'x'; 400];
        add(&place.file("qualification.csv"), &junk[..qualification]);
        add(&place.file("payment.csv"), &junk[..payment]);
        assert_eq!(Cursor::open(Some(&place.cursor())).unwrap().to_send(), [0xff, 0]);
        place.pull(1..3);
        assert_eq!(place.rows(), expected(0..3));
    }
}

#[test]
fn a_pull_that_was_killed_before_its_first_cursor_begins_anew() {
    let place = Place::new();
    drop(place.begin());
    add(&place.file("payment.csv"), b"torn");
    place.pull(0..2);
    assert_eq!(place.rows(), expected(0..2));
}

#[test]
fn a_pull_that_lost_the_gateway_keeps_the_whole_chunks_and_goes_on() {
    let place = Place::new();
    let mut received = place.begin();
    received.take(chunk(0)).unwrap();
    received.take(chunk(1)).unwrap();
    // A chunk that breaks the contract in its middle leaves nothing of itself.
    let mut bad = chunk(2);
    bad.deliveries[1].dataset = Dataset::Benefit.into();
    let cause = received.take(bad).unwrap_err();
    let text = received.stopped(cause).to_string();
    assert!(text.contains("qualification 2 records") && text.contains("whole rows only"), "{text}");
    assert!(text.contains("it goes on from there"), "{text}");
    assert_eq!(place.rows(), expected(0..2));
    place.pull(2..3);
    assert_eq!(place.rows(), expected(0..3));
}

#[test]
fn rows_that_can_not_be_kept_are_cut_off_again() {
    let place = Place::new();
    place.pull(0..1);
    let mut received = place.begin();
    received.take(chunk(1)).unwrap();
    // The cursor can't be replaced: a folder stands where the new one is to be written.
    let moved = place.folder.path().join("moved");
    received.cursor = Some(CursorFile::lock(&moved.with_extension("other")).unwrap());
    fs::create_dir(moved.with_extension("other.new")).unwrap();
    let cause = received.finish().unwrap_err();
    let text = received.stopped(cause).to_string();
    assert!(text.contains("payment 0 records") && text.contains("whole rows only"), "{text}");
    assert_eq!(place.rows(), expected(0..1));
}

#[test]
fn without_a_cursor_file_files_are_replaced_only_by_whole_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payment.csv");
    let begin = || {
        let prepared = Cursor::open(None).unwrap().prepare(folder.path(), FileFormat::Csv, &DATASETS).unwrap();
        prepared.begin().unwrap()
    };
    fs::write(&path, "from yesterday").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut received = begin();
    received.take(chunk(0)).unwrap();
    let text = received.stopped(lost()).to_string();
    assert!(text.contains("This is not everything") && text.contains("--cursor-file"), "{text}");
    assert!(text.contains("end in .part"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "from yesterday");
    let part = fs::read_to_string(folder.path().join("payment.csv.part")).unwrap();
    assert!(part.ends_with('\n') && part.contains("T0,r0,0"), "whole rows only");

    let mut received = begin();
    received.take(chunk(1)).unwrap();
    received.finish().unwrap();
    drop(received);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("T1,r1,0") && !text.contains("T0,"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(folder.path().join("qualification.csv")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");

    // Behind a link.
    let real = folder.path().join("real.csv");
    fs::rename(&path, &real).unwrap();
    std::os::unix::fs::symlink(&real, &path).unwrap();
    begin().finish().unwrap();
    assert!(path.is_symlink() && !fs::read_to_string(&real).unwrap().contains("T1,"));
}

#[test]
fn files_that_are_not_what_was_left_are_refused_with_what_to_do() {
    let change = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cases: [(&str, Spoil); 5] = [
        // Both would be: its rows were taken over.
        ("is missing", Box::new(|path| fs::remove_file(path).unwrap())),
        ("where the last pull left", Box::new(|path| fs::write(path, "short").unwrap())),
        ("was added to", Box::new(|path| add(path, b"one more\n"))),
        ("was changed", Box::new(change)),
        (
            "no regular file",
            Box::new(|path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }),
        ),
    ];
    for (said, spoil) in cases {
        let place = Place::new();
        place.pull(0..1);
        let before = fs::read(place.file("qualification.csv")).unwrap();
        spoil(&place.file("payment.csv"));
        let text = place.refusal();
        assert!(text.contains(said) && text.contains("payment.csv") && text.contains("--out"), "{text}");
        assert_eq!(fs::read(place.file("qualification.csv")).unwrap(), before, "nothing was done");
    }
}

#[test]
fn two_pulls_at_once_never_write_one_file() {
    let place = Place::new();
    let mut first = place.begin();
    let text = place.refusal();
    assert!(text.contains("in use by another"), "{text}");
    // Without a cursor file, or with another one, the files themselves are held.
    let second = Cursor::open(None).unwrap().prepare(&place.out(), FileFormat::Csv, &DATASETS).unwrap();
    let Err(error) = second.begin() else { panic!("both write") };
    assert!(error.to_string().contains("in use by another"), "{error}");
    first.take(chunk(0)).unwrap();
    first.finish().unwrap();
    drop(first);
    assert_eq!(place.rows(), expected(0..1));
}

#[test]
fn a_cursor_from_before_goes_on_in_an_empty_folder_alone() {
    let place = Place::new();
    fs::write(place.cursor(), b"\xff\x00sealed").unwrap();
    fs::create_dir(place.out()).unwrap();
    fs::write(place.file("payment.csv"), "a,b\n1,2\n").unwrap();
    let text = place.refusal();
    assert!(text.contains("earlier version") && text.contains("payment.csv"), "{text}");
    fs::remove_file(place.file("payment.csv")).unwrap();
    assert_eq!(Cursor::open(Some(&place.cursor())).unwrap().to_send(), b"\xff\x00sealed");
    place.pull(0..1);
    assert_eq!(place.rows(), expected(0..1));
}

#[test]
fn a_complete_pull_may_go_on_in_another_folder_and_one_that_stopped_may_not() {
    let place = Place::new();
    place.pull(0..1);
    let next = place.folder.path().join("next");
    let prepare = || Cursor::open(Some(&place.cursor()))?.prepare(&next, FileFormat::Csv, &DATASETS);
    let mut received = prepare().unwrap().begin().unwrap();
    received.take(chunk(1)).unwrap();
    drop(received.stopped(lost()));
    let text = place.refusal();
    assert!(text.contains("did not come to its end") && text.contains("next"), "{text}");
    let mut received = prepare().unwrap().begin().unwrap();
    received.take(chunk(2)).unwrap();
    received.finish().unwrap();
    drop(received);
    // Back to the first folder: its files are not those that the cursor goes on with.
    assert!(place.refusal().contains("is there already"), "{}", place.refusal());
    // A folder that was moved as a whole is the same folder.
    let moved = place.folder.path().join("moved");
    fs::rename(&next, &moved).unwrap();
    Cursor::open(Some(&place.cursor())).unwrap().prepare(&moved, FileFormat::Csv, &DATASETS).unwrap();
}

#[test]
fn a_file_from_before_without_byte_order_mark_is_left_as_it_is() {
    let place = Place::new();
    place.pull(0..1);
    let path = place.file("payment.csv");
    let old = fs::read(&path).unwrap()[BOM.len_utf8()..].to_vec();
    fs::write(&path, &old).unwrap();
    // As an earlier pull would have kept it.
    let file = CursorFile::lock(&place.cursor()).unwrap();
    let Kept::Place(mut kept) = file.read().unwrap() else { panic!("no place") };
    let payment = kept.files.iter_mut().find(|file| file.name == "payment.csv").unwrap();
    payment.bytes = old.len() as u64;
    payment.sha256 = crate::hexadecimal::hexadecimal(&<sha2::Sha256 as sha2::Digest>::digest(&old));
    file.replace(&kept).unwrap();
    drop(file);
    place.pull(1..2);
    let now = fs::read(&path).unwrap();
    assert!(now.starts_with(&old) && !String::from_utf8(now).unwrap().contains(BOM));
}

#[test]
fn a_pull_with_a_cursor_file_begins_files_in_place_and_only_when_it_begins() {
    let place = Place::new();
    fs::create_dir(place.out()).unwrap();
    fs::write(place.file("payment.csv"), "from yesterday").unwrap();
    let inode = fs::metadata(place.file("payment.csv")).unwrap().ino();
    let prepared = place.prepare().unwrap();
    assert_eq!(fs::read_to_string(place.file("payment.csv")).unwrap(), "from yesterday");
    prepared.begin().unwrap().finish().unwrap();
    assert_eq!(fs::metadata(place.file("payment.csv")).unwrap().ino(), inode);
    assert_eq!(place.rows(), expected(0..0));
}

/// Files of which the rows were taken over may be taken away, all of them.
#[test]
fn files_of_a_complete_pull_may_be_taken_away_and_begin_anew() {
    let place = Place::new();
    place.pull(0..1);
    for name in ["qualification.csv", "payment.csv"] {
        fs::remove_file(place.file(name)).unwrap();
    }
    place.pull(1..2);
    assert_eq!(place.rows(), expected(1..2));
    place.pull(2..3);
    assert_eq!(place.rows(), expected(1..3));
    // Of a pull that stopped nothing may be taken away.
    let mut received = place.begin();
    received.take(chunk(3)).unwrap();
    drop(received.stopped(lost()));
    for name in ["qualification.csv", "payment.csv"] {
        fs::rename(place.file(name), place.file(name).with_extension("moved")).unwrap();
    }
    let text = place.refusal();
    assert!(text.contains("is missing") && text.contains("put the file back"), "{text}");
    assert!(!text.contains("--out"), "another folder is refused for this cursor: {text}");
}

#[test]
fn a_cursor_that_is_asked_for_other_datasets_or_formats_says_which_it_goes_on_with() {
    for is_complete in [true, false] {
        let place = Place::new();
        let mut received = place.begin();
        received.take(chunk(0)).unwrap();
        if is_complete {
            received.finish().unwrap();
            drop(received);
        } else {
            drop(received.stopped(lost()));
        }
        let asked = |out: &Path, format, datasets: &[Dataset]| {
            let answer = Cursor::open(Some(&place.cursor())).unwrap().prepare(out, format, datasets);
            answer.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let text = asked(&place.out(), FileFormat::Csv, &[Dataset::Payment]);
        assert!(text.contains("goes on with payment.csv, qualification.csv; asked for was payment.csv"), "{text}");
        // After a complete pull another format begins anew.
        let text = asked(&place.out(), FileFormat::Jsonl, &DATASETS);
        assert_eq!(text.contains("asked for was payment.jsonl"), !is_complete, "{text}");
        let text = asked(&place.folder.path().join("next"), FileFormat::Csv, &DATASETS);
        assert_eq!(text.contains("did not come to its end"), !is_complete, "{text}");
    }
}

#[test]
fn several_datasets_in_csv_are_never_mixed_on_stdout() {
    let prepare = |format, datasets: &[Dataset]| {
        let answer = Cursor::open(None).unwrap().prepare(Path::new("-"), format, datasets);
        answer.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let text = prepare(FileFormat::Csv, &DATASETS);
    assert!(text.contains("2 datasets") && text.contains("--out DIR") && text.contains("--format jsonl"), "{text}");
    assert_eq!(prepare(FileFormat::Csv, &[Dataset::Payment, Dataset::Payment]), "");
    assert_eq!(prepare(FileFormat::Jsonl, &DATASETS), "", "lines name their dataset");
}
