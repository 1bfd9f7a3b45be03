//! Working ahead on a stream of chunks: while one chunk is stored, a task of its own receives and prepares the next, so that the cores
//! and the database are busy at the same time. One chunk at most is ahead (back-pressure).

use std::future::Future;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;
use tracing::Instrument as _;

use crate::call::Call;
use crate::error::{CallError, Reason};

/// The rest of the stream, and the next chunk prepared; `None` at the end.
type Prepared<T, P> = Result<Option<(Streaming<T>, P)>, CallError>;

/// Chunks that are prepared ahead, in their order.
pub(crate) struct Ahead<T, P, F> {
    call: Arc<Call>,
    prepare: F,
    under_way: Option<AbortOnDropHandle<Prepared<T, P>>>,
}

// === impl Ahead ===

impl<T, P, F, W> Ahead<T, P, F>
where
    T: Send + 'static,
    P: Send + 'static,
    F: Fn(Arc<Call>, T) -> W + Copy + Send + 'static,
    W: Future<Output = Result<P, CallError>> + Send + 'static,
{
    /// Begins with the first chunk.
    pub(crate) fn new(call: &Arc<Call>, chunks: Streaming<T>, prepare: F) -> Self {
        let mut ahead = Self { call: Arc::clone(call), prepare, under_way: None };
        ahead.begin(chunks);
        ahead
    }

    /// The next chunk, once it is prepared; the one after it is begun. `None` at the end of the stream; a stream that breaks off is an
    /// error, and recorded as one.
    pub(crate) async fn next(&mut self) -> Result<Option<P>, CallError> {
        let Some(under_way) = self.under_way.take() else { return Ok(None) };
        let prepared = under_way
            .await
            .map_err(|_| CallError::new(Reason::Internal, "the chunk could not be looked at; tell the operator"))?;
        let Some((chunks, prepared)) = prepared? else { return Ok(None) };
        self.begin(chunks);
        Ok(Some(prepared))
    }

    fn begin(&mut self, mut chunks: Streaming<T>) {
        let (call, prepare) = (Arc::clone(&self.call), self.prepare);
        let work = async move {
            match chunks.message().await.map_err(|status| CallError::from_inbound(&status))? {
                Some(chunk) => Ok(Some((chunks, prepare(call, chunk).await?))),
                None => Ok(None),
            }
        };
        self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(work.in_current_span())));
    }
}
