//! Working ahead: while something is stored or sent, a task of its own prepares what comes next, so that the cores and the database are busy
//! at the same time. How much waits is bounded (back-pressure).

use std::future::Future;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::error::{CallError, Reason};

/// Chunks that are stored together, at most, and as many that are prepared meanwhile. Others who write wait for so long.
pub(crate) const TOGETHER_MAX: usize = 4;

/// Records that a task works on at once: a fraction of a millisecond.
pub(crate) const AT_ONCE: usize = 128;

/// Lets others have their turn after every [`AT_ONCE`] records. All tasks share as many threads as there are cores, and most only want to ask the
/// database their next question: behind a task that packs a thousand records each of them waited for milliseconds.
pub(crate) async fn take_turns(done: usize) {
    if done > 0 && done.is_multiple_of(AT_ONCE) {
        tokio::task::yield_now().await;
    }
}

/// Work for a task of its own, which ends with whoever waits for it.
pub(crate) fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
}

/// What is prepared ahead, in its order.
pub(crate) struct Ahead<P> {
    prepared: mpsc::Receiver<Result<P, CallError>>,
    /// What ended it, behind what is stored first.
    failed: Option<CallError>,
    work: AbortOnDropHandle<()>,
}

// === impl Ahead ===

impl<P: Send + 'static> Ahead<P> {
    /// Prepares one after the other: `step` makes the next out of a state, and the state after it; `None` at the end. It ends with the first
    /// that can't be prepared, too. So many wait, at most.
    pub(crate) fn unfold<S, F, W>(waiting_max: usize, first: S, step: F) -> Self
    where
        S: Send + 'static,
        F: Fn(S) -> W + Send + 'static,
        W: Future<Output = Result<Option<(P, S)>, CallError>> + Send,
    {
        let (sender, prepared) = mpsc::channel(waiting_max);
        let work = async move {
            let mut state = Some(first);
            while let Some(now) = state {
                let next = match step(now).await {
                    Ok(None) => return,
                    Ok(Some((next, after))) => {
                        state = Some(after);
                        Ok(next)
                    }
                    Err(error) => {
                        state = None;
                        Err(error)
                    }
                };
                if sender.send(next).await.is_err() {
                    return;
                }
            }
        };
        Self { prepared, failed: None, work: beside(work) }
    }

    /// The next, once it is prepared; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<P>, CallError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match self.prepared.recv().await {
            Some(next) => next.map(Some),
            // The end, unless the work broke off.
            None => match (&mut self.work).await {
                Ok(()) => Ok(None),
                Err(_) => Err(CallError::new(Reason::Internal, "what comes next was lost; tell the operator")),
            },
        }
    }

    /// All that are prepared, the next at least, to be stored together; `None` at the end. An error has its turn once those before it are stored.
    pub(crate) async fn next_together(&mut self) -> Result<Option<Vec<P>>, CallError> {
        let Some(first) = self.next().await? else { return Ok(None) };
        let mut together = vec![first];
        while together.len() < TOGETHER_MAX {
            match self.prepared.try_recv() {
                Ok(Ok(next)) => together.push(next),
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Some(together))
    }
}
