//! A synthetic population, the same for the same seed: nobody in it exists.
//!
//! Personal numbers have valid check digits and are unique; names hold the characters that real registers hold (IVS, plane-16
//! private use, U+FA19); people are known to several systems under different local numbers; pension histories obey the rules of the
//! contract.

mod history;
mod names;
mod resident;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use atena_proto::RECORD_DATASETS;

use self::resident::{Population, SYSTEMS};
use crate::csv_io::{self, Bom};
use crate::terms;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SampleSummary {
    /// Files below the output directory, with their rows.
    pub(crate) files: Vec<(PathBuf, u64)>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SampleError {
    /// A file or directory can't be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Rows can't be written.
    #[error("cannot write {}: {reason}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Makes `people/<system>.csv` and `records/<dataset>.csv` below `out`. `progress` is told how many people are done.
pub(crate) fn generate(
    persons: u32,
    seed: u64,
    out: &Path,
    mut progress: impl FnMut(u64),
) -> Result<SampleSummary, SampleError> {
    let population = Population::new(seed);
    let passes = u64::try_from(SYSTEMS.len() + RECORD_DATASETS.len()).unwrap_or(u64::MAX);
    let mut steps = 0;
    let mut step = || {
        steps += 1;
        progress(steps / passes);
    };
    let mut files = Vec::new();
    for system in SYSTEMS {
        let people = (0..persons).filter_map(|index| {
            step();
            population.resident(index).registration(system.id)
        });
        let file = Path::new("people").join(format!("{}.csv", system.id));
        let path = out.join(&file);
        let rows = csv_io::write_people(create(&path)?, Bom::With, people);
        files.push((file, rows.map_err(|error| SampleError::Rows { path, reason: error.to_string() })?));
    }
    for dataset in RECORD_DATASETS {
        let records = (0..persons).flat_map(|index| {
            step();
            history::records(&population.resident(index), dataset)
        });
        let file = Path::new("records").join(format!("{}.csv", terms::dataset_id(dataset)));
        let path = out.join(&file);
        let rows = csv_io::write_records(dataset, create(&path)?, Bom::With, records);
        files.push((file, rows.map_err(|error| SampleError::Rows { path, reason: error.to_string() })?));
    }
    Ok(SampleSummary { files })
}

fn create(path: &Path) -> Result<BufWriter<File>, SampleError> {
    let failed = |source| SampleError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(BufWriter::new(File::create(path).map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use atena_proto::v1::Dataset;

    use super::*;

    fn made(seed: u64) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let summary = generate(60, seed, folder.path(), |_| {}).unwrap();
        summary.files.iter().map(|(file, _)| (file.clone(), fs::read(folder.path().join(file)).unwrap())).collect()
    }

    #[test]
    fn one_seed_makes_the_same_bytes_and_another_makes_others() {
        let first = made(1);
        assert_eq!(first, made(1));
        assert_ne!(first, made(2));
        assert_eq!(first.len(), 15);
    }

    #[test]
    fn personal_numbers_are_unique_and_have_their_check_digits() {
        let population = Population::new(7);
        let numbers: HashSet<String> = (0..2_000).map(|index| population.resident(index).personal_number).collect();
        assert_eq!(numbers.len(), 2_000);
        assert!(numbers.iter().all(|number| atena_domain::check_digit::is_personal_number(number)));
    }

    #[test]
    fn systems_without_a_legal_basis_get_no_personal_number() {
        let population = Population::new(7);
        for index in 0..500 {
            if let Some(registration) = population.resident(index).registration("school-affairs") {
                assert!(registration.new_without_personal_number);
                assert!(registration.person.unwrap().personal_number.is_empty());
            }
        }
    }

    #[test]
    fn the_first_person_is_known_everywhere_and_has_a_pension() {
        let first = Population::new(7).resident(0);
        assert!(SYSTEMS.iter().all(|system| first.registration(system.id).is_some()));
        assert!(!history::records(&first, Dataset::Benefit).is_empty());
    }
}
