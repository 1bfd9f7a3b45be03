//! One call from its first to its last step, in a task of its own: tonic drops a handler when its client goes away, and the
//! transfer record must not go with it.

mod chunks;
mod records;
pub(crate) mod rights;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atena_domain::OperatorId;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use crate::caller::{self, Caller, Shown, Unidentified};
use crate::clock;
use crate::convert::parse_uuid;
use crate::error::{CallError, Reason};
use crate::hall::Hall;
use crate::transfer::{self, Method, PartialCaller, TransferRecord};

pub(crate) use chunks::prefetch_chunks;

/// One call under way: who, when, and whether anybody still waits for the answer.
pub(crate) struct Call {
    pub(crate) hall: Arc<Hall>,
    pub(crate) method: Method,
    pub(crate) caller: Caller,
    pub(crate) operator: Option<OperatorId>,
    pub(crate) requested_at: Timestamp,
    request_id: OnceLock<String>,
    gone: CancellationToken,
    deadline: Instant,
}

/// The answers of a streaming call on their way out.
pub(crate) struct Answers<A> {
    sender: mpsc::Sender<Result<A, Status>>,
    deadline: Instant,
}

/// Room for one answer.
pub(crate) type Room<A> = mpsc::OwnedPermit<Result<A, Status>>;

/// What a streaming handler answers with.
pub(crate) type AnswerStream<A> = ReceiverStream<Result<A, Status>>;

/// Response metadata that carries the hash of the rules in force (64 hexadecimal digits), as the transfer record does.
const POLICY_HASH_METADATA: &str = "x-atena-policy-hash";

/// Answers of a stream that may wait for a slow client: logged, and not yet sent.
const ANSWERS_WAITING_MAX: usize = 4;

/// Runs a unary call: identifies the caller, runs `run` in its own task, and records the call if `run` failed without doing so.
pub(crate) async fn unary<Q, A, F>(
    hall: &Arc<Hall>,
    method: Method,
    request: Request<Q>,
    run: impl FnOnce(Arc<Call>, Q) -> F,
) -> Result<Response<A>, Status>
where
    A: Send + 'static,
    F: Future<Output = Result<A, CallError>> + Send + 'static,
{
    let timeout = hall.limits.call_timeout();
    let (call, message) = begin(hall, method, request, timeout).await?;
    let still_here = call.gone.clone().drop_guard();
    let deadline = call.deadline;
    let span = call.span();
    let work = run(Arc::clone(&call), message);
    let task = tokio::spawn(async move { settle(&call, work.await).await }.instrument(span));
    let result = match tokio::time::timeout_at(deadline, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(CallError::new(Reason::Internal, "the call failed; tell the operator")),
        Err(_) => Err(CallError::new(Reason::CallTimedOut, "the deadline passed")),
    };
    if result.is_ok() {
        still_here.disarm();
    }
    Ok(stamped(hall, result?))
}

