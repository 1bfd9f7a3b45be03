//! Datasets: contract ↔ domain.

use atena_domain::Dataset;
use atena_proto::v1;

use crate::error::{CallError, Reason};

/// The domain's name of a dataset of the contract; `None` for unspecified.
pub(crate) fn known_dataset(dataset: v1::Dataset) -> Option<Dataset> {
    match dataset {
        v1::Dataset::Unspecified => None,
        v1::Dataset::Person => Some(Dataset::Person),
        v1::Dataset::Qualification => Some(Dataset::Qualification),
        v1::Dataset::Payment => Some(Dataset::Payment),
        v1::Dataset::Exemption => Some(Dataset::Exemption),
        v1::Dataset::Benefit => Some(Dataset::Benefit),
        v1::Dataset::WelfarePension => Some(Dataset::WelfarePension),
    }
}

/// The contract's name of a dataset.
pub(crate) fn wire_dataset(dataset: Dataset) -> v1::Dataset {
    match dataset {
        Dataset::Person => v1::Dataset::Person,
        Dataset::Qualification => v1::Dataset::Qualification,
        Dataset::Payment => v1::Dataset::Payment,
        Dataset::Exemption => v1::Dataset::Exemption,
        Dataset::Benefit => v1::Dataset::Benefit,
        Dataset::WelfarePension => v1::Dataset::WelfarePension,
    }
}

/// A dataset of pension records, as a request names it.
pub(crate) fn parse_pension_dataset(number: i32) -> Result<Dataset, CallError> {
    v1::Dataset::try_from(number)
        .ok()
        .and_then(known_dataset)
        .filter(|dataset| *dataset != Dataset::Person)
        .ok_or_else(|| CallError::new(Reason::UnknownDataset, "no such dataset of pension records"))
}

/// The datasets a pull asks for: at least one, each once.
pub(crate) fn parse_pension_datasets(numbers: &[i32]) -> Result<Vec<Dataset>, CallError> {
    let mut datasets = Vec::new();
    for number in numbers {
        let dataset = parse_pension_dataset(*number)?;
        if !datasets.contains(&dataset) {
            datasets.push(dataset);
        }
    }
    if datasets.is_empty() {
        return Err(CallError::new(Reason::UnknownDataset, "name at least one dataset"));
    }
    Ok(datasets)
}
