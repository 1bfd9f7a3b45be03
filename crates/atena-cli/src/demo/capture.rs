//! What was received over HTTP/2, put together again: a message may be cut by a frame anywhere, so the bytes of the socket alone
//! could hide a number.

use std::collections::BTreeMap;

/// Length of a frame header (RFC 9113 §4.1): length 3, type 1, flags 1, stream 4.
const HEADER_BYTES: usize = 9;
/// DATA (RFC 9113 §6.1).
const DATA: u8 = 0;
/// The flag PADDED.
const PADDED: u8 = 0x08;

/// The bodies of all streams of one connection, one after another, without frame headers.
///
/// Stream ids repeat between connections: give it the bytes of one connection.
pub(super) fn bodies(received: &[u8]) -> Vec<u8> {
    let mut streams: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut rest = received;
    while let Some((&[l2, l1, l0, kind, flags, s3, s2, s1, s0], after)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let length = usize::try_from(u32::from_be_bytes([0, l2, l1, l0])).unwrap_or(usize::MAX);
        let (payload, next) = after.split_at(length.min(after.len()));
        if kind == DATA {
            let payload = if flags & PADDED == 0 { payload } else { unpadded(payload) };
            streams.entry(u32::from_be_bytes([s3 & 0x7f, s2, s1, s0])).or_default().extend_from_slice(payload);
        }
        rest = next;
    }
    streams.into_values().flatten().collect()
}

fn unpadded(payload: &[u8]) -> &[u8] {
    match payload.split_first() {
        Some((padding, body)) => body.get(..body.len().saturating_sub(usize::from(*padding))).unwrap_or_default(),
        None => payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn a_body_cut_by_frames_of_other_streams_is_whole_again() {
        let received = [
            frame(4, 0, 0, b"settings"),
            frame(DATA, 0, 1, b"012345"),
            frame(DATA, 0, 3, b"other"),
            frame(DATA, PADDED, 1, b"\x02678901pp"),
        ];
        assert_eq!(bodies(&received.concat()), b"012345678901other");
    }

    #[test]
    fn a_capture_that_stops_in_the_middle_of_a_frame_is_read_to_its_end() {
        let whole = frame(DATA, 0, 1, b"012345");
        assert_eq!(bodies(&whole[..12]), b"012");
    }
}
