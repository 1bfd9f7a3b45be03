//! Asks witnesses for cosignatures (c2sp.org/tlog-witness): an audit office that watches the log on its own machine, and would find a
//! rewound or forked one.

use std::time::Duration;

use atena_ledger::witness::AddCheckpoint;
use atena_ledger::{
    Checkpoint, Note, NoteSignature, VerifierKey, consistency_nodes, consistency_proof, verify_cosignature,
};
use atena_store::{Store, StoreError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::head::Head;

/// Time for one question to a witness.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Time until a witness that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// One witness and the log that it watches.
pub(super) struct Witness {
    pub(super) store: Store,
    pub(super) address: String,
    pub(super) path: String,
    pub(super) key: VerifierKey,
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error("it can't be reached: {0}")]
    Unreachable(std::io::Error),
    #[error("it did not answer: {0}")]
    Protocol(#[from] hyper::Error),
    #[error("its answer is too long or broke off")]
    Answer,
    #[error("it took too long")]
    TimedOut,
    #[error(
        "it has cosigned {seen} leaves of this log, and there are only {size}: the log was rewound. Run `atena log fsck`"
    )]
    Rewound { seen: u64, size: u64 },
    #[error("it refuses this head with status {0}: the log was forked, or it watches another log")]
    Refused(u16),
    #[error("its cosignature does not verify with the key in the settings")]
    NotVerified,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the tree can't be read")]
    Tree,
}

// === impl Witness ===

impl Witness {
    /// Submits every new head until stopped; each cosigned head goes to `cosigned`.
    pub(super) async fn run(
        self,
        mut newest: watch::Receiver<Option<Head>>,
        cosigned: watch::Sender<Option<String>>,
        stop: CancellationToken,
    ) {
        let mut seen = 0;
        loop {
            let head = newest.borrow_and_update().clone();
            let mut pause = None;
            if let Some(head) = head {
                let submitted = tokio::select! {
                    submitted = self.submit(&head.note, &mut seen) => submitted,
                    () = stop.cancelled() => return,
                };
                match submitted {
                    Ok(note) => {
                        cosigned.send_replace(Some(note));
                    }
                    Err(error) => {
                        tracing::error!(witness = self.key.name(), %error, "a witness did not cosign the transfer log");
                        pause = Some(RETRY_AFTER);
                    }
                }
            }
            tokio::select! {
                changed = newest.changed(), if pause.is_none() => if changed.is_err() { return },
                () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Submits one head, a second time if the witness remembers another size; the head with the cosignature added.
    async fn submit(&self, head: &str, seen: &mut u64) -> Result<String, WitnessError> {
        let note = Note::parse(head).map_err(|_| WitnessError::Tree)?;
        let size = Checkpoint::parse(&note.text).map_err(|_| WitnessError::Tree)?.size;
        for _ in 0..2 {
            if *seen > size {
                return Err(WitnessError::Rewound { seen: *seen, size });
            }
            let nodes = self.store.log_nodes(&consistency_nodes(*seen, size)).await?;
            let proof = consistency_proof(*seen, size, |level, index| nodes.get(&(level, index)).copied().ok_or(()))
                .map_err(|_| WitnessError::Tree)?;
            let request = AddCheckpoint { old_size: *seen, proof, checkpoint: head.to_owned() };
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.post(request.to_string()));
            let (status, body) = answer.await.map_err(|_| WitnessError::TimedOut)??;
            match status {
                200 => {
                    let note = self.cosigned(head, &body)?;
                    *seen = size;
                    return Ok(note);
                }
                409 => *seen = body.trim().parse().map_err(|_| WitnessError::Answer)?,
                status => return Err(WitnessError::Refused(status)),
            }
        }
        Err(WitnessError::Refused(409))
    }

    fn cosigned(&self, head: &str, lines: &str) -> Result<String, WitnessError> {
        let mut note = Note::parse(head).map_err(|_| WitnessError::Tree)?;
        for line in lines.lines() {
            note.signatures.push(NoteSignature::parse(line).map_err(|_| WitnessError::Answer)?);
        }
        verify_cosignature(&note, &self.key).map_err(|_| WitnessError::NotVerified)?;
        Ok(note.to_string())
    }

    async fn post(&self, body: String) -> Result<(u16, String), WitnessError> {
        let stream = TcpStream::connect(&self.address).await.map_err(WitnessError::Unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(format!("{}/add-checkpoint", self.path))
            .header("host", &self.address)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| WitnessError::Answer)?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| WitnessError::Answer)?.to_bytes();
        connection.abort();
        String::from_utf8(body.to_vec()).map(|body| (status, body)).map_err(|_| WitnessError::Answer)
    }
}
