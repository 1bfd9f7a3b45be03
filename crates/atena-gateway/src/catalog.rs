//! The field catalogue that the policy compiles against, taken from the contract.

use atena_policy::{CatalogField, DatasetFields, FieldCatalog, Sensitivity};
use atena_proto::v1;

use crate::convert::dataset::known_dataset;

/// Every leaf field of every dataset with its sensitivity, as `proto/atena/v1` states them.
#[must_use]
pub fn field_catalog() -> FieldCatalog {
    FieldCatalog::new(
        atena_proto::DATASET_FIELDS
            .iter()
            .filter_map(|(dataset, fields)| {
                Some(DatasetFields {
                    dataset: known_dataset(*dataset)?,
                    fields: fields
                        .iter()
                        .map(|field| CatalogField {
                            path: field.path.to_owned(),
                            numbers: field.numbers.to_vec(),
                            sensitivity: sensitivity(field.sensitivity),
                        })
                        .collect(),
                })
            })
            .collect(),
    )
}

fn sensitivity(stated: v1::Sensitivity) -> Sensitivity {
    match stated {
        // The build refuses a field without a sensitivity; should one appear all the same, it counts as the strictest.
        v1::Sensitivity::PersonalNumber | v1::Sensitivity::Unspecified => Sensitivity::PersonalNumber,
        v1::Sensitivity::Identifying => Sensitivity::Identifying,
        v1::Sensitivity::Pension => Sensitivity::Pension,
        v1::Sensitivity::System => Sensitivity::System,
    }
}
