//! Reads a protobuf message that stands exactly as we would write it, without decoding it into a type of its own.
//!
//! Serializers write known fields once, in the order of their numbers, leave out what has its default value, and use no more bytes than
//! needed (<https://protobuf.dev/programming-guides/encoding/>), though a reader may rely on none of it. A message like that holds
//! nothing but what was read here, and can be kept as it came; any other is decoded and written anew, and then read here.

use prost::encoding::{decode_varint, encoded_len_varint};

/// The fields of one message, in the order of their numbers. Each method returns `None` where the message does not stand as we would write
/// it, and the default value where the field is left out.
pub(super) struct InOrder<'a> {
    rest: &'a [u8],
}

const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

// === impl InOrder ===

impl<'a> InOrder<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// A `string`.
    #[inline]
    pub(super) fn text(&mut self, field: u32) -> Option<&'a str> {
        match self.message(field)? {
            None => Some(""),
            // An empty text is left out.
            Some([]) => None,
            Some(text) => str::from_utf8(text).ok(),
        }
    }

    /// An embedded message, in wire form, or the next one of a repeated field; the inner `None` where there is none.
    #[inline]
    pub(super) fn message(&mut self, field: u32) -> Option<Option<&'a [u8]>> {
        if !self.next_is(field, DELIMITED) {
            return Some(None);
        }
        let length = usize::try_from(self.varint()?).ok()?;
        let (message, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Some(message))
    }

    /// A `uint64`.
    #[inline]
    pub(super) fn uint64(&mut self, field: u32) -> Option<u64> {
        if !self.next_is(field, VARINT) {
            return Some(0);
        }
        self.varint().filter(|value| *value != 0)
    }

    /// An `int64`.
    #[inline]
    pub(super) fn int64(&mut self, field: u32) -> Option<i64> {
        self.uint64(field).map(u64::cast_signed)
    }

    /// An `int32` or an enum: negative ones are written as 64 bits.
    #[inline]
    pub(super) fn int32(&mut self, field: u32) -> Option<i32> {
        i32::try_from(self.int64(field)?).ok()
    }

    /// A `bool`.
    #[inline]
    pub(super) fn boolean(&mut self, field: u32) -> Option<bool> {
        match self.uint64(field)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// `read`, if it was the whole message.
    #[inline]
    pub(super) fn end<T>(self, read: T) -> Option<T> {
        self.rest.is_empty().then_some(read)
    }

    /// Steps over the tag of a field, if that is what comes next. Tags of the contract have one byte or two.
    #[inline]
    fn next_is(&mut self, field: u32, wire_type: u32) -> bool {
        let tag = field << 3 | wire_type;
        let after = match (u8::try_from(tag), self.rest) {
            (Ok(tag), [first, after @ ..]) if tag < 0x80 => (*first == tag).then_some(after),
            (_, [first, second, after @ ..]) => {
                (u32::from(*first) == tag & 0x7f | 0x80 && u32::from(*second) == tag >> 7).then_some(after)
            }
            _ => None,
        };
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// A varint of as few bytes as it needs.
    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let before = self.rest.len();
        let value = decode_varint(&mut self.rest).ok()?;
        (before - self.rest.len() == encoded_len_varint(value)).then_some(value)
    }
}
