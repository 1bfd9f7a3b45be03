//! The columns of a message: its leaf fields, with repeated ones written out.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

use crate::contract::Contract;
use crate::error::CliError;

/// How often a repeated field is written out: the months of a year.
pub(super) const REPEATED: usize = 12;

/// Names of columns that the contract's comments don't give.
const NAMES: [(&str, &str); 8] = [
    ("local_address_number", "宛名番号"),
    ("record_key", "レコードキー"),
    ("revision", "改訂番号"),
    ("deleted", "削除フラグ"),
    ("record_id", "レコードID"),
    ("new_without_personal_number", "個人番号なし新規フラグ"),
    ("migrated_unified_address_number", "団体内統合宛名番号"),
    ("personal_number", "個人番号"),
];

/// Flags that protect a person: an empty cell ends none of them, only an explicit 0 does.
const PROTECTING: [&str; 2] = ["protected", "restricted_to_owner"];

/// One column.
#[derive(Clone)]
pub(super) struct Column {
    /// Path, e.g. `months[0].status`.
    pub(super) path: String,
    /// Japanese name, e.g. 月別納付記号1.
    pub(super) japanese: String,
    steps: Vec<Step>,
    numeric: bool,
    /// Japanese terms and short names of an enum's values.
    terms: HashMap<String, i32>,
}

#[derive(Clone)]
struct Step {
    field: FieldDescriptor,
    index: Option<usize>,
}

// === impl Column ===

impl Column {
    /// Every column of a message, in the order of the contract. Names that are not unique are not used.
    pub(super) fn all(contract: &Contract, message: &MessageDescriptor) -> Vec<Self> {
        let mut columns = Vec::new();
        collect(contract, message, "", None, &[], &mut columns);
        let mut seen: HashMap<String, usize> = HashMap::new();
        for column in &columns {
            *seen.entry(column.japanese.clone()).or_default() += 1;
        }
        for column in &mut columns {
            if seen.get(&column.japanese) != Some(&1) {
                column.japanese = column.path.clone();
            }
        }
        columns
    }

    /// Whether it is one of a list that goes on: its first one speaks for all.
    pub(super) fn continues_a_list(&self) -> bool {
        self.steps.iter().any(|step| step.index.is_some_and(|index| index > 0))
    }

    /// A column that is no field of a message.
    pub(super) fn name(path: &str) -> String {
        NAMES.iter().find(|(known, _)| *known == path).map_or(path, |(_, name)| *name).to_owned()
    }

    /// Writes a cell into a message. An empty one clears a field that has presence (all of a
    /// person's but those that protect), and leaves any other as it is. A column that is not in the
    /// file is never written, so its field stays absent.
    pub(super) fn set(&self, message: &mut DynamicMessage, cell: &str) -> Result<(), &'static str> {
        let Some((leaf, path)) = self.steps.split_last() else {
            return Ok(());
        };
        let clears = leaf.field.supports_presence() && !PROTECTING.contains(&leaf.field.name());
        let value = match cell {
            "" if clears => Value::default_value_for_field(&leaf.field),
            "" => return Ok(()),
            cell => self.parse(&leaf.field, cell)?,
        };
        let mut place = message;
        for step in path {
            place = enter(place, step).ok_or("can't be placed in the message")?;
        }
        place.set_field(&leaf.field, value);
        Ok(())
    }

    /// The cell of a message; empty where the field is absent. What is written is held against it in tests.
    #[cfg(test)]
    pub(super) fn get(&self, message: &DynamicMessage) -> String {
        let Some((leaf, path)) = self.steps.split_last() else {
            return String::new();
        };
        let mut place = std::borrow::Cow::Borrowed(message);
        for step in path {
            if !place.has_field(&step.field) {
                return String::new();
            }
            let value = place.get_field(&step.field).into_owned();
            let inner = match (value, step.index) {
                (Value::Message(inner), None) => inner,
                (Value::List(mut list), Some(index)) if index < list.len() => match list.swap_remove(index) {
                    Value::Message(inner) => inner,
                    _ => return String::new(),
                },
                _ => return String::new(),
            };
            place = std::borrow::Cow::Owned(inner);
        }
        // A number of a present element is written even if it is 0, unless it can be absent by
        // itself.
        if (path.is_empty() || leaf.field.supports_presence()) && !place.has_field(&leaf.field) {
            return String::new();
        }
        match place.get_field(&leaf.field).as_ref() {
            Value::String(text) => text.clone(),
            Value::Bool(yes) => u8::from(*yes).to_string(),
            Value::I32(number) | Value::EnumNumber(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::U32(number) => number.to_string(),
            Value::U64(number) => number.to_string(),
            _ => String::new(),
        }
    }

    fn parse(&self, field: &FieldDescriptor, cell: &str) -> Result<Value, &'static str> {
        let folded = || cell.chars().map(half_width).collect::<String>();
        let number = "整数にしてください / must be a whole number";
        match field.kind() {
            Kind::String if self.numeric => Ok(Value::String(folded())),
            Kind::String => Ok(Value::String(cell.to_owned())),
            Kind::Bool => match folded().to_lowercase().as_str() {
                "1" | "true" | "はい" | "有" => Ok(Value::Bool(true)),
                "0" | "false" | "いいえ" | "無" => Ok(Value::Bool(false)),
                _ => Err("1 か 0（はい、いいえ）にしてください / must be 1 or 0"),
            },
            Kind::Int32 => folded().parse().map(Value::I32).map_err(|_| number),
            Kind::Int64 => folded().parse().map(Value::I64).map_err(|_| number),
            Kind::Uint32 => folded().parse().map(Value::U32).map_err(|_| number),
            Kind::Uint64 => folded().parse().map(Value::U64).map_err(|_| number),
            Kind::Enum(_) => {
                let code = self.terms.get(cell).copied().or_else(|| folded().parse().ok());
                code.map(Value::EnumNumber).ok_or(
                    "契約のコードにしてください / must be a code of the contract: its number, Japanese term, or name",
                )
            }
            _ => Err("can't be given in a CSV file"),
        }
    }
}

