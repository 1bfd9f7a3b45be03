//! What fields there are: the contract as the policy sees it.

use std::collections::BTreeMap;

use atena_domain::Dataset;

/// Every leaf field of every dataset, with its place on the wire and its sensitivity (データ項目一覧).
///
/// Made by callers from the contract's descriptors, so that this crate knows no message type. A field that is not in the
/// catalogue can't be named by a rule and therefore never leaves (*deny-by-default*).
#[derive(Debug, Clone, Default)]
pub struct FieldCatalog {
    datasets: BTreeMap<Dataset, Vec<CatalogField>>,
}

/// The leaf fields of one dataset.
#[derive(Debug, Clone)]
pub struct DatasetFields {
    /// The dataset.
    pub dataset: Dataset,
    /// Its leaf fields, in the order of the contract.
    pub fields: Vec<CatalogField>,
}

/// One leaf field: a scalar or an enum, possibly repeated.
///
/// A path that leads on from another field's path is a contradiction of the catalogue: only the longer one can be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogField {
    /// Dotted path from the dataset's message, e.g. `months.status`.
    pub path: String,
    /// Field numbers along the path, at most 16.
    pub numbers: Vec<u32>,
    /// What the contract says of it.
    pub sensitivity: Sensitivity,
}

/// How sensitive a field is (取扱区分).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sensitivity {
    /// 個人番号 (番号法第2条第5項): only for systems with a legal basis of their own.
    PersonalNumber,
    /// Identifies a person: names, birth date, sex, address.
    Identifying,
    /// What the pension system knows about a person.
    Pension,
    /// Says nothing about a person: keys, flags and notes of a system.
    System,
}

// === impl FieldCatalog ===

impl FieldCatalog {
    /// A catalogue of these datasets. Of a dataset given twice, the fields are joined.
    #[must_use]
    pub fn new(datasets: Vec<DatasetFields>) -> Self {
        let mut catalog = Self::default();
        for DatasetFields { dataset, fields } in datasets {
            catalog.datasets.entry(dataset).or_default().extend(fields);
        }
        catalog
    }

    /// The leaf fields of a dataset, in the order of the contract; empty for a dataset that the contract lacks.
    #[must_use]
    pub fn fields(&self, dataset: Dataset) -> &[CatalogField] {
        self.datasets.get(&dataset).map_or(&[], Vec::as_slice)
    }

    /// The field with this path.
    #[must_use]
    pub fn field(&self, dataset: Dataset, path: &str) -> Option<&CatalogField> {
        self.fields(dataset).iter().find(|field| field.path == path)
    }

    pub(crate) fn datasets(&self) -> impl Iterator<Item = Dataset> {
        self.datasets.keys().copied()
    }
}

// === impl Sensitivity ===

impl Sensitivity {
    /// The name as in the contract, without its prefix, e.g. `PERSONAL_NUMBER`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PersonalNumber => "PERSONAL_NUMBER",
            Self::Identifying => "IDENTIFYING",
            Self::Pension => "PENSION",
            Self::System => "SYSTEM",
        }
    }
}
