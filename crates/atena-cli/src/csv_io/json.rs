//! One line of a JSON Lines file, checked against the contract before it becomes a message.
//!
//! The parsers' own error texts could quote a value or an unknown key, which may be data. So the line
//! is walked first along the contract, and every error is one of this file.

use std::fmt;
use std::num::IntErrorKind;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// What is wrong with a line, without any of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonFault {
    /// Path of the field in the contract, where it is one.
    pub(super) path: Option<String>,
    /// The rule.
    pub(super) message: String,
}

const NOT_WHOLE: &str = "整数にしてください / must be a whole number";

const OUT_OF_RANGE: &str = "数が範囲を超えています / is out of range";

/// A JSON value with its keys as they stand, also those given twice.
enum Tree {
    Null,
    Bool,
    /// Wide enough for every kind of the contract.
    Whole(i128),
    /// A whole number that is wider than that, as far as the parser knows it.
    Huge,
    Fraction,
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Reads one line as a message.
pub(super) fn read(line: &str, message: &MessageDescriptor) -> Result<DynamicMessage, JsonFault> {
    let mut parser = serde_json::Deserializer::from_str(line);
    let tree = Tree::deserialize(&mut parser).map_err(|error| fault(None, &not_json(error.column())))?;
    if parser.end().is_err() {
        return Err(fault(
            None,
            "1行に1つのオブジェクトだけです。後ろに何か続いています / one object a line: something follows it; \
             were two files joined without a line end?",
        ));
    }
    let Tree::Object(pairs) = &tree else {
        return Err(fault(None, "オブジェクト {…} にしてください / must be an object {…}"));
    };
    check_object(pairs, message, "")?;
    let mut parser = serde_json::Deserializer::from_str(line);
    DynamicMessage::deserialize(message.clone(), &mut parser).map_err(|error| fault(None, &not_json(error.column())))
}

fn not_json(character: usize) -> String {
    format!("JSON として読めません / can't be read as JSON (near byte {character} of the line)")
}

fn fault(path: Option<&str>, message: &str) -> JsonFault {
    JsonFault { path: path.filter(|path| !path.is_empty()).map(str::to_owned), message: message.to_owned() }
}

fn check_object(pairs: &[(String, Tree)], message: &MessageDescriptor, path: &str) -> Result<(), JsonFault> {
    let mut given: Vec<FieldDescriptor> = Vec::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        let field = message.fields().find(|field| field.name() == key || field.json_name() == key);
        let Some(field) = field else {
            let number = index + 1;
            let text = format!(
                "{number}番目のキーは項目の名前ではありません / key {number} of the object is no field of the contract"
            );
            return Err(fault(Some(path), &text));
        };
        let below = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        if given.contains(&field) {
            return Err(fault(Some(&below), "同じ項目が2回あります / is given twice"));
        }
        let rival = |other: &FieldDescriptor| {
            other.containing_oneof().is_some() && other.containing_oneof() == field.containing_oneof()
        };
        if given.iter().any(rival) {
            return Err(fault(Some(&below), "どちらか一方だけにしてください / excludes another field that is given"));
        }
        check_field(value, &field, &below)?;
        given.push(field);
    }
    Ok(())
}

fn check_field(value: &Tree, field: &FieldDescriptor, path: &str) -> Result<(), JsonFault> {
    match value {
        // As protobuf's JSON has it: the key might as well be absent.
        Tree::Null => Ok(()),
        Tree::List(values) if field.is_list() => {
            let mut places = values.iter().enumerate();
            places.try_for_each(|(index, value)| check_value(value, field, &format!("{path}[{index}]")))
        }
        _ if field.is_list() => Err(fault(Some(path), "配列 […] にしてください / must be a list […]")),
        value => check_value(value, field, path),
    }
}

