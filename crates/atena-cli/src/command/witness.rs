//! `atena witness`: cosigns the heads of one log, and refuses a rewound or forked one.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use atena_ledger::witness::{AddCheckpoint, Refusal, Seen, decide};
use atena_ledger::{Cosigner, Note, VerifierKey, open_checkpoint};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;

use super::serve::stop_signal;
use super::verify::read_keys;
use crate::Finished;
use crate::cli::WitnessArgs;
use crate::error::CliError;
use crate::output::Output;

/// Bytes of a request: a checkpoint with its signatures and 63 hashes is far smaller.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A witness of one log.
struct Witness {
    cosigner: Cosigner,
    /// Deciding and keeping happen under one lock.
    known: Mutex<Known>,
}

/// What the witness knows of the log.
struct Known {
    /// Holds the last head that was cosigned.
    file: PathBuf,
    /// The keys of the log, the newest last: those that it was told, and those that it learned from heads which a known key signed as well.
    keys: Vec<VerifierKey>,
    /// Holds the keys.
    keys_file: PathBuf,
    /// Older keys with which the log signs no more: whoever has a copy of one gets no cosignature.
    ended: Vec<VerifierKey>,
    /// Holds them.
    ended_file: PathBuf,
}

/// Why no cosignature could be given.
enum Failure {
    Refused(Refusal),
    NotKept(std::io::Error),
}

/// Watches until asked to stop.
pub(super) async fn run(args: &WitnessArgs, output: &mut Output) -> Result<Finished, CliError> {
    let told = read_keys(&args.log_key)?;
    fs::create_dir_all(&args.dir).map_err(failed("make", &args.dir))?;
    let malformed = |error: atena_ledger::KeyError| CliError::Malformed { what: "--name", reason: error.to_string() };
    let cosigner = Cosigner::new(&args.name, &seed(&args.dir.join("witness.key"))?).map_err(malformed)?;
    let key = cosigner.verifier_key();
    let known = Known::read(&args.dir, told)?;
    known.seen()?;
    let witness = Witness { cosigner, known: Mutex::new(known) };
    let routes = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(Arc::new(witness));
    let stop = stop_signal()?;
    let listener = TcpListener::bind(args.listen).await.map_err(CliError::Runtime)?;
    output.line(&format!("witness key {key}"))?;
    output.line(&format!("listening on {}", listener.local_addr().map_err(CliError::Runtime)?))?;
    axum::serve(listener, routes).with_graceful_shutdown(stop).await.map_err(CliError::Runtime)?;
    Ok(Finished::Clean)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: String) -> Response {
    // Waiting for the disk must not hold up other connections.
    let answer = tokio::task::spawn_blocking(move || witness.add(&body, now())).await;
    match answer {
        Ok(Ok(line)) => line.into_response(),
        Ok(Err(Failure::Refused(refusal))) => refused(refusal),
        Ok(Err(Failure::NotKept(error))) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the head could not be kept: {error}\n")).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn refused(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    match refusal {
        Refusal::Conflict { size } => {
            (status, [(CONTENT_TYPE, "text/x.tlog.size")], format!("{size}\n")).into_response()
        }
        other => (status, format!("{other}\n")).into_response(),
    }
}

// === impl Witness ===

impl Witness {
    /// Decides on a request at `time` (POSIX seconds), and keeps the head before it is cosigned.
    fn add(&self, body: &str, time: u64) -> Result<String, Failure> {
        let request = AddCheckpoint::parse(body).map_err(Failure::Refused)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = known.seen().map_err(|error| Failure::NotKept(std::io::Error::other(error.to_string())))?;
        let accepted = decide(&request, seen, &known.keys).map_err(Failure::Refused)?;
        if let Some(next) = accepted.next_key {
            known.learn(next).map_err(Failure::NotKept)?;
        }
        if seen != Some(accepted.seen) {
            keep(&known.file, &request.checkpoint).map_err(Failure::NotKept)?;
        }
        known.end_older(&request.checkpoint).map_err(Failure::NotKept)?;
        Ok(format!("{}\n", self.cosigner.cosign(&accepted.text, time)))
    }
}

// === impl Known ===

