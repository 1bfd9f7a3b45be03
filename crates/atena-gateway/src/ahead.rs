//! Working ahead on a stream of chunks: while chunks are stored, a task of its own receives and prepares the next, so that the cores
//! and the database are busy at the same time. Chunks that are prepared when their turn comes are stored together, as one transaction.
//! How many wait is bounded (back-pressure).

use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;
use tracing::Instrument as _;

use crate::call::Call;
use crate::error::{CallError, Reason};

/// Chunks that are stored together, at most, and as many that are prepared meanwhile. Others who write wait for so long.
const TOGETHER_MAX: usize = 4;

/// Chunks that are prepared ahead, in their order.
pub(crate) struct Ahead<P> {
    prepared: mpsc::Receiver<Result<P, CallError>>,
    /// What ended the stream, behind chunks that are stored first.
    failed: Option<CallError>,
    work: AbortOnDropHandle<()>,
}

// === impl Ahead ===

impl<P: Send + 'static> Ahead<P> {
    /// Begins with the first chunk. The stream ends with the first chunk that can't be prepared.
    pub(crate) fn new<T, F, W>(call: &Arc<Call>, mut chunks: Streaming<T>, prepare: F) -> Self
    where
        T: Send + 'static,
        F: Fn(Arc<Call>, T) -> W + Send + 'static,
        W: Future<Output = Result<P, CallError>> + Send,
    {
        let (sender, prepared) = mpsc::channel(TOGETHER_MAX);
        let call = Arc::clone(call);
        let work = async move {
            loop {
                let next = match chunks.message().await {
                    Ok(Some(chunk)) => prepare(Arc::clone(&call), chunk).await,
                    Ok(None) => return,
                    Err(status) => Err(CallError::from_inbound(&status)),
                };
                let failed = next.is_err();
                if sender.send(next).await.is_err() || failed {
                    return;
                }
            }
        };
        Self { prepared, failed: None, work: AbortOnDropHandle::new(tokio::spawn(work.in_current_span())) }
    }

    /// The next chunks that are prepared, one at least; none at the end of the stream. A stream that breaks off is an error, and recorded as
    /// one, once the chunks before are stored.
    pub(crate) async fn next(&mut self) -> Result<Vec<P>, CallError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(first) = self.prepared.recv().await else { return self.ended().await };
        let mut together = vec![first?];
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
        Ok(together)
    }

    /// No chunk is left: the end of the stream, unless the work broke off.
    async fn ended(&mut self) -> Result<Vec<P>, CallError> {
        match (&mut self.work).await {
            Ok(()) => Ok(Vec::new()),
            Err(_) => Err(CallError::new(Reason::Internal, "a chunk could not be looked at; tell the operator")),
        }
    }
}
