//! A small municipality for the unit tests.

use atena_domain::{Affair, Dataset, SystemId};
use jiff::civil::{Date, date};

use crate::catalog::{CatalogField, DatasetFields, FieldCatalog, Sensitivity};
use crate::policy::Policy;
use crate::problem::PolicyError;

/// The day of the tests.
pub(crate) const TODAY: Date = date(2026, 11, 23);

/// `policy.toml` of the small municipality; tests break it by replacing parts.
pub(crate) const TEXT: &str = r#"
municipality_code = "132098"

[registration]
affair = "宛名管理事務"
basis = [{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }]

[[dataset]]
id = "qualification"
owner = "pension"
affair = "国民年金事務"
basis = [{ citation = "国民年金法", valid_from = 1961-04-01 }, { citation = "旧法", valid_from = 1961-04-01, valid_to = 1985-12-31 }]
[[dataset]]
id = "payment"
owner = "pension"
affair = "国民年金事務"
basis = [{ citation = "国民年金法", valid_from = 1961-04-01 }]
[[dataset]]
id = "exemption"
owner = "pension"
affair = "国民年金事務"
basis = [{ citation = "国民年金法", valid_from = 1961-04-01 }]
[[dataset]]
id = "benefit"
owner = "pension"
affair = "国民年金事務"
basis = [{ citation = "国民年金法", valid_from = 1961-04-01 }]
[[dataset]]
id = "welfare_pension"
owner = "pension"
affair = "国民年金事務"
basis = [{ citation = "国民年金法", valid_from = 1961-04-01 }]

[[system]]
id = "pension"
name = "国民年金システム"
division = "保険年金課"
roles = ["dataset_owner"]
[[system]]
id = "resident-tax"
name = "市民税システム"
division = "市民税課"
roles = ["consumer"]
personal_number_basis = [{ citation = "別表24", valid_from = 2016-01-01, valid_to = 2028-03-31 }]
[[system]]
id = "school"
name = "学務システム"
division = "学務課"
roles = ["consumer"]
[[system]]
id = "auditor"
name = "監査"
division = "市政情報課"
roles = ["auditor"]
[[system]]
id = "administrator"
name = "宛名管理"
division = "情報システム課"
roles = ["address_administrator"]
unified_address_number = true
[[system]]
id = "retired"
name = "旧システム"
division = "情報システム課"
roles = ["consumer"]
revoked = true

[[rule]]
id = "transfer-1"
name = "移転先1"
version = 1
consumers = ["resident-tax"]
affair = "市都民税賦課業務"
valid_from = 2016-01-01
valid_to = 2027-03-31
basis = [
  { citation = "条例", valid_from = 2016-01-01, valid_to = 2026-12-31 },
  { citation = "別表第2(48)", valid_from = 2021-09-01 },
]
[rule.release]
payment = ["months.status", "months.month", "fiscal_year"]

[[rule]]
id = "own-view-with-number"
name = "自己の宛名"
version = 1
consumers = ["resident-tax"]
affair = "宛名管理事務"
valid_from = 2016-01-01
basis = [{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }]
[rule.release]
person = ["personal_number", "name.full_name"]

[[rule]]
id = "own-view"
name = "自己の宛名"
version = 1
consumers = ["school"]
affair = "宛名管理事務"
valid_from = 2016-01-01
basis = [{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }]
[rule.release]
person = ["name.full_name"]
"#;

/// The fields of the small contract.
pub(crate) fn catalog() -> FieldCatalog {
    use Sensitivity::{Identifying, Pension, PersonalNumber, System};
    let fields = |dataset, fields: &[(&str, &[u32], Sensitivity)]| DatasetFields {
        dataset,
        fields: fields
            .iter()
            .map(|(path, numbers, sensitivity)| CatalogField {
                path: (*path).to_owned(),
                numbers: numbers.to_vec(),
                sensitivity: *sensitivity,
            })
            .collect(),
    };
    FieldCatalog::new(vec![
        fields(
            Dataset::Person,
            &[
                ("personal_number", &[1], PersonalNumber),
                ("name.full_name", &[2, 1], Identifying),
                ("protected", &[8], System),
            ],
        ),
        fields(Dataset::Qualification, &[("insured_type", &[2], Pension), ("remarks", &[8], System)]),
        fields(
            Dataset::Payment,
            &[
                ("fiscal_year", &[2], Pension),
                ("months.month", &[3, 1], Pension),
                ("months.status", &[3, 2], Pension),
                ("months.amount_yen", &[3, 3], Pension),
                ("remarks", &[6], System),
            ],
        ),
        fields(Dataset::Exemption, &[("kind", &[2], Pension)]),
        fields(Dataset::Benefit, &[("kind", &[4], Pension)]),
        fields(Dataset::WelfarePension, &[("status", &[2], Pension)]),
    ])
}

/// The compiled policy of the small municipality.
pub(crate) fn policy() -> Policy {
    Policy::compile(TEXT, &catalog(), TODAY).unwrap()
}

/// The policy after replacing parts of its text; every part must occur.
pub(crate) fn edited(edits: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    let text = edits.iter().fold(TEXT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the text");
        text.replacen(from, to, 1)
    });
    Policy::compile(&text, &catalog(), TODAY)
}

/// A system id.
pub(crate) fn system(id: &str) -> SystemId {
    SystemId::parse(id).unwrap()
}

/// An affair.
pub(crate) fn affair(name: &str) -> Affair {
    Affair::parse(name).unwrap()
}
