//! A request body that has to arrive in time, message by message: a client that sends one byte a minute holds nothing for long.
//!
//! Between the messages of a stream there may be any time; a message that has begun has to be whole before its deadline. gRPC puts five
//! bytes before each message: a flag and the length (gRPC over HTTP/2, `Length-Prefixed-Message`).
//!
//! A message that is not whole yet takes memory. All of one system's together have so many bytes, reserved whole before more of a message is
//! read, so that messages that wait for each other's room can't stop each other; who has to wait is slowed by HTTP/2 flow control.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::PollSemaphore;
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
    /// Bytes of the system for messages that are not whole.
    room: PollSemaphore,
    room_bytes_max: u32,
    reserved: Option<OwnedSemaphorePermit>,
    /// A piece that came before there was room for the rest of its message.
    held: Option<Frame<Bytes>>,
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
    /// The first message is expected at once. Larger ones than `room_bytes_max` are refused later, by their length.
    pub(super) fn new(body: Incoming, timeout: Duration, room: Arc<Semaphore>, room_bytes_max: u32) -> Self {
        let deadline = Box::pin(tokio::time::sleep(timeout));
        let (message, room) = (Progress::Prefix { seen: 0, length: 0 }, PollSemaphore::new(room));
        Self { body, timeout, deadline, message, room, room_bytes_max, reserved: None, held: None }
    }

    /// Notes what a piece means for the message, and whether there is room for the rest of it.
    fn take_in(&mut self, data: &[u8]) -> bool {
        let passed = self.message.after(data);
        if passed.begun {
            self.deadline.as_mut().reset(Instant::now() + self.timeout);
        }
        if passed.ended {
            self.reserved = None;
        }
        self.message = passed.now;
        !matches!(self.message, Progress::Content { .. }) || self.reserved.is_some()
    }

    fn poll_held<E>(
        &mut self,
        frame: Frame<Bytes>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        if self.poll_room(context).is_pending() {
            self.held = Some(frame);
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Progress::Content { missing } = self.message else { return Poll::Ready(()) };
        let room = self.room.poll_acquire_many(context, missing.min(self.room_bytes_max));
        room.map(|reserved| {
            self.reserved = reserved;
            self.deadline.as_mut().reset(Instant::now() + self.timeout);
        })
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
        if let Some(frame) = this.held.take() {
            return this.poll_held(frame, context);
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                Some(data) if !this.take_in(data) => this.poll_held(frame, context),
                _ => Poll::Ready(Some(Ok(frame))),
            },
            Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(Into::into))),
            Poll::Pending if this.message != Progress::Between && this.deadline.as_mut().poll(context).is_ready() => {
                let late = CallError::new(Reason::CallTimedOut, "the message did not arrive in time");
                Poll::Ready(Some(Err(Box::new(Status::from(late)))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What some bytes did to a message.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    now: Progress,
    /// Whether a message begins in them.
    begun: bool,
    /// Whether one ends in them.
    ended: bool,
}

// === impl Progress ===

impl Progress {
    /// Where it stands after these bytes.
    fn after(self, mut data: &[u8]) -> Passed {
        let (mut now, mut begun, mut ended) = (self, false, false);
        loop {
            now = match now {
                Self::Content { missing: 0 } => {
                    ended = true;
                    Self::Between
                }
                Self::Content { missing } => {
                    let here = u32::try_from(data.len()).unwrap_or(u32::MAX).min(missing);
                    if here == 0 {
                        return Passed { now, begun, ended };
                    }
                    data = data.get(here as usize..).unwrap_or_default();
                    Self::Content { missing: missing - here }
                }
                Self::Between if data.is_empty() => return Passed { now, begun, ended },
                Self::Between => {
                    begun = true;
                    Self::Prefix { seen: 0, length: 0 }
                }
                Self::Prefix { seen: PREFIX_BYTES, length } => Self::Content { missing: length },
                Self::Prefix { seen, length } => {
                    let Some((&byte, rest)) = data.split_first() else { return Passed { now, begun, ended } };
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
        assert_eq!(START.after(&whole), Passed { now: Progress::Between, begun: false, ended: true });
        assert_eq!(START.after(&whole[..6]).now, Progress::Content { missing: 6 });
        assert_eq!(Progress::Between.after(&[]), Passed { now: Progress::Between, begun: false, ended: false });
        assert_eq!(Progress::Between.after(&whole), Passed { now: Progress::Between, begun: true, ended: true });
        assert_eq!(START.after(&message(b"")).now, Progress::Between);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(contents in proptest::collection::vec(0..300_usize, 0..6), cut in 1..40_usize) {
            let all: Vec<u8> = contents.iter().flat_map(|length| message(&vec![7; *length])).collect();
            let mut now = START;
            for piece in all.chunks(cut) {
                now = now.after(piece).now;
            }
            prop_assert_eq!(now, if contents.is_empty() { START } else { Progress::Between });
        }
    }
}
