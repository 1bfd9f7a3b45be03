//! Records as a person reads them. Japanese terms come from the comments of the contract itself (`proto/atena/v1`), so that there
//! is no second list of them to keep in step.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use atena_proto::v1::Dataset;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::error::CliError;
use crate::table::grouped;

/// Field numbers in descriptor.proto that source locations are made of.
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const MESSAGE_FIELDS: i32 = 2;
const ENUM_VALUES: i32 = 2;

/// The contract with its comments.
#[derive(Clone)]
pub(crate) struct Contract {
    pool: DescriptorPool,
    comments: Arc<HashMap<String, String>>,
}

/// It is part of the program, so it is read once.
static LOADED: OnceLock<Contract> = OnceLock::new();

/// One field that is present in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldText {
    /// Path, e.g. `months.status`.
    pub(crate) path: String,
    /// 月別納付記号.
    pub(crate) japanese: String,
    /// The value; of a repeated field all values, shortened.
    pub(crate) value: String,
}

// === impl Contract ===

impl Contract {
    /// Reads the contract that this program was built with.
    ///
    /// # Errors
    /// [`CliError::Answer`] when it is damaged.
    pub(crate) fn load() -> Result<Self, CliError> {
        if let Some(loaded) = LOADED.get() {
            return Ok(loaded.clone());
        }
        let pool = DescriptorPool::decode(atena_proto::FILE_DESCRIPTOR_SET)
            .map_err(|_| CliError::Answer("the contract in this program is damaged"))?;
        let mut comments = HashMap::new();
        for file in pool.files().filter(|file| file.package_name() == "atena.v1") {
            read_comments(file.file_descriptor_proto(), &mut comments);
        }
        Ok(LOADED.get_or_init(|| Self { pool, comments: Arc::new(comments) }).clone())
    }

    /// The fields present in a record of `dataset`, in the order of the contract.
    ///
    /// # Errors
    /// [`CliError::Answer`] when the bytes are not such a record.
    pub(crate) fn fields(&self, dataset: Dataset, record: &[u8]) -> Result<Vec<FieldText>, CliError> {
        let name = message_of(dataset).ok_or(CliError::Answer("a record of no dataset"))?;
        let descriptor = self.message(name)?;
        let message = DynamicMessage::decode(descriptor.clone(), record)
            .map_err(|_| CliError::Answer("a record can't be read"))?;
        let mut fields = Vec::new();
        self.leaves(&descriptor, &[&message], "", &mut fields);
        Ok(fields)
    }

    /// The leaves below one place of the tree; `messages` has several entries below a repeated field.
    fn leaves(
        &self,
        descriptor: &MessageDescriptor,
        messages: &[&DynamicMessage],
        path: &str,
        fields: &mut Vec<FieldText>,
    ) {
        for field in descriptor.fields() {
            let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
            let present: Vec<_> = messages
                .iter()
                .filter(|message| message.has_field(&field))
                .map(|message| message.get_field(&field))
                .collect();
            if let Kind::Message(inner) = field.kind() {
                let below: Vec<&DynamicMessage> =
                    present.iter().flat_map(|value| elements(value)).filter_map(Value::as_message).collect();
                self.leaves(&inner, &below, &path, fields);
            } else if !present.is_empty() {
                let values: Vec<String> =
                    messages.iter().map(|message| self.value(&field, &message.get_field(&field))).collect();
                fields.push(FieldText { path, japanese: self.japanese(&field), value: shortened(&values) });
            }
        }
    }

    /// The Japanese term of a field of a dataset, by its path (`months.status`); the path itself where there is none.
    pub(crate) fn term_of(&self, dataset: Dataset, path: &str) -> String {
        let mut message = message_of(dataset).and_then(|name| self.message(name).ok());
        let mut term = None;
        for part in path.split('.') {
            let field = message.as_ref().and_then(|message| message.get_field_by_name(part));
            term = field.as_ref().map(|field| self.japanese(field)).filter(|term| !term.is_empty());
            message = field.and_then(|field| field.kind().as_message().cloned());
        }
        term.unwrap_or_else(|| path.to_owned())
    }

    /// A message of the contract, e.g. `PushedRecord`.
    ///
    /// # Errors
    /// [`CliError::Answer`] when the contract in this program lacks it.
    pub(crate) fn message(&self, name: &str) -> Result<MessageDescriptor, CliError> {
        self.pool
            .get_message_by_name(&format!("atena.v1.{name}"))
            .ok_or(CliError::Answer("the contract in this program is damaged"))
    }

    /// What the comment of a field begins with, if that is Japanese.
    pub(crate) fn own_term(&self, field: &FieldDescriptor) -> Option<String> {
        self.comments.get(field.full_name()).and_then(|comment| term(comment))
    }

    /// Whether a text field holds digits or a date by its comment: then an importer may fold full-width digits.
    pub(crate) fn is_numeric(&self, field: &FieldDescriptor) -> bool {
        self.comments
            .get(field.full_name())
            .is_some_and(|comment| comment.contains("YYYY") || comment.contains("digits"))
    }

    /// The Japanese term of an enum value.
    pub(crate) fn enum_term(&self, value_name: &str) -> Option<String> {
        self.comments.get(value_name).and_then(|comment| term(comment))
    }