fn check_value(value: &Tree, field: &FieldDescriptor, path: &str) -> Result<(), JsonFault> {
    let rule = match (field.kind(), value) {
        (Kind::Message(inner), Tree::Object(pairs)) => return check_object(pairs, &inner, path),
        (Kind::Message(_), _) => "オブジェクト {…} にしてください / must be an object {…}",
        (Kind::String, Tree::Text(text)) if text.contains('\u{fffd}') => super::LOST_CHARACTER,
        (Kind::String, Tree::Text(_)) => return Ok(()),
        (Kind::String, _) => "引用符で囲んだ文字列にしてください / must be a text in quotation marks",
        (Kind::Bool, Tree::Bool) => return Ok(()),
        (Kind::Bool, _) => "true か false にしてください / must be true or false",
        (Kind::Enum(kind), Tree::Text(name)) if kind.get_value_by_name(name).is_some() => return Ok(()),
        (Kind::Enum(_), Tree::Whole(number)) if i32::try_from(*number).is_ok() => return Ok(()),
        (Kind::Enum(_), _) => "契約のコードにしてください / must be a name or number of the contract's code list",
        (kind, Tree::Whole(number)) if is_in_range(&kind, *number) => return Ok(()),
        (_, Tree::Whole(_) | Tree::Huge) => OUT_OF_RANGE,
        (kind, Tree::Text(digits)) => match digits.parse::<i128>() {
            Ok(0) if digits.starts_with('-') => NOT_WHOLE,
            Ok(number) if is_in_range(&kind, number) => return Ok(()),
            Ok(_) => OUT_OF_RANGE,
            Err(error) => match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => OUT_OF_RANGE,
                _ => NOT_WHOLE,
            },
        },
        _ => NOT_WHOLE,
    };
    Err(fault(Some(path), rule))
}

