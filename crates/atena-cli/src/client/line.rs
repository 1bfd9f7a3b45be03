//! The line to a gateway: a channel whose failures say why, as far as the connection below knows.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::{error, io};

use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::Tape;
use super::failure::{LinkCause, LinkFailure, is_end};
use super::shown::Shown;

/// A channel to a gateway. A call that fails with the connection carries a [`LinkFailure`] as its source.
#[derive(Clone)]
pub(crate) struct Line {
    pub(super) channel: Channel,
    pub(super) watch: Arc<Watch>,
}

/// What a connection saw of its own end. HTTP/2 passes on less than that.
pub(super) struct Watch {
    server: String,
    shown: Shown,
    cause: Mutex<Option<LinkCause>>,
    answered: AtomicBool,
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(server: &str, shown: Shown) -> Arc<Self> {
        let (cause, answered) = (Mutex::default(), AtomicBool::default());
        Arc::new(Self { server: server.to_owned(), shown, cause, answered })
    }

    /// A new connection begins.
    pub(super) fn begin(&self) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.answered.store(false, Ordering::Relaxed);
    }

    /// Notes why there is no connection any more. The first cause counts: the others follow from it.
    pub(super) fn note(&self, cause: LinkCause) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
    }

    /// What became of the connection, where it saw that.
    pub(super) fn failure(&self) -> Option<LinkFailure> {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(self.failure_of(cause))
    }

    /// A failure of this connection.
    pub(super) fn failure_of(&self, cause: LinkCause) -> LinkFailure {
        LinkFailure { server: self.server.clone(), shown: self.shown.clone(), cause }
    }

    fn note_error(&self, error: &io::Error) {
        self.note(LinkCause::of_stream(error, self.answered.load(Ordering::Relaxed)));
    }

    /// Gives a failure of the transport its cause.
    fn explain(&self, mut status: Status) -> Status {
        let lost = matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled);
        let failure = match self.failure() {
            Some(failure) => failure,
            None if lost => self.failure_of(LinkCause::Broken(innermost(&status))),
            None => return status,
        };
        status.set_source(Arc::new(failure));
        status
    }
}

/// The last of the causes of an error.
pub(super) fn innermost(error: &(dyn error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

// === impl Line ===

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = ready!(self.channel.poll_ready(context));
        Poll::Ready(ready.map_err(|error| self.watch.explain(Status::from_error(Box::new(error)))))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (answer, watch) = (self.channel.call(request), Arc::clone(&self.watch));
        Box::pin(async move {
            let answer = answer.await.map_err(|error| watch.explain(Status::from_error(Box::new(error))))?;
            Ok(answer.map(|body| Body::new(body.map_err(move |status| watch.explain(status)))))
        })
    }
}

/// A TLS stream that notes how it ends, and keeps what is read from it where there is a tape.
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    tape: Option<Tape>,
    /// A write failed, and what the other side said before that is not read yet.
    lost: Option<io::Error>,
}

// === impl Watched ===

impl<S> Watched<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>, tape: Option<Tape>) -> Self {
        Self { stream, watch, tape, lost: None }
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Notes why nothing can be written any more. A server that refused the client said so before it hung up, so
    /// that is read first. The socket is readable soon, because the connection has ended.
    fn write_failed(&mut self, context: &mut Context<'_>, error: io::Error) -> Poll<io::Error> {
        let mut left = [0; 4096];
        while is_end(&error) {
            let mut buffer = ReadBuf::new(&mut left);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => {
                    self.lost = Some(error);
                    return Poll::Pending;
                }
                Poll::Ready(Err(reason)) => {
                    self.watch.note_error(&reason);
                    return Poll::Ready(error);
                }
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
                Poll::Ready(Ok(())) => {}
            }
        }
        self.watch.note_error(&error);
        Poll::Ready(error)
    }

    /// What a write comes to.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let error = match self.lost.take() {
            Some(error) => error,
            None => match ready!(write(Pin::new(&mut self.stream), context)) {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(error) => error,
            },
        };
        Poll::Ready(Err(ready!(self.write_failed(context, error))))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let read = buffer.filled().get(before..).unwrap_or_default();
        match &done {
            Err(error) => self.watch.note_error(error),
            Ok(()) if read.is_empty() => self.watch.note_error(&io::ErrorKind::UnexpectedEof.into()),
            Ok(()) => {
                self.watch.answered.store(true, Ordering::Relaxed);
                if let Some(tape) = &self.tape {
                    tape.record(read);
                }
            }
        }
        Poll::Ready(done)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.written(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A stream that can't be written to, with an alert left to read: not at once, as from a socket.
    struct Refusing {
        is_readable: bool,
    }

    impl AsyncRead for Refusing {
        fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if !std::mem::replace(&mut self.is_readable, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, alert)))
        }
    }

    impl AsyncWrite for Refusing {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn watched<S>(stream: S, tape: Option<Tape>) -> Watched<S> {
        Watched::new(stream, Watch::new("gateway:1", Shown::none()), tape)
    }

    #[tokio::test]
    async fn the_tape_holds_everything_that_was_read() {
        let tape = Tape::default();
        let mut stream = watched(&b"all of this"[..], Some(tape.clone()));
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(tape.bytes(), read);
    }

    #[tokio::test]
    async fn a_refusal_is_found_behind_a_write_that_failed() {
        let mut stream = watched(Refusing { is_readable: false }, None);
        stream.write_all(b"preface").await.unwrap_err();
        let cause = stream.watch.failure().unwrap().cause;
        assert_eq!(cause, LinkCause::Alert(AlertDescription::CertificateRevoked));
    }

    #[tokio::test]
    async fn an_end_is_another_thing_before_the_first_answer_than_after_it() {
        let mut silent = watched(&b""[..], None);
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(silent.watch.failure().unwrap().cause, LinkCause::ClosedUnanswered);
        let mut broken = watched(&b"answer"[..], None);
        broken.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(broken.watch.failure().unwrap().is_broken());
    }
}
