//! What tests need to handle personal numbers: a permit, which only a real policy gives, and numbers with a fitting check digit.

use atena_domain::{Dataset, SystemId, check_digit, date};
use atena_policy::{CatalogField, DatasetFields, FieldCatalog, PersonalNumberPermit, Policy, Sensitivity};

const POLICY: &str = r#"
municipality_code = "132098"
[registration]
affair = "宛名管理事務"
basis = [{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }]
[[system]]
id = "pension"
name = "国民年金システム"
division = "保険年金課"
roles = ["dataset_owner"]
personal_number_basis = [{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }]
"#;

/// The permit of the pension system to use personal numbers when it registers people.
pub(crate) fn personal_number_permit() -> PersonalNumberPermit {
    let mut text = POLICY.to_owned();
    for dataset in Dataset::PENSION {
        text.push_str(&format!(
            "[[dataset]]\nid = \"{}\"\nowner = \"pension\"\naffair = \"国民年金事務\"\nbasis = [{{ citation = \"国民年金法\", valid_from = 1961-04-01 }}]\n",
            dataset.as_str()
        ));
    }
    let leaf = CatalogField { path: "status".to_owned(), numbers: vec![1], sensitivity: Sensitivity::Pension };
    let catalog = FieldCatalog::new(
        Dataset::PENSION
            .iter()
            .map(|dataset| DatasetFields { dataset: *dataset, fields: vec![leaf.clone()] })
            .collect(),
    );
    let today = date::parse_date("2026-11-23").unwrap();
    let policy = Policy::compile(&text, &catalog, today).unwrap();
    let permit = policy.authorize_registration(&SystemId::parse("pension").unwrap(), today).unwrap();
    permit.personal_number().unwrap()
}

/// The personal number with these first eleven digits. Made up: any eleven digits have a fitting twelfth.
pub(crate) fn number_of(body: u64) -> String {
    let body = format!("{body:011}");
    (0..10).map(|digit| format!("{body}{digit}")).find(|number| check_digit::is_personal_number(number)).unwrap()
}