    fn value(&self, field: &FieldDescriptor, value: &Value) -> String {
        match (value, field.kind()) {
            (Value::EnumNumber(number), Kind::Enum(kind)) => kind
                .get_value(*number)
                .and_then(|value| self.comments.get(value.full_name()).and_then(|comment| term(comment)))
                .unwrap_or_else(|| number.to_string()),
            (Value::I64(amount), _) => format!("{}円", grouped(*amount)),
            (Value::I32(number), _) => number.to_string(),
            (Value::Bool(yes), _) => (if *yes { "はい" } else { "いいえ" }).to_owned(),
            (Value::String(text), _) => text.clone(),
            (other, _) => other.to_string(),
        }
    }

    /// The Japanese term of a field: what its comment begins with, or what stands in parentheses in its message's comment.
    fn japanese(&self, field: &FieldDescriptor) -> String {
        self.own_term(field).or_else(|| self.message_term(field)).unwrap_or_default()
    }

    /// What stands in parentheses in the comment of a field's message.
    pub(crate) fn message_term(&self, field: &FieldDescriptor) -> Option<String> {
        self.comments.get(field.parent_message().full_name()).and_then(|comment| in_parentheses(comment))
    }
}

/// The message of a dataset.
fn message_of(dataset: Dataset) -> Option<&'static str> {
    match dataset {
        Dataset::Unspecified => None,
        Dataset::Person => Some("Person"),
        Dataset::Qualification => Some("Qualification"),
        Dataset::Payment => Some("Payment"),
        Dataset::Exemption => Some("Exemption"),
        Dataset::Benefit => Some("Benefit"),
        Dataset::WelfarePension => Some("WelfarePension"),
    }
}

fn elements(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        single => std::slice::from_ref(single),
    }
}

/// `A A A Z` as `A ×3 Z`; a long series without repetition as its ends.
fn shortened(values: &[String]) -> String {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => runs.push((value, 1)),
        }
    }
    if let [(first, 1), middle @ .., (last, 1)] = runs.as_slice()
        && values.len() > 6
        && middle.iter().all(|(_, count)| *count == 1)
    {
        return format!("{first} 〜 {last}");
    }
    let runs: Vec<String> = runs
        .iter()
        .map(|(value, count)| if *count == 1 { (*value).to_owned() } else { format!("{value} ×{count}") })
        .collect();
    runs.join(" ")
}

fn read_comments(file: &FileDescriptorProto, comments: &mut HashMap<String, String>) {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    for location in locations {
        if let (Some(name), Some(comment)) = (named(file, location), &location.leading_comments) {
            comments.insert(format!("{}.{name}", file.package()), comment.trim().to_owned());
        }
    }
}

/// The full name, without package, of the message, field or enum value at a location. Enum values are named beside their enum,
/// as protobuf does.
fn named(file: &FileDescriptorProto, location: &Location) -> Option<String> {
    let index = |number: i32| usize::try_from(number).ok();
    let message = |number: i32| -> Option<&DescriptorProto> { file.message_type.get(index(number)?) };
    let kind = |number: i32| -> Option<&EnumDescriptorProto> { file.enum_type.get(index(number)?) };
    match *location.path.as_slice() {
        [FILE_MESSAGES, number] => Some(message(number)?.name().to_owned()),
        [FILE_MESSAGES, number, MESSAGE_FIELDS, field] => {
            let message = message(number)?;
            Some(format!("{}.{}", message.name(), message.field.get(index(field)?)?.name()))
        }
        [FILE_ENUMS, number, ENUM_VALUES, value] => Some(kind(number)?.value.get(index(value)?)?.name().to_owned()),
        _ => None,
    }
}

/// What a comment begins with, up to the first punctuation, if it is Japanese.
fn term(comment: &str) -> Option<String> {
    let head = comment.split([':', '.', ',', ' ', '\n']).next()?;
    is_japanese(head).then(|| head.to_owned())
}

fn in_parentheses(comment: &str) -> Option<String> {
    let inner = comment.split_once('(')?.1.split_once(')')?.0;
    is_japanese(inner).then(|| inner.to_owned())
}

fn is_japanese(text: &str) -> bool {
    !text.is_ascii()
}

#[cfg(test)]
mod tests {
    use atena_proto::v1::{Acquisition, AcquisitionReason, InsuredType, Payment, PaymentMonth, Qualification};
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_record_reads_in_the_japanese_terms_of_the_contract() {
        let record = Qualification {
            insured_type: InsuredType::Category1.into(),
            acquisition: Some(Acquisition { date: "2020-04-01".into(), reason: AcquisitionReason::Age20.into() }),
            ..Default::default()
        };
        let fields = Contract::load().unwrap().fields(Dataset::Qualification, &record.encode_to_vec()).unwrap();
        let lines: Vec<String> =
            fields.iter().map(|field| format!("{} {} {}", field.path, field.japanese, field.value)).collect();
        assert_eq!(
            lines,
            [
                "insured_type 被保険者種別 第1号被保険者",
                "acquisition.date 資格取得年月日 2020-04-01",
                "acquisition.reason 資格取得理由 20歳到達",
            ]
        );
    }

    #[test]
    fn the_months_of_a_year_are_shortened() {
        let months = (4..=12).map(|month| PaymentMonth {
            month: format!("2025-{month:02}"),
            status: if month < 7 { "A" } else { "Z" }.into(),
            amount_yen: if month < 7 { 17_510 } else { 0 },
        });
        let record = Payment { fiscal_year: 2025, months: months.collect(), ..Default::default() };
        let fields = Contract::load().unwrap().fields(Dataset::Payment, &record.encode_to_vec()).unwrap();
        let values: Vec<&str> = fields.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(values, ["2025", "2025-04 〜 2025-12", "A ×3 Z ×6", "17,510円 ×3 0円 ×6"]);
    }
}
