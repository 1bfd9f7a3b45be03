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
///
/// # Errors
/// `UNKNOWN_DATASET`, or `INVALID_FIELD` for one that is there twice.
pub(crate) fn parse_pension_datasets(numbers: &[i32]) -> Result<Vec<Dataset>, CallError> {
    let mut datasets = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let dataset = parse_pension_dataset(*number)?;
        if datasets.contains(&dataset) {
            return Err(CallError::field(format!("datasets[{index}]"), "names a dataset for the second time"));
        }
        datasets.push(dataset);
    }
    if datasets.is_empty() {
        return Err(CallError::new(Reason::UnknownDataset, "name at least one dataset"));
    }
    Ok(datasets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_twice_or_beyond_the_list_is_refused() {
        let reason = |numbers: &[i32]| parse_pension_datasets(numbers).unwrap_err().reason;
        let error = parse_pension_datasets(&[2, 3, 2]).unwrap_err();
        assert_eq!((error.reason, error.problems[0].field.as_str()), (Reason::InvalidField, "datasets[2]"));
        for unknown in [0, 1, 7, -1, i32::MAX] {
            assert_eq!(reason(&[unknown]), Reason::UnknownDataset, "{unknown}");
        }
        assert_eq!(reason(&[]), Reason::UnknownDataset);
        assert_eq!(parse_pension_datasets(&[3, 2]).unwrap(), [Dataset::Payment, Dataset::Qualification]);
    }
}
