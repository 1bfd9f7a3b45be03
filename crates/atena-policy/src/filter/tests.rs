//! The filter against an oracle that decodes the message into a tree, prunes it and encodes it again.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::wire::put_varint;

/// A message as a tree.
#[derive(Debug, Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Message),
    Group(Message),
}

type Message = Vec<(u32, Value)>;
type Paths = BTreeSet<Vec<u32>>;

fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in message {
        let tag = |wire_type: u64| u64::from(*number) << 3 | wire_type;
        match value {
            Value::Varint(value) => {
                put_varint(tag(0), &mut out);
                put_varint(*value, &mut out);
            }
            Value::Fixed64(value) => {
                put_varint(tag(1), &mut out);
                out.extend(value);
            }
            Value::Fixed32(value) => {
                put_varint(tag(5), &mut out);
                out.extend(value);
            }
            Value::Bytes(value) => {
                put_varint(tag(2), &mut out);
                put_varint(value.len() as u64, &mut out);
                out.extend(value);
            }
            Value::Message(inner) => {
                let body = encode(inner);
                put_varint(tag(2), &mut out);
                put_varint(body.len() as u64, &mut out);
                out.extend(body);
            }
            Value::Group(inner) => {
                put_varint(tag(3), &mut out);
                out.extend(encode(inner));
                put_varint(tag(4), &mut out);
            }
        }
    }
    out
}

/// Reads a message, or a group up to its end; delimited fields stay bytes.
fn decode(mut input: &[u8], group: Option<u32>) -> Option<(Message, &[u8])> {
    fn varint(input: &[u8]) -> Option<(u64, &[u8])> {
        let length = input.iter().take(10).position(|byte| *byte < 0x80)? + 1;
        let value =
            input[..length].iter().rev().try_fold(0u128, |value, byte| Some(value << 7 | u128::from(byte & 0x7f)))?;
        Some((u64::try_from(value).ok()?, &input[length..]))
    }
    let mut message = Vec::new();
    while !input.is_empty() {
        let (tag, rest) = varint(input)?;
        let number = u32::try_from(tag).ok()? >> 3;
        if number == 0 {
            return None;
        }
        let (value, rest) = match tag & 7 {
            0 => varint(rest).map(|(value, rest)| (Value::Varint(value), rest))?,
            1 => rest.split_first_chunk().map(|(value, rest)| (Value::Fixed64(*value), rest))?,
            2 => {
                let (length, rest) = varint(rest)?;
                let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Value::Bytes(value.to_vec()), rest)
            }
            3 => decode(rest, Some(number)).map(|(inner, rest)| (Value::Group(inner), rest))?,
            4 if group == Some(number) => return Some((message, rest)),
            5 => rest.split_first_chunk().map(|(value, rest)| (Value::Fixed32(*value), rest))?,
            _ => return None,
        };
        message.push((number, value));
        input = rest;
    }
    group.is_none().then_some((message, input))
}

fn prune(input: &[u8], prefix: &[u32], allowed: &Paths) -> Option<Message> {
    let (message, _) = decode(input, None)?;
    let mut kept = Vec::new();
    for (number, value) in message {
        let path = [prefix, &[number]].concat();
        let leads_on = allowed.iter().any(|longer| longer.len() > path.len() && longer.starts_with(&path));
        match value {
            Value::Bytes(body) if leads_on => {
                let inner = prune(&body, &path, allowed)?;
                if !inner.is_empty() {
                    kept.push((number, Value::Message(inner)));
                }
            }
            Value::Group(_) => {}
            value if allowed.contains(&path) && !leads_on => kept.push((number, value)),
            _ => {}
        }
    }
    Some(kept)
}

fn filter(allowed: &Paths) -> FieldFilter {
    FieldFilter::allowing(allowed.iter().map(Vec::as_slice))
}

fn paths() -> impl Strategy<Value = Paths> {
    btree_set(vec(1u32..5, 1..4), 0..8)
}

fn message() -> impl Strategy<Value = Message> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::Varint),
        any::<[u8; 8]>().prop_map(Value::Fixed64),
        any::<[u8; 4]>().prop_map(Value::Fixed32),
        vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
    ];
    let value = leaf.prop_recursive(3, 40, 5, |inner| {
        let message = vec((1u32..6, inner), 0..5);
        prop_oneof![3 => message.clone().prop_map(Value::Message), 1 => message.prop_map(Value::Group)]
    });
    vec((1u32..6, value), 0..8)
}

