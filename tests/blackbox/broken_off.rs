//! Work that breaks off in the middle: the disk is full, the process is killed, the gateway is gone. The same command goes on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use atena_proto::v1::RegisterPersonsRequest;
use atena_proto::v1::pushed_record::Body;

use crate::people::{personal_number, qualification, record, registration};
use crate::town::{Town, atena, printed};

const PEOPLE: u64 = 400;

/// A town whose pension system knows some people with a record each, as resident tax does.
async fn filled() -> Town {
    let town = Town::start();
    for (system, prefix) in [("pension", 'P'), ("resident-tax", 'T')] {
        let people = (0..PEOPLE).map(|one| registration(&format!("{prefix}{one}"), Some(&personal_number(7000 + one))));
        let request = RegisterPersonsRequest { request_id: String::new(), registrations: people.collect() };
        let mut answers =
            town.address_service(system).register_persons(tokio_stream::iter([request])).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        assert!(answer.results.iter().all(|result| result.error.is_none()));
    }
    push(&town, 1).await;
    town
}

/// Pushes a further record about each person.
async fn push(town: &Town, round: u64) {
    let records = (0..PEOPLE).map(|one| {
        let body = Body::Qualification(qualification());
        record(&format!("P{one}"), &format!("Q{one}-{round}"), 1, body)
    });
    town.push(records.collect()).await;
}

struct Pull {
    out: PathBuf,
    cursor: PathBuf,
    address: String,
    arguments: Vec<String>,
}

impl Pull {
    fn new(town: &Town, folder: &Path, name: &str) -> Self {
        let (out, cursor) = (folder.join(name), folder.join(format!("{name}.cursor")));
        let (shown, kept) = (out.to_str().unwrap(), cursor.to_str().unwrap());
        let arguments = ["pull", "--home", town.home_text(), "--as", "resident-tax", "--dataset", "qualification"];
        let arguments =
            arguments.into_iter().chain(["--out", shown, "--cursor-file", kept]).map(str::to_owned).collect();
        Self { out, cursor, address: town.address().to_owned(), arguments }
    }

    fn run(&self) -> Output {
        self.at(&self.address)
    }

    fn at(&self, address: &str) -> Output {
        let mut arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        arguments.extend(["--server", address]);
        atena(&arguments)
    }

    /// Runs where a file can't be longer than some KiB. Beyond that the process is killed in the middle of a write, or
    /// the write fails, as on a full disk.
    fn run_limited(&self, kib: u64, killed: bool) -> Output {
        let trap = if killed { "" } else { "trap '' XFSZ; " };
        let script = format!("{trap}ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
        Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_atena")])
            .args(&self.arguments)
            .args(["--server", &self.address])
            .output()
            .unwrap()
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.out.join("qualification.csv")).unwrap()
    }
}

/// A pull to a file on stdout, as a shell makes it.
struct Appended {
    pull: Pull,
    path: PathBuf,
}

impl Appended {
    fn new(town: &Town, folder: &Path, name: &str) -> Self {
        let mut pull = Pull::new(town, folder, name);
        let out = pull.arguments.iter().position(|argument| argument == "--out").unwrap();
        pull.arguments.drain(out..out + 2);
        pull.arguments.extend(["--server".to_owned(), town.address().to_owned()]);
        Self { pull, path: folder.join(format!("{name}.csv")) }
    }

