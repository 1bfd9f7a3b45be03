//! The field catalogue of the real contract, read from its text as far as these tests need it: messages, fields, sensitivities.

use std::collections::HashMap;

use atena_domain::Dataset;
use atena_policy::{CatalogField, DatasetFields, FieldCatalog, Sensitivity};

const PERSON: &str = include_str!("../../../../proto/atena/v1/person.proto");
const PENSION: &str = include_str!("../../../../proto/atena/v1/pension.proto");

struct Field {
    kind: String,
    name: String,
    number: u32,
    sensitivity: Option<Sensitivity>,
}

/// Every leaf field of every dataset.
pub(crate) fn catalog() -> FieldCatalog {
    let mut messages = HashMap::new();
    read(PERSON, &mut messages);
    read(PENSION, &mut messages);
    let roots = ["Person", "Qualification", "Payment", "Exemption", "Benefit", "WelfarePension"];
    let datasets = Dataset::ALL.iter().zip(roots).map(|(dataset, root)| {
        let mut fields = Vec::new();
        leaves(&messages, root, "", &[], &mut fields);
        assert!(!fields.is_empty(), "message {root} is in the contract");
        DatasetFields { dataset: *dataset, fields }
    });
    FieldCatalog::new(datasets.collect())
}

fn read(text: &str, messages: &mut HashMap<String, Vec<Field>>) {
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("message ").and_then(|rest| rest.strip_suffix(" {")) {
            messages.insert(name.to_owned(), Vec::new());
            open = Some(name.to_owned());
        } else if line == "}" {
            open = None;
        } else if let (Some(message), Some((declaration, rest))) = (&open, line.split_once(" = ")) {
            let mut words = declaration.trim_start_matches("repeated ").trim_start_matches("optional ").split(' ');
            let field = Field {
                kind: words.next().unwrap().to_owned(),
                name: words.next().unwrap().to_owned(),
                number: rest.split([' ', ';']).next().unwrap().parse().unwrap(),
                sensitivity: rest.split_once("SENSITIVITY_").map(|(_, name)| sensitivity(name.trim_end_matches("];"))),
            };
            messages.get_mut(message).unwrap().push(field);
        }
    }
}

fn sensitivity(name: &str) -> Sensitivity {
    match name {
        "PERSONAL_NUMBER" => Sensitivity::PersonalNumber,
        "IDENTIFYING" => Sensitivity::Identifying,
        "PENSION" => Sensitivity::Pension,
        "SYSTEM" => Sensitivity::System,
        other => panic!("unknown sensitivity {other}"),
    }
}

fn leaves(
    messages: &HashMap<String, Vec<Field>>,
    message: &str,
    prefix: &str,
    numbers: &[u32],
    out: &mut Vec<CatalogField>,
) {
    for field in messages.get(message).into_iter().flatten() {
        let path = format!("{prefix}{}", field.name);
        let numbers = [numbers, &[field.number]].concat();
        match field.sensitivity {
            Some(sensitivity) => out.push(CatalogField { path, numbers, sensitivity }),
            None => leaves(messages, &field.kind, &format!("{path}."), &numbers, out),
        }
    }
}