fn applied(filter: &FieldFilter, input: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    let result = filter.apply(input, &mut out);
    assert!(out.starts_with(b"before"), "what was there stays");
    let appended = out.split_off(6);
    assert!(result.is_ok() || appended.is_empty(), "an error releases nothing");
    result.ok().map(|()| appended)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_allowed_leaves_come_out(message in message(), allowed in paths()) {
        let input = encode(&message);
        let expected = prune(&input, &[], &allowed).map(|pruned| encode(&pruned));
        prop_assert_eq!(applied(&filter(&allowed), &input), expected);
    }

    #[test]
    fn damaged_messages_release_what_the_oracle_reads_or_nothing(
        message in message(), allowed in paths(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(),
    ) {
        let mut input = encode(&message);
        for (place, byte) in damage {
            if !input.is_empty() {
                let place = place.index(input.len());
                input[place] = byte;
            }
        }
        input.truncate(cut.index(input.len() + 1));
        let out = applied(&filter(&allowed), &input);
        // A varint written longer than needed is copied as it stands, so what comes out is compared as a tree.
        let expected = prune(&input, &[], &allowed).map(|pruned| encode(&pruned));
        let reread = out.map(|out| encode(&prune(&out, &[], &allowed).unwrap()));
        prop_assert_eq!(reread, expected);
    }

    #[test]
    fn filtering_twice_changes_nothing(message in message(), allowed in paths()) {
        let filter = filter(&allowed);
        if let Some(once) = applied(&filter, &encode(&message)) {
            prop_assert_eq!(applied(&filter, &once), Some(once));
        }
    }

    #[test]
    fn the_filter_allows_the_longest_paths_it_was_made_of(allowed in paths(), other in vec(1u32..5, 1..4)) {
        let expected = allowed.contains(&other)
            && !allowed.iter().any(|longer| longer.len() > other.len() && longer.starts_with(&other));
        prop_assert_eq!(filter(&allowed).allows(&other), expected);
    }
}

#[test]
fn a_hidden_sub_message_leaves_no_trace() {
    // Field 1 holds a message with field 2 alone; only field 1.1 is allowed.
    let filter = FieldFilter::allowing([[1, 1].as_slice()]);
    assert_eq!(applied(&filter, b"\x0a\x02\x10\x07\x0a\x00").unwrap(), b"");
    assert_eq!(applied(&filter, b"\x0a\x04\x10\x07\x08\x05").unwrap(), b"\x0a\x02\x08\x05");
}

#[test]
fn an_empty_filter_lets_nothing_through() {
    let filter = FieldFilter::allowing([]);
    assert!(filter.is_empty());
    assert_eq!(applied(&filter, b"\x08\x01\x12\x01a").unwrap(), b"");
}

#[test]
fn a_path_deeper_than_the_bound_is_not_allowed() {
    let deep = [1; DEPTH_MAX + 1];
    assert!(FieldFilter::allowing([deep.as_slice()]).is_empty());
    assert!(FieldFilter::allowing([&deep[1..]]).allows(&deep[1..]));
}

#[test]
fn long_sub_messages_get_long_lengths() {
    let filter = FieldFilter::allowing([[1, 1].as_slice()]);
    let text = vec![b'x'; 300];
    let input = encode(&vec![(1, Value::Message(vec![(1, Value::Bytes(text.clone())), (2, Value::Varint(1))]))]);
    let expected = encode(&vec![(1, Value::Message(vec![(1, Value::Bytes(text))]))]);
    assert_eq!(applied(&filter, &input).unwrap(), expected);
}

/// The head of a nested message has one byte for its tag and one for its length, or more: all are written as an encoder writes them.
#[test]
fn a_nested_message_of_any_length_keeps_its_form() {
    for number in [1, 15, 16, 2047, 2048] {
        let filter = FieldFilter::allowing([[number, 1].as_slice()]);
        for length in (1..300).chain([16_382, 16_383, 16_384, 70_000]) {
            let allowed = (1, Value::Bytes(vec![7; length]));
            let dropped = (2, Value::Varint(9));
            let full = encode(&vec![(number, Value::Message(vec![allowed.clone(), dropped]))]);
            let mut out = b"before".to_vec();
            filter.apply(&full, &mut out).unwrap();
            let expected = encode(&vec![(number, Value::Message(vec![allowed]))]);
            assert_eq!(out, [b"before".as_slice(), &expected].concat(), "field {number}, {length} bytes");
        }
    }
}
