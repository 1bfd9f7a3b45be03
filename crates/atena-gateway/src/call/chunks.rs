//! The chunks of a stream that a caller sends.

use std::future::Future;
use std::sync::Arc;

use tonic::Streaming;

use super::Call;
use crate::ahead::{Ahead, TOGETHER_MAX};
use crate::error::CallError;

/// Prepares the chunks of a stream in a background task, as many as are stored in one transaction.
/// A stream that breaks off is an error, and recorded as one.
pub(crate) fn prefetch_chunks<P, T, F, W>(call: &Arc<Call>, chunks: Streaming<T>, prepare: F) -> Ahead<P>
where
    P: Send + 'static,
    T: Send + 'static,
    F: Fn(Arc<Call>, T) -> W + Copy + Send + 'static,
    W: Future<Output = Result<P, CallError>> + Send,
{
    let call = Arc::clone(call);
    Ahead::unfold(TOGETHER_MAX, chunks, move |mut chunks| {
        let call = Arc::clone(&call);
        async move {
            match chunks.message().await.map_err(|status| CallError::from_inbound(&status))? {
                Some(chunk) => Ok(Some((prepare(call, chunk).await?, chunks))),
                None => Ok(None),
            }
        }
    })
}