/// Runs a streaming call likewise; its answers are bounded, so a slow client slows the work instead of filling memory.
pub(crate) async fn stream<Q, A, F>(
    hall: &Arc<Hall>,
    method: Method,
    request: Request<Q>,
    run: impl FnOnce(Arc<Call>, Q, Answers<A>) -> F,
) -> Result<Response<AnswerStream<A>>, Status>
where
    A: Send + 'static,
    F: Future<Output = Result<(), CallError>> + Send + 'static,
{
    let timeout = hall.limits.stream_timeout();
    let (call, message) = begin(hall, method, request, timeout).await?;
    let (sender, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
    let last_word = sender.clone();
    let span = call.span();
    let work = run(Arc::clone(&call), message, Answers { sender, deadline: call.deadline });
    tokio::spawn(
        async move {
            if let Err(error) = settle(&call, work.await).await {
                // Nobody listens any more if this fails; the log has it.
                let _ = last_word.send(Err(error.into())).await;
            }
        }
        .instrument(span),
    );
    Ok(stamped(hall, ReceiverStream::new(receiver)))
}

/// An answer with the hash of the rules that were in force: the receiver can show by which it was given.
fn stamped<A>(hall: &Hall, answer: A) -> Response<A> {
    let mut response = Response::new(answer);
    response.metadata_mut().insert(POLICY_HASH_METADATA, hall.stamp());
    response
}

/// Step 1, who: a caller that is in no registry is refused, and the refusal recorded.
async fn begin<Q>(
    hall: &Arc<Hall>,
    method: Method,
    request: Request<Q>,
    timeout: Duration,
) -> Result<(Arc<Call>, Q), Status> {
    let requested_at = clock::now();
    let deadline = Instant::now() + timeout.min(callers_timeout(request.metadata()).unwrap_or(timeout));
    let shown = Shown::by(request.extensions(), request.metadata().as_ref());
    let (known, error) = match caller::identify(hall, &shown).await {
        Ok(caller) => match beginning(hall, method, &caller, request.metadata()) {
            Ok(operator) => {
                let call = Call {
                    hall: Arc::clone(hall),
                    method,
                    caller,
                    operator,
                    requested_at,
                    request_id: OnceLock::new(),
                    gone: CancellationToken::new(),
                    deadline,
                };
                return Ok((Arc::new(call), request.into_inner()));
            }
            Err(error) => (caller.known(), error),
        },
        Err(Unidentified { known, error }) => (*known, error),
    };
    Err(refuse(hall, method, known, requested_at, error).await)
}

/// What is decided before a handler hears of a call: may this person call it at all, and who is its operator.
fn beginning(
    hall: &Hall,
    method: Method,
    caller: &Caller,
    metadata: &MetadataMap,
) -> Result<Option<OperatorId>, CallError> {
    let operator = caller.operator(metadata)?;
    rights::may_call(hall, caller, method.name, clock::now())?;
    Ok(operator)
}

/// Refuses a call whose message can't be read, so that no handler has heard it.
pub(crate) async fn refuse_unheard(
    hall: &Arc<Hall>,
    method: Method,
    shown: &Shown,
    requested_at: Timestamp,
    error: CallError,
) -> Status {
    // Who is not known is told that, and nothing of what else is wrong.
    let (known, error) = match caller::identify(hall, shown).await {
        Ok(caller) => (caller.known(), error),
        Err(Unidentified { known, error }) => (*known, error),
    };
    refuse(hall, method, known, requested_at, error).await
}

/// Refuses a call that no handler has heard. The record is that of the caller as far as it is known.
async fn refuse(
    hall: &Arc<Hall>,
    method: Method,
    known: PartialCaller,
    requested_at: Timestamp,
    error: CallError,
) -> Status {
    let hall = Arc::clone(hall);
    // In a task of its own for the same reason as any other call.
    let task = tokio::spawn(async move {
        let name = known.division.as_ref().map_or("unknown", |_| known.system.as_str()).to_owned();
        hall.metrics.call(method.name, error.reason.as_str());
        hall.metrics.refusal(&name, method.name, error.reason.as_str());
        let caller = known.system.as_str();
        tracing::info!(method = method.name, reason = error.reason.as_str(), caller, "call refused");
        let record = transfer::refused_unheard(hall.policy_hash(), method, known, requested_at, error.reason);
        match hall.log.append(vec![record]).await {
            Ok(()) => error,
            Err(unlogged) => unlogged,
        }
    });
    task.await.unwrap_or_else(|_| CallError::new(Reason::Internal, "the call failed; tell the operator")).into()
}

/// Counts the call, and records a failure that recorded nothing itself.
async fn settle<A>(call: &Call, result: Result<A, CallError>) -> Result<A, CallError> {
    let method = call.method.name;
    let error = match result {
        Ok(answer) => {
            call.hall.metrics.call(method, "OK");
            return Ok(answer);
        }
        Err(error) => error,
    };
    call.hall.metrics.call(method, error.reason.as_str());
    call.hall.metrics.refusal(call.caller.system_id.as_str(), method, error.reason.as_str());
    tracing::info!(reason = error.reason.as_str(), "call refused");
    if error.recorded {
        return Err(error);
    }
    call.hall.log.append(vec![call.failure(&error)]).await?;
    Err(error)
}

/// The caller's own deadline (`grpc-timeout`: at most 8 digits and a unit, gRPC over HTTP/2).
fn callers_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

// === impl Call ===

impl Call {
    fn span(&self) -> tracing::Span {
        let (municipality_code, system_id) = (self.hall.municipality_code().as_str(), self.caller.system_id.as_str());
        tracing::info_span!("call", method = self.method.name, municipality_code, system_id)
    }

    /// Keeps the caller's request id for the transfer log: of a stream the first one. Returns it in
    /// its one form; `None` where there is none.
    ///
    /// It must be a UUID, so that nothing else can be written into the log through it (number-confinement).
    pub(crate) fn keep_request_id(&self, text: &str) -> Result<Option<String>, CallError> {
        if text.is_empty() {
            return Ok(None);
        }
        let id = parse_uuid(text).ok_or_else(|| {
            CallError::field("request_id", "must be a UUID with hyphens (not nil, not max), or empty")
        })?;
        let id = id.to_string();
        self.request_id.get_or_init(|| id.clone());
        Ok(Some(id))
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.request_id.get().map(String::as_str)
    }

    /// Why nobody waits for the answer any more, if that is so.
    pub(crate) fn ended(&self) -> Option<CallError> {
        if Instant::now() >= self.deadline {
            Some(CallError::new(Reason::CallTimedOut, "the deadline passed"))
        } else if self.gone.is_cancelled() {
            Some(CallError::new(Reason::CallCancelled, "the caller went away"))
        } else {
            None
        }
    }

    /// Makes the records of a release durable (log-before-release). If nobody waits for the answer any more they are recorded
    /// as cancelled or timed out, and the error says so: the answer must not be sent.
    pub(crate) async fn log_release(&self, mut records: Vec<TransferRecord>) -> Result<(), CallError> {
        let ended = self.ended();
        if let Some(error) = &ended {
            for record in &mut records {
                transfer::not_sent(record, error.reason);
            }
        }
        let mut released: BTreeMap<&'static str, u64> = BTreeMap::new();
        for record in &records {
            if let Some(dataset) = record.heading.dataset {
                *released.entry(dataset.as_str()).or_default() += u64::try_from(record.records.len()).unwrap_or(0);
            }
        }
        self.hall.log.append(records).await?;
        if let Some(error) = ended {
            return Err(CallError { recorded: true, ..error });
        }
        for (dataset, count) in released {
            self.hall.metrics.records(count, self.caller.system_id.as_str(), dataset, "outbound");
        }
        Ok(())
    }

    /// Records a refusal and hands the error back, marked as recorded.
    pub(crate) async fn refuse(&self, error: CallError, mut records: Vec<TransferRecord>) -> CallError {
        for record in &mut records {
            transfer::refuse(record, error.reason);
        }
        match self.hall.log.append(records).await {
            Ok(()) => CallError { recorded: true, ..error },
            Err(unlogged) => unlogged,
        }
    }
}

// === impl Answers ===

impl<A> Answers<A> {
    /// Waits until the client has room for one more answer, so that nothing is logged as released that can't be sent soon.
    pub(crate) async fn room(&self) -> Result<Room<A>, CallError> {
        match tokio::time::timeout_at(self.deadline, self.sender.clone().reserve_owned()).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(CallError::new(Reason::CallCancelled, "the caller went away")),
            Err(_) => Err(CallError::new(Reason::CallTimedOut, "the deadline passed")),
        }
    }

    /// Sends answers in their order: the first into the room that was waited for, the others as the client takes them.
    pub(crate) async fn send_all(&self, room: Room<A>, answers: impl IntoIterator<Item = A>) -> Result<(), CallError> {
        let mut room = Some(room);
        for answer in answers {
            let room = match room.take() {
                Some(room) => room,
                None => self.room().await?,
            };
            room.send(Ok(answer));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_deadline_is_read_as_the_protocol_says() {
        let read = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            callers_timeout(&metadata)
        };
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "S", "1", "123456789S", "-1S", "1x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