    /// `redirect` is `>` or `>>`; `before` is done by the shell before the program is started.
    fn run(&self, redirect: &str, before: &str) -> Output {
        let script = format!("{before}exec \"$0\" \"$@\" {redirect}{}", self.path.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_atena")]).args(&self.pull.arguments).output().unwrap()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

/// A way to the gateway that is cut after some bytes of its answers.
struct Proxy {
    address: String,
    thread: JoinHandle<()>,
}

impl Proxy {
    fn cut_after(town: &Town, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, target) = (listener.local_addr().unwrap().to_string(), town.address().to_owned());
        let thread = thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let gateway = TcpStream::connect(target).unwrap();
            let (mut from_client, mut to_gateway) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
            let up = thread::spawn(move || std::io::copy(&mut from_client, &mut to_gateway));
            let (mut answers, mut to_client) =
                (gateway.try_clone().unwrap().take(bytes as u64), client.try_clone().unwrap());
            let _ = std::io::copy(&mut answers, &mut to_client);
            let _ = (client.shutdown(Shutdown::Both), gateway.shutdown(Shutdown::Both));
            let _ = up.join().unwrap();
        });
        Self { address, thread }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// acknowledged-is-durable, at the client: what a cursor says is in the file, once and whole.
#[tokio::test]
async fn a_pull_that_was_killed_or_found_a_full_disk_goes_on_with_whole_rows() {
    let town = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let pulls: Vec<Pull> = ["whole", "killed", "full"].map(|name| Pull::new(&town, folder.path(), name)).into();
    for pull in &pulls {
        printed(&pull.run());
    }
    let first = pulls[0].file();
    push(&town, 2).await;
    printed(&pulls[0].run());
    let limit = first.len() as u64 / 1024 + 4;
    assert!(limit * 1024 < pulls[0].file().len() as u64, "the second pull goes beyond the limit");

    assert_eq!(pulls[1].run_limited(limit, true).status.code(), None, "it was killed in a write");
    assert!(pulls[1].file().len() > first.len(), "rows were written that no cursor knows of");
    let output = pulls[2].run_limited(limit, false);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("whole rows only") && text.contains("it goes on from there"), "{text}");
    assert_eq!(pulls[2].file(), first, "what could not be kept is cut off at once");
    for pull in &pulls[1..] {
        printed(&pull.run());
        assert!(pull.file() == pulls[0].file(), "torn, lost or doubled rows");
    }
}

/// The same for a file on stdout: no torn row, no second header, and the rows before the cursor
/// stay.
#[tokio::test]
async fn a_pull_to_a_file_on_stdout_goes_on_with_whole_rows() {
    let town = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let pulls: Vec<Appended> = ["whole", "killed", "full"].map(|name| Appended::new(&town, folder.path(), name)).into();
    for pull in &pulls {
        printed(&pull.run(">>", ""));
    }
    let first = pulls[0].text();
    push(&town, 2).await;
    printed(&pulls[0].run(">>", ""));
    let whole = pulls[0].text();
    assert_eq!(whole.matches("宛名番号").count(), 1);
    let blocks = (first.len() as u64 / 1024 + 4) * 2;

    assert_eq!(pulls[1].run(">>", &format!("ulimit -f {blocks}; ")).status.code(), None, "killed in a write");
    assert!(pulls[1].text().len() > first.len(), "rows were written that no cursor knows of");
    let output = pulls[2].run(">>", &format!("trap '' XFSZ; ulimit -f {blocks}; "));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("whole rows only"), "{}", stderr(&output));
    assert_eq!(pulls[2].text(), first, "what could not be kept is cut off at once");
    for pull in &pulls[1..] {
        printed(&pull.run(">>", ""));
        assert!(pull.text() == whole, "torn, lost or doubled rows");
    }

