//! A request body that has to arrive in time, message by message: a client that sends one byte a minute holds nothing for long.
//!
//! Between the messages of a stream there may be any time; a message that has begun has to be whole before its deadline. gRPC puts five
//! bytes before each message: a flag and the length (gRPC over HTTP/2, `Length-Prefixed-Message`).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::error::{CallError, Reason};

/// Bytes before each message.
const PREFIX_BYTES: usize = 5;

/// The body of one request.
pub(super) struct Arriving {
    body: Incoming,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    message: Progress,
}

/// How much of a message is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// None of it, and nothing has to be: some message was whole before.
    Between,
    /// So many bytes of the prefix, the length as far as it is known.
    Prefix { seen: usize, length: u32 },
    /// So many bytes are missing.
    Content { missing: u32 },
}

// === impl Arriving ===

impl Arriving {
    /// The first message is expected at once.
    pub(super) fn new(body: Incoming, timeout: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(timeout));
        Self { body, timeout, deadline, message: Progress::Prefix { seen: 0, length: 0 } }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let (now, begun) = this.message.after(data);
                    if begun {
                        this.deadline.as_mut().reset(Instant::now() + this.timeout);
                    }
                    this.message = now;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(Into::into))),
            Poll::Pending if this.message != Progress::Between && this.deadline.as_mut().poll(context).is_ready() => {
                let late = CallError::new(Reason::CallTimedOut, "the message did not arrive in time");
                Poll::Ready(Some(Err(Box::new(Status::from(late)))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Progress ===

impl Progress {
    /// Where it stands after these bytes, and whether a message begins in them.
    fn after(self, mut data: &[u8]) -> (Self, bool) {
        let (mut now, mut begun) = (self, false);
        loop {
            now = match now {
                Self::Content { missing: 0 } => Self::Between,
                Self::Content { missing } => {
                    let here = u32::try_from(data.len()).unwrap_or(u32::MAX).min(missing);
                    if here == 0 {
                        return (now, begun);
                    }
                    data = data.get(here as usize..).unwrap_or_default();
                    Self::Content { missing: missing - here }
                }
                Self::Between if data.is_empty() => return (now, begun),
                Self::Between => {
                    begun = true;
                    Self::Prefix { seen: 0, length: 0 }
                }
                Self::Prefix { seen: PREFIX_BYTES, length } => Self::Content { missing: length },
                Self::Prefix { seen, length } => {
                    let Some((&byte, rest)) = data.split_first() else { return (now, begun) };
                    data = rest;
                    // The first byte is the flag.
                    let length = if seen == 0 { 0 } else { (length << 8) | u32::from(byte) };
                    Self::Prefix { seen: seen + 1, length }
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Progress = Progress::Prefix { seen: 0, length: 0 };

    fn message(content: &[u8]) -> Vec<u8> {
        [&[0][..], &u32::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
    }

    #[test]
    fn only_a_message_that_has_begun_is_waited_for() {
        let whole = message(b"content");
        assert_eq!(START.after(&whole), (Progress::Between, false));
        assert_eq!(START.after(&whole[..6]).0, Progress::Content { missing: 6 });
        assert_eq!(Progress::Between.after(&[]), (Progress::Between, false));
        assert_eq!(Progress::Between.after(&whole), (Progress::Between, true));
        assert_eq!(START.after(&message(b"")).0, Progress::Between);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(contents in proptest::collection::vec(0..300_usize, 0..6), cut in 1..40_usize) {
            let all: Vec<u8> = contents.iter().flat_map(|length| message(&vec![7; *length])).collect();
            let mut now = START;
            for piece in all.chunks(cut) {
                now = now.after(piece).0;
            }
            prop_assert_eq!(now, if contents.is_empty() { START } else { Progress::Between });
        }
    }
}