/// Whether a whole number is one of a field's kind.
fn is_in_range(kind: &Kind, number: i128) -> bool {
    match kind {
        Kind::Int32 => i32::try_from(number).is_ok(),
        Kind::Int64 => i64::try_from(number).is_ok(),
        Kind::Uint32 => u32::try_from(number).is_ok(),
        Kind::Uint64 => u64::try_from(number).is_ok(),
        _ => false,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        // The parser has digits beyond 64 bits as a float.
        let is_huge = number.fract() == 0.0 && number.abs() >= i64::MAX as f64;
        Ok(if is_huge { Tree::Huge } else { Tree::Fraction })
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Tree, A::Error> {
        let mut object = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            object.push(pair);
        }
        Ok(Tree::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    fn refused(message: &str, line: &str) -> (Option<String>, String) {
        let message = Contract::load().unwrap().message(message).unwrap();
        let Err(fault) = read(line, &message) else { panic!("read: {line}") };
        (fault.path, fault.message)
    }

    fn person(line: &str) -> (Option<String>, String) {
        refused("PersonRegistration", line)
    }

    #[test]
    fn a_field_given_twice_is_refused_at_any_depth_and_in_either_spelling() {
        for (line, path) in [
            (r#"{"localAddressNumber":"A","localAddressNumber":"B"}"#, "local_address_number"),
            (r#"{"localAddressNumber":"A","local_address_number":"B"}"#, "local_address_number"),
            (r#"{"person":{"name":{"fullName":"x","full_name":"y"}}}"#, "person.name.full_name"),
            (r#"{"person":{"sex":1},"person":{"sex":2}}"#, "person"),
        ] {
            assert_eq!(person(line).0.as_deref(), Some(path), "{line}");
        }
        let twice = r#"{"payment":{"months":[{"month":"2025-04"},{"status":"A","status":"B"}]}}"#;
        assert_eq!(refused("PushedRecord", twice).0.as_deref(), Some("payment.months[1].status"));
        let both = r#"{"payment":{"fiscalYear":2025},"deletion":{"dataset":"DATASET_PAYMENT"}}"#;
        assert_eq!(refused("PushedRecord", both).0.as_deref(), Some("deletion"));
    }

    #[test]
    fn what_follows_an_object_is_an_error() {
        for line in [r"{}{}", r"{} x", r"{},", r"{}]"] {
            assert!(person(line).1.contains("something follows"), "{line}");
        }
    }

    #[test]
    fn errors_name_the_field_and_never_a_value_or_an_unknown_key() {
        for (line, path) in [
            (r#"{"個人情報":"secret"}"#, None),
            (r#"{"person":{"secret":"secret"}}"#, Some("person")),
            (r#"{"person":{"sex":"secret"}}"#, Some("person.sex")),
            (r#"{"person":{"protected":"secret"}}"#, Some("person.protected")),
            (r#"{"person":{"personalNumber":123456789018}}"#, Some("person.personal_number")),
            (r#"{"person":"secret"}"#, Some("person")),
            (r#"{"person":{"name":["secret"]}}"#, Some("person.name")),
            (r#"{"person":{"name":{"fullName":"secret\ufffd"}}}"#, Some("person.name.full_name")),
            (r#"{"localAddressNumber":"secret"#, None),
            (r#""secret""#, None),
            ("secret", None),
        ] {
            let (found, message) = person(line);
            assert_eq!(found.as_deref(), path, "{line}");
            assert!(!message.contains("secret") && !message.contains("1234"), "{message}");
        }
        let revision = r#"{"revision":"secret"}"#;
        assert_eq!(refused("PushedRecord", revision).0.as_deref(), Some("revision"));
    }

    #[test]
    fn a_number_out_of_range_names_its_field() {
        for (line, path) in [
            (r#"{"payment":{"fiscalYear":99999999999}}"#, "payment.fiscal_year"),
            (r#"{"payment":{"fiscalYear":-99999999999}}"#, "payment.fiscal_year"),
            (r#"{"payment":{"fiscalYear":"99999999999"}}"#, "payment.fiscal_year"),
            (r#"{"payment":{"fiscalYear":99999999999999999999999999}}"#, "payment.fiscal_year"),
            (r#"{"revision":-1}"#, "revision"),
            (r#"{"revision":"-5"}"#, "revision"),
            (r#"{"revision":18446744073709551616}"#, "revision"),
            (r#"{"revision":"99999999999999999999999999999999999999999999"}"#, "revision"),
            (r#"{"qualification":{"insuredType":3000000000}}"#, "qualification.insured_type"),
        ] {
            let (found, message) = refused("PushedRecord", line);
            assert_eq!(found.as_deref(), Some(path), "{line}");
            assert!(message.contains("range") || message.contains("code list"), "{line}: {message}");
            assert!(!message.contains("999"), "{message}");
        }
        for line in [r#"{"revision":1.5}"#, r#"{"revision":"1.0"}"#, r#"{"revision":""}"#, r#"{"revision":" 1"}"#] {
            let (found, message) = refused("PushedRecord", line);
            assert!(found.as_deref() == Some("revision") && message.contains("whole number"), "{line}: {message}");
        }
    }

    #[test]
    fn the_ends_of_each_range_are_numbers_and_null_is_an_absent_key() {
        let contract = Contract::load().unwrap();
        for line in [
            r#"{"revision":9223372036854775807}"#,
            r#"{"revision":"9223372036854775807"}"#,
            r#"{"payment":{"fiscalYear":2147483647}}"#,
            r#"{"payment":{"fiscalYear":-2147483648}}"#,
            r#"{"payment":{"fiscalYear":"2025"}}"#,
        ] {
            assert!(read(line, &contract.message("PushedRecord").unwrap()).is_ok(), "{line}");
        }
        let line = r#"{"localAddressNumber":"A1","person":{"sex":null,"address":null,"name":{"fullName":null}}}"#;
        let read = read(line, &contract.message("PersonRegistration").unwrap()).ok().unwrap();
        let person = read.transcode_to::<atena_proto::v1::PersonRegistration>().unwrap().person.unwrap();
        assert!(person.sex.is_none() && person.address.is_none() && person.name.unwrap().full_name.is_none());
    }
}