    // The shell empties the file: the rows that the cursor vouches for are gone.
    push(&town, 3).await;
    let stopped = &pulls[2];
    assert_eq!(stopped.run(">>", &format!("trap '' XFSZ; ulimit -f {}; ", 2 * blocks)).status.code(), Some(4));
    let output = stopped.run(">", "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(">>") && stderr(&output).contains("remove the cursor file"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn several_datasets_in_csv_are_refused_on_stdout_before_anything_is_asked_for() {
    let town = filled().await;
    let arguments = ["pull", "--home", town.home_text(), "--as", "resident-tax", "--server", town.address()];
    let output = atena(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(output.stdout.is_empty() && stderr(&output).contains("--out DIR"), "{}", stderr(&output));
    assert!(town.transfers("method = \"LinkageService/PullRecords\"").await.is_empty());
    let lines = printed(&atena(&[&arguments[..], &["--format", "jsonl"]].concat()));
    assert_eq!(lines.matches("\"dataset\":\"qualification\"").count() as u64, PEOPLE);
}

#[tokio::test]
async fn a_pull_whose_gateway_is_gone_says_what_is_on_disk_and_goes_on() {
    let town = filled().await;
    // More records than one chunk holds.
    push(&town, 2).await;
    push(&town, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let whole = Pull::new(&town, folder.path(), "whole");
    printed(&whole.run());
    let mut stopped = 0;
    for kib in (1..).step_by(13) {
        let pull = Pull::new(&town, folder.path(), &format!("cut{kib}"));
        let proxy = Proxy::cut_after(&town, kib * 1024);
        let output = pull.at(&proxy.address);
        proxy.thread.join().unwrap();
        let text = stderr(&output);
        assert!(!text.contains("transport error"), "{text}");
        match output.status.code() {
            Some(0) => break,
            Some(3) => assert!(text.contains("the gateway at"), "{text}"),
            Some(4) => {
                assert!(text.contains("the gateway is gone") && text.contains("Run the same command again"), "{text}");
                stopped += 1;
            }
            code => panic!("{code:?}: {text}"),
        }
        printed(&pull.run());
        assert!(pull.file() == whole.file(), "torn, lost or doubled rows after {kib} KiB");
        assert!(pull.cursor.exists());
    }
    assert!(stopped > 0, "no pull stopped in the middle");
}

#[tokio::test]
async fn a_push_whose_gateway_is_gone_says_how_far_it_came_and_may_be_sent_again() {
    let town = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.csv");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "宛名番号,レコードキー,改訂番号,削除フラグ,基礎年金番号,被保険者種別,資格取得年月日,資格取得理由")
        .unwrap();
    for one in 0..PEOPLE {
        writeln!(file, "P{one},N{one},1,0,1000000003,1,1990-05-05,1").unwrap();
    }
    drop(file);
    let arguments = ["push", "--home", town.home_text(), "--as", "pension", "--dataset", "qualification"];
    let arguments: Vec<&str> = arguments.into_iter().chain([path.to_str().unwrap(), "--request-size", "10"]).collect();
    let proxy = Proxy::cut_after(&town, 6 * 1024);
    let cut: Vec<&str> = arguments.iter().copied().chain(["--server", &proxy.address]).collect();
    let output = atena(&cut);
    proxy.thread.join().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("Send the same file again: that is harmless"), "{text}");
    assert!(text.contains("Answered, and so durable: ") && text.contains(" rows, up to line "), "{text}");
    let again: Vec<&str> = arguments.iter().copied().chain(["--server", town.address()]).collect();
    let again = printed(&atena(&again));
    assert!(!again.contains("error"), "{again}");
}

#[test]
fn a_gateway_that_does_not_run_and_a_certificate_that_is_not_taken_have_their_own_exit_code() {
    let town = Town::start();
    let arguments = ["entitlements", "--home", town.home_text(), "--as", "resident-tax"];
    let mut nowhere = arguments.to_vec();
    nowhere.extend(["--server", "127.0.0.1:1"]);
    let output = atena(&nowhere);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("connection refused"), "{}", stderr(&output));

    // The certificate of another municipality's authority.
    let other = Town::prepare();
    for file in ["resident-tax.crt", "resident-tax.key"] {
        let systems = Path::new("pki/systems").join(file);
        std::fs::copy(other.home().join(&systems), town.home().join(&systems)).unwrap();
    }
    let mut here = arguments.to_vec();
    here.extend(["--server", town.address()]);
    let output = atena(&here);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in ["refused the client certificate", "another authority", "resident-tax.crt", "valid from"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
