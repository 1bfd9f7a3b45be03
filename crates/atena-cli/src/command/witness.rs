//! `atena witness`: cosigns the heads of one log, and refuses a rewound or forked one.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use atena_ledger::witness::{AddCheckpoint, Refusal, Seen, decide};
use atena_ledger::{Cosigner, VerifierKey, open_checkpoint};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;

use super::serve::stop_signal;
use super::verify::read_key;
use crate::Finished;
use crate::cli::WitnessArgs;
use crate::error::CliError;
use crate::output::Output;

/// Bytes of a request: a checkpoint with its signatures and 63 hashes is far smaller.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A witness of one log.
struct Witness {
    log: VerifierKey,
    cosigner: Cosigner,
    /// Holds the last head that was cosigned. Deciding and keeping happen under one lock.
    file: Mutex<PathBuf>,
}

/// Why no cosignature could be given.
enum Failure {
    Refused(Refusal),
    NotKept(std::io::Error),
}

/// Watches until asked to stop.
pub(super) async fn run(args: &WitnessArgs, output: &mut Output) -> Result<Finished, CliError> {
    let log = read_key(&args.log_key)?;
    fs::create_dir_all(&args.dir).map_err(failed("make", &args.dir))?;
    let malformed = |error: atena_ledger::KeyError| CliError::Malformed { what: "--name", reason: error.to_string() };
    let cosigner = Cosigner::new(&args.name, &seed(&args.dir.join("witness.key"))?).map_err(malformed)?;
    let key = cosigner.verifier_key();
    let witness = Witness { log, cosigner, file: Mutex::new(args.dir.join("last.checkpoint")) };
    witness.seen(&args.dir.join("last.checkpoint"))?;
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
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen(&file).map_err(|error| Failure::NotKept(std::io::Error::other(error.to_string())))?;
        let accepted = decide(&request, seen, &self.log).map_err(Failure::Refused)?;
        if seen != Some(accepted.seen) {
            keep(&file, &request.checkpoint).map_err(Failure::NotKept)?;
        }
        Ok(format!("{}\n", self.cosigner.cosign(&accepted.text, time)))
    }

    /// The last head that was cosigned.
    fn seen(&self, file: &Path) -> Result<Option<Seen>, CliError> {
        let note = match fs::read_to_string(file) {
            Ok(note) => note,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", file)(source)),
        };
        let head = open_checkpoint(&note, &self.log).map_err(|error| {
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
