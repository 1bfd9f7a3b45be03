//! Pulls to a file on stdout.

use super::*;

/// A pull of payments to a file on stdout, as a shell opens it for `>>`.
struct Appended {
    place: Place,
}

// === impl Appended ===

impl Appended {
    fn new() -> Self {
        Self { place: Place::new() }
    }

    fn path(&self) -> PathBuf {
        self.place.folder.path().join("rows.csv")
    }

    fn prepare(&self) -> Result<Prepared, CliError> {
        let out = fs::OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        let reader = || fs::File::open(self.path()).ok();
        let cursor = Cursor::open(Some(&self.place.cursor()))?;
        let destination = Destination::Stdout(stdout::Stdout::new(out, reader, &cursor.kept)?);
        Ok(Prepared { cursor, destination, parts: vec![Part::new(Dataset::Payment, Format::Csv)?] })
    }

    fn begin(&self) -> Received {
        self.prepare().unwrap().begin().unwrap()
    }

    fn pull(&self, chunks: std::ops::Range<u8>) {
        let mut received = self.begin();
        chunks.for_each(|number| assert_eq!(received.take(payments(number)).unwrap(), 1));
        received.finish().unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn expected(chunks: std::ops::Range<u8>) -> String {
        let appended = Self::new();
        appended.pull(chunks);
        appended.text()
    }
}

fn payments(number: u8) -> PullRecordsResponse {
    let mut chunk = chunk(number);
    chunk.deliveries.remove(0);
    chunk
}

#[test]
fn a_file_on_stdout_goes_on_without_a_torn_row_or_a_second_header() {
    assert_eq!(Appended::expected(0..3).matches("宛名番号").count(), 1);
    // It came to its end, and goes on.
    let appended = Appended::new();
    appended.pull(0..1);
    appended.pull(1..3);
    assert_eq!(appended.text(), Appended::expected(0..3));

    // Killed in the middle of a row: before the first cursor, and after one.
    for kept in [0, 1] {
        let appended = Appended::new();
        let mut received = appended.begin();
        for number in 0..kept {
            received.take(payments(number)).unwrap();
            received.keep(State::Going).unwrap();
        }
        drop(received);
        add(&appended.path(), b"T1,r1,0,20");
        appended.pull(kept..3);
        assert_eq!(appended.text(), Appended::expected(0..3), "{kept}");
    }

    // The rows can't be kept.
    let appended = Appended::new();
    appended.pull(0..1);
    let before = appended.text();
    let mut received = appended.begin();
    received.take(payments(1)).unwrap();
    add(&appended.path(), b"half a row");
    let full = CliError::Output(io::ErrorKind::StorageFull.into());
    let text = received.stopped(full).to_string();
    assert!(text.contains("whole rows only") && text.contains("adding to the same file (>>)"), "{text}");
    assert_eq!(appended.text(), before);
    appended.pull(1..3);
    assert_eq!(appended.text(), Appended::expected(0..3));
}

#[test]
fn another_file_on_stdout_is_never_cut() {
    let spoiled: [Spoil; 3] = [
        Box::new(|path| fs::write(path, "").unwrap()),
        Box::new(|path| fs::write(path, "x".repeat(10_000)).unwrap()),
        Box::new(|path| add(path, b"an error message\n")),
    ];
    for spoil in spoiled {
        let appended = Appended::new();
        let mut received = appended.begin();
        received.take(payments(0)).unwrap();
        drop(received.stopped(lost()));
        spoil(&appended.path());
        let before = appended.text();
        let Err(error) = appended.prepare() else { panic!("it goes on") };
        assert!(error.to_string().contains("Add to its file (>>)"), "{error}");
        assert_eq!(appended.text(), before);
    }
    // What stood there before the first pull stays, and a pipe takes nothing back.
    let appended = Appended::new();
    fs::write(appended.path(), "# taxes\n").unwrap();
    let received = appended.begin();
    drop(received);
    add(&appended.path(), b"torn");
    appended.pull(0..1);
    let text = appended.text();
    assert!(text.starts_with("# taxes\n宛名番号") && !text.contains("torn"), "{text}");
}