fn collect(
    contract: &Contract,
    message: &MessageDescriptor,
    path: &str,
    parent: Option<&str>,
    steps: &[Step],
    columns: &mut Vec<Column>,
) {
    for field in message.fields() {
        let name = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        let own = contract.own_term(&field);
        let repeats = if field.is_list() { REPEATED } else { 1 };
        for index in 0..repeats {
            let index = field.is_list().then_some(index);
            let name = index.map_or_else(|| name.clone(), |index| format!("{name}[{index}]"));
            let mut steps = steps.to_vec();
            steps.push(Step { field: field.clone(), index });
            if let Kind::Message(inner) = field.kind() {
                collect(contract, &inner, &name, own.as_deref(), &steps, columns);
                continue;
            }
            let given = NAMES.iter().find(|(known, _)| *known == name).map(|(_, given)| (*given).to_owned());
            let term = given
                .or_else(|| own.clone())
                .or_else(|| parent.map(str::to_owned))
                .or_else(|| contract.message_term(&field))
                .unwrap_or_else(|| name.clone());
            let repeated = steps.iter().find_map(|step| step.index);
            let terms = terms(contract, &field);
            columns.push(Column {
                japanese: repeated.map_or_else(|| term.clone(), |index| format!("{term}{}", index + 1)),
                numeric: contract.is_numeric(&field) || field.name() == "local_address_number",
                path: name,
                steps,
                terms,
            });
        }
    }
}

/// What the values of an enum may be called: the Japanese term, the name, and the name without its enum's prefix.
fn terms(contract: &Contract, field: &FieldDescriptor) -> HashMap<String, i32> {
    let Kind::Enum(kind) = field.kind() else {
        return HashMap::new();
    };
    let prefix = kind.values().next().and_then(|zero| zero.name().strip_suffix("UNSPECIFIED").map(str::to_owned));
    let mut terms = HashMap::new();
    for value in kind.values() {
        let short = prefix.as_deref().and_then(|prefix| value.name().strip_prefix(prefix)).map(str::to_owned);
        let names = [contract.enum_term(value.full_name()), short, Some(value.name().to_owned())];
        for name in names.into_iter().flatten() {
            terms.insert(name, value.number());
        }
    }
    // 性別's comments begin with its code.
    if kind.name() == "Sex" {
        terms.extend([("不明", 0), ("男", 1), ("女", 2)].map(|(term, code)| (term.to_owned(), code)));
    }
    terms
}

fn enter<'a>(message: &'a mut DynamicMessage, step: &Step) -> Option<&'a mut DynamicMessage> {
    let Kind::Message(inner) = step.field.kind() else {
        return None;
    };
    let value = message.get_field_mut(&step.field);
    match step.index {
        None => value.as_message_mut(),
        Some(index) => {
            let list = value.as_list_mut()?;
            while list.len() <= index {
                list.push(Value::Message(DynamicMessage::new(inner.clone())));
            }
            list.get_mut(index)?.as_message_mut()
        }
    }
}

/// Full-width digits and hyphens as ASCII.
fn half_width(character: char) -> char {
    match character {
        '０'..='９' => char::from_u32(u32::from(character) - u32::from('０') + u32::from('0')).unwrap_or(character),
        '－' | '−' => '-',
        other => other,
    }
}

/// The message of a dataset, with its columns.
pub(super) fn of_message(contract: &Contract, name: &str) -> Result<(MessageDescriptor, Vec<Column>), CliError> {
    let message = contract.message(name)?;
    let columns = Column::all(contract, &message);
    Ok((message, columns))
}

/// The message that is a field of another.
pub(super) fn nest(outer: &mut DynamicMessage, field: &str, inner: DynamicMessage) -> Result<(), &'static str> {
    let descriptor = outer.descriptor().get_field_by_name(field).ok_or("is no field of the message")?;
    outer.set_field(&descriptor, Value::Message(inner));
    Ok(())
}
