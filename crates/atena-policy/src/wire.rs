//! The protobuf wire form (<https://protobuf.dev/programming-guides/encoding/>), read field by field without decoding values.

/// Why bytes are not a protobuf message. It says nothing about their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field ends after the message does.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A varint has more than ten bytes or 64 bits.
    #[error("a varint is too long")]
    VarintTooLong,
    /// A field number is 0 or more than 2^29-1.
    #[error("a field number is out of range")]
    FieldNumberOutOfRange,
    /// Wire types 6 and 7 do not exist.
    #[error("a field has a wire type that does not exist")]
    UnknownWireType,
    /// A group ends that did not begin, or begins and does not end.
    #[error("a group is not closed properly")]
    UnbalancedGroup,
    /// Groups are nested deeper than 32.
    #[error("groups are nested too deeply")]
    TooDeep,
}

/// Reads the fields of one message in order.
pub(crate) struct WireReader<'a> {
    input: &'a [u8],
    position: usize,
}

/// One field as it stands.
pub(crate) struct WireField<'a> {
    pub(crate) number: u32,
    /// Tag and value.
    pub(crate) raw: &'a [u8],
    pub(crate) content: Content<'a>,
}

/// What kind of value a field has.
pub(crate) enum Content<'a> {
    /// A varint, or 4 or 8 bytes.
    Scalar,
    /// A string, bytes, packed scalars or a message.
    Delimited(&'a [u8]),
    /// A group (deprecated since proto3): never released.
    Group,
}

/// Groups within groups; no dataset has any.
const GROUP_DEPTH_MAX: usize = 32;

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const DELIMITED: u64 = 2;
const GROUP_START: u64 = 3;
const GROUP_END: u64 = 4;
const FIXED32: u64 = 5;

/// Appends a varint.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the tag and length of a delimited field.
pub(crate) fn put_delimited_head(number: u32, length: usize, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | DELIMITED, out);
    put_varint(length as u64, out);
}

/// Tag and length of a delimited field where each fits one byte, as in almost every message.
pub(crate) fn short_delimited_head(number: u32, length: usize) -> Option<[u8; 2]> {
    let tag = u8::try_from(u64::from(number) << 3 | DELIMITED).ok()?;
    let length = u8::try_from(length).ok()?;
    (tag < 0x80 && length < 0x80).then_some([tag, length])
}

// === impl WireReader ===

impl<'a> WireReader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// The next field; `None` at the end of the message.
    pub(crate) fn next_field(&mut self) -> Result<Option<WireField<'a>>, WireError> {
        if self.position == self.input.len() {
            return Ok(None);
        }
        let start = self.position;
        let (number, wire_type) = self.tag()?;
        let content = match wire_type {
            DELIMITED => Content::Delimited(self.delimited()?),
            GROUP_START => {
                self.skip_group(number)?;
                Content::Group
            }
            _ => {
                self.skip_scalar(wire_type)?;
                Content::Scalar
            }
        };
        let raw = self.input.get(start..self.position).ok_or(WireError::Truncated)?;
        Ok(Some(WireField { number, raw, content }))
    }

    fn tag(&mut self) -> Result<(u32, u64), WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::FieldNumberOutOfRange)?;
        match tag >> 3 {
            0 => Err(WireError::FieldNumberOutOfRange),
            number => Ok((number, u64::from(tag & 7))),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.input.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for index in 0..VARINT_BYTES_MAX {
            let byte = *self.input.get(self.position).ok_or(WireError::Truncated)?;
            self.position += 1;
            // The tenth byte holds the last of 64 bits.
            if index == VARINT_BYTES_MAX - 1 && byte > 1 {
                return Err(WireError::VarintTooLong);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::VarintTooLong)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
        let end = self.position.checked_add(length).ok_or(WireError::Truncated)?;
        let bytes = self.input.get(self.position..end).ok_or(WireError::Truncated)?;
        self.position = end;
        Ok(bytes)
    }

    fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        self.bytes(length)
    }

    fn skip_scalar(&mut self, wire_type: u64) -> Result<(), WireError> {
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.bytes(8).map(drop),
            FIXED32 => self.bytes(4).map(drop),
            GROUP_END => Err(WireError::UnbalancedGroup),
            _ => Err(WireError::UnknownWireType),
        }
    }

    /// Skips to the end of a group that has begun, without recursion.
    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            if self.position == self.input.len() {
                return Err(WireError::UnbalancedGroup);
            }
            let (number, wire_type) = self.tag()?;
            match wire_type {
                GROUP_START if open.len() == GROUP_DEPTH_MAX => return Err(WireError::TooDeep),
                GROUP_START => open.push(number),
                GROUP_END if number == innermost => drop(open.pop()),
                GROUP_END => return Err(WireError::UnbalancedGroup),
                DELIMITED => drop(self.delimited()?),
                _ => self.skip_scalar(wire_type)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_error(input: &[u8]) -> Option<WireError> {
        let mut reader = WireReader::new(input);
        loop {
            match reader.next_field() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    }

    #[test]
    fn malformed_messages_are_refused_with_their_reason() {
        let deep: Vec<u8> = std::iter::repeat_n(0x0b, 33).chain(std::iter::repeat_n(0x0c, 33)).collect();
        let cases: [(&[u8], WireError); 12] = [
            (b"\x08", WireError::Truncated),
            (b"\x0d\x01\x02\x03", WireError::Truncated),
            (b"\x12\x05ab", WireError::Truncated),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", WireError::Truncated),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", WireError::VarintTooLong),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", WireError::VarintTooLong),
            (b"\x00\x01", WireError::FieldNumberOutOfRange),
            (b"\x80\x80\x80\x80\x10\x01", WireError::FieldNumberOutOfRange),
            (b"\x0e", WireError::UnknownWireType),
            (b"\x0c", WireError::UnbalancedGroup),
            (b"\x0b\x14", WireError::UnbalancedGroup),
            (&deep, WireError::TooDeep),
        ];
        for (input, expected) in cases {
            assert_eq!(first_error(input), Some(expected), "{input:02x?}");
        }
    }

    #[test]
    fn the_largest_numbers_are_read() {
        assert_eq!(first_error(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), None);
        assert_eq!(first_error(b"\xf8\xff\xff\xff\x0f\x01"), None);
        let deep: Vec<u8> = std::iter::repeat_n(0x0b, 32).chain(std::iter::repeat_n(0x0c, 32)).collect();
        assert_eq!(first_error(&deep), None);
    }
}
