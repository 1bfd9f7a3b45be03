//! The permission matrix (アクセス権限一覧): who may have which field for what, spelt out for people and for golden files.

use std::fmt::Write;

use atena_domain::{Affair, Dataset, SystemId};
use jiff::civil::Date;

use crate::catalog::{FieldCatalog, Sensitivity};
use crate::policy::Policy;

/// Every combination of system, affair, dataset and field with its verdict on one day, sorted by system, affair and dataset, the
/// fields in the order of the contract.
#[derive(Debug, Clone)]
pub struct Matrix {
    rows: Vec<MatrixRow>,
}

/// One combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixRow {
    /// The system that asks.
    pub system: SystemId,
    /// The affair (事務) it asks for.
    pub affair: Affair,
    /// The dataset.
    pub dataset: Dataset,
    /// Path of the field.
    pub field: String,
    /// What the contract says of the field.
    pub sensitivity: Sensitivity,
    /// What the policy says.
    pub verdict: Verdict,
}

/// Whether a field leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves under this rule.
    Released {
        /// Id of the rule.
        rule_id: String,
        /// Its version.
        rule_version: u32,
    },
    /// It does not.
    Denied,
}

// === impl Policy ===

impl Policy {
    /// The matrix of this policy on `today`, asked of the decisions themselves.
    #[must_use]
    pub fn matrix(&self, catalog: &FieldCatalog, today: Date) -> Matrix {
        let mut rows = Vec::new();
        for system in self.systems.keys() {
            for affair in &self.affairs {
                for dataset in catalog.datasets() {
                    let permit = self.authorize_release(system, affair, dataset, today).ok();
                    rows.extend(catalog.fields(dataset).iter().map(|field| MatrixRow {
                        system: system.clone(),
                        affair: affair.clone(),
                        dataset,
                        field: field.path.clone(),
                        sensitivity: field.sensitivity,
                        verdict: match &permit {
                            Some(permit) if permit.filter().allows(&field.numbers) => Verdict::Released {
                                rule_id: permit.rule_id().to_owned(),
                                rule_version: permit.rule_version(),
                            },
                            _ => Verdict::Denied,
                        },
                    }));
                }
            }
        }
        Matrix { rows }
    }
}

// === impl Matrix ===

impl Matrix {
    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &MatrixRow> {
        self.rows.iter()
    }

    /// One line for each system, affair and dataset: what is released under which rule, and what is denied. Every field is
    /// named, so that a new field or a changed rule shows as a changed line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for rows in self.rows.chunk_by(|left, right| {
            (&left.system, &left.affair, left.dataset) == (&right.system, &right.affair, right.dataset)
        }) {
            let Some(first) = rows.first() else { continue };
            let rule = rows.iter().find_map(|row| match &row.verdict {
                Verdict::Released { rule_id, rule_version } => Some(format!(" by {rule_id} v{rule_version}")),
                Verdict::Denied => None,
            });
            let (denied, released): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.verdict == Verdict::Denied);
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "{} | {} | {} | released{}: {} | denied: {}",
                first.system.as_str(),
                first.affair.as_str(),
                first.dataset.as_str(),
                rule.unwrap_or_default(),
                names(&released),
                names(&denied),
            );
        }
        text
    }
}

impl IntoIterator for Matrix {
    type Item = MatrixRow;
    type IntoIter = std::vec::IntoIter<MatrixRow>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

fn names(rows: &[&MatrixRow]) -> String {
    if rows.is_empty() {
        return "-".to_owned();
    }
    rows.iter().map(|row| row.field.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use crate::test_policy::{TODAY, catalog, policy};

    #[test]
    fn each_field_is_named_as_released_or_denied() {
        let text = policy().matrix(&catalog(), TODAY).to_text();
        for line in [
            "resident-tax | 市都民税賦課業務 | payment | released by transfer-1 v1: fiscal_year, months.month, months.status | denied: months.amount_yen, remarks",
            "resident-tax | 市都民税賦課業務 | benefit | released: - | denied: kind",
            "school | 宛名管理事務 | person | released by own-view v1: name.full_name | denied: personal_number, protected",
            "auditor | 宛名管理事務 | person | released: - | denied: personal_number, name.full_name, protected",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn on_a_day_without_rules_everything_is_denied() {
        let matrix = policy().matrix(&catalog(), date(2010, 1, 1));
        assert!(matrix.rows().all(|row| row.verdict == super::Verdict::Denied));
        assert_eq!(matrix.rows().count(), matrix.clone().into_iter().count());
    }
}