impl Known {
    /// What is kept in the directory, and the keys that the witness is told now.
    fn read(folder: &Path, told: Vec<VerifierKey>) -> Result<Self, CliError> {
        let (keys_file, ended_file) = (folder.join("log.vkey"), folder.join("ended.vkey"));
        let kept = |file: &Path| if file.exists() { read_keys(&file.to_string_lossy()) } else { Ok(Vec::new()) };
        let (mut keys, ended) = (kept(&keys_file)?, kept(&ended_file)?);
        if keys.iter().any(|kept| told.iter().any(|told| told.name() != kept.name())) {
            return Err(CliError::Rows(format!("{} holds keys of another log", keys_file.display())));
        }
        for key in told {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.retain(|key| !ended.contains(key));
        if keys.is_empty() {
            let reason = "the log signs with a newer key; give that one (atena log key)".to_owned();
            return Err(CliError::Malformed { what: "--log-key", reason });
        }
        Ok(Self { file: folder.join("last.checkpoint"), keys, keys_file, ended, ended_file })
    }

    /// Keeps a key that takes the place of a known one.
    fn learn(&mut self, key: VerifierKey) -> std::io::Result<()> {
        let text: String = self.keys.iter().chain([&key]).map(|key| format!("{key}\n")).collect();
        keep(&self.keys_file, &text)?;
        self.keys.push(key);
        Ok(())
    }

    /// Once the newest key signs without an older one, that one has ended.
    fn end_older(&mut self, checkpoint: &str) -> std::io::Result<()> {
        let Ok(note) = Note::parse(checkpoint) else { return Ok(()) };
        let by: Vec<_> = note.verify(&self.keys).unwrap_or_default().into_iter().cloned().collect();
        if by.len() == self.keys.len() || !self.keys.last().is_some_and(|newest| by.contains(newest)) {
            return Ok(());
        }
        let ended: Vec<_> = self.keys.iter().filter(|key| !by.contains(key)).cloned().collect();
        let text: String = self.ended.iter().chain(&ended).map(|key| format!("{key}\n")).collect();
        keep(&self.ended_file, &text)?;
        self.ended.extend(ended);
        self.keys.retain(|key| by.contains(key));
        Ok(())
    }

    /// The last head that was cosigned.
    fn seen(&self) -> Result<Option<Seen>, CliError> {
        let file = &self.file;
        let note = match fs::read_to_string(file) {
            Ok(note) => note,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", file)(source)),
        };
        let head = open_checkpoint(&note, &self.keys).map_err(|error| {
            CliError::Rows(format!("{}: {error}; it is of another log, or damaged", file.display()))
        })?;
        Ok(Some(Seen { size: head.size, root: head.root }))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Replaces the file as a whole, durable when this returns.
fn keep(file: &Path, note: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    let mut writing = File::create(&new)?;
    writing.write_all(note.as_bytes())?;
    writing.sync_all()?;
    fs::rename(&new, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The witness's seed; made at the first start, for its owner alone.
fn seed(path: &Path) -> Result<[u8; 32], CliError> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| CliError::Rows(format!("{} is not a witness key", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| CliError::Rows(format!("no random numbers: {error}")))?;
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed("make", path))?;
            file.write_all(&seed).and_then(|()| file.sync_all()).map_err(failed("write", path))?;
            Ok(seed)
        }
        Err(source) => Err(failed("read", path)(source)),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.to_owned();
    move |source| CliError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use atena_ledger::{Checkpoint, Hash, Signer};

    use super::*;

    fn head(size: u64, next: Option<&Signer>, by: &[&Signer]) -> String {
        let mut checkpoint = Checkpoint::new("log.example", size, Hash([size.try_into().unwrap(); 32]));
        if let Some(next) = next {
            checkpoint = checkpoint.naming(&next.verifier_key());
        }
        let mut note = checkpoint.sign(by[0]);
        note.signatures.extend(by[1..].iter().flat_map(|signer| checkpoint.sign(signer).signatures));
        note.to_string()
    }

    /// The same head again needs no proof, so the size stays what it was.
    fn request(old_size: u64, checkpoint: String) -> String {
        AddCheckpoint { old_size, proof: Vec::new(), checkpoint }.to_string()
    }

    #[test]
    fn a_key_that_was_replaced_gets_no_cosignature_any_more_and_the_newer_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (Signer::new("log.example", &[1; 32]).unwrap(), Signer::new("log.example", &[2; 32]).unwrap());
        let witness = |told: &Signer| {
            let known = Known::read(folder.path(), vec![told.verifier_key()])?;
            Ok::<_, CliError>(Witness { cosigner: Cosigner::new("w", &[3; 32]).unwrap(), known: Mutex::new(known) })
        };
        let first = witness(&old).unwrap();
        let refused = |witness: &Witness, body: &str| match witness.add(body, 1) {
            Err(Failure::Refused(refusal)) => refusal.http_status(),
            other => panic!("{}", other.is_ok()),
        };
        assert_eq!(refused(&first, &request(0, head(1, None, &[&new]))), 403, "unknown as yet");
        assert!(first.add(&request(0, head(1, Some(&new), &[&old, &new])), 1).is_ok());
        assert!(first.add(&request(1, head(1, None, &[&old])), 1).is_ok(), "both are in use");
        // Told the older key again after a restart, it knows the newer one; then the newer one signs alone.
        let again = witness(&old).unwrap();
        assert!(again.add(&request(1, head(1, None, &[&new])), 1).is_ok());
        assert_eq!(refused(&again, &request(1, head(1, None, &[&old]))), 403, "somebody has a copy of it");
        let last = witness(&old).unwrap();
        assert_eq!(refused(&last, &request(1, head(1, None, &[&old]))), 403, "also after a restart");
        assert!(last.add(&request(1, head(1, None, &[&new])), 1).is_ok());
    }
}
