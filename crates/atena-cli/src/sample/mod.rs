//! A synthetic population, the same for the same seed: nobody in it exists.
//!
//! Personal numbers have valid check digits and are unique; names hold the characters that real registers hold (IVS, plane-16
//! private use, U+FA19); people are known to several systems under different local numbers; pension histories obey the rules of the
//! contract.

mod history;
mod names;
mod resident;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use atena_proto::RECORD_DATASETS;

use self::history::History;
use self::resident::{Population, SYSTEMS};
use crate::csv_io::{Bom, PeopleWriter, RecordWriter};
use crate::error::CliError;
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

/// People between two steps of the progress bar.
const PROGRESS_EVERY: u32 = 256;

/// Makes `people/<system>.csv` and `records/<dataset>.csv` below `out`. `progress` hears how many people are done.
///
/// Each resident is made once, and goes into all files at once.
pub(crate) fn generate(
    persons: u32,
    seed: u64,
    out: &Path,
    mut progress: impl FnMut(u64),
) -> Result<SampleSummary, SampleError> {
    let population = Population::new(seed);
    let mut systems = Vec::new();
    for system in &SYSTEMS {
        let place = Place::create(out, Path::new("people").join(format!("{}.csv", system.id)))?;
        let writer = PeopleWriter::new(place.open()?, Bom::With).map_err(|error| place.failed(&error))?;
        systems.push((system, place, writer));
    }
    let mut datasets = Vec::new();
    for dataset in RECORD_DATASETS {
        let place = Place::create(out, Path::new("records").join(format!("{}.csv", terms::dataset_id(dataset))))?;
        let writer = RecordWriter::new(dataset, place.open()?, Bom::With).map_err(|error| place.failed(&error))?;
        datasets.push((dataset, place, writer));
    }
    for index in 0..persons {
        let mut resident = population.resident(index);
        for (system, place, writer) in &mut systems {
            if let Some(registration) = resident.registration(system) {
                writer.write(registration).map_err(|error| place.failed(&error))?;
            }
        }
        let history = History::new(&resident);
        for (dataset, place, writer) in &mut datasets {
            for record in history.records(*dataset) {
                writer.write(&record).map_err(|error| place.failed(&error))?;
            }
        }
        if index % PROGRESS_EVERY == 0 {
            progress(index.into());
        }
    }
    let mut files = Vec::new();
    for (_, place, writer) in systems {
        let rows = writer.finish().map_err(|error| place.failed(&error))?;
        files.push((place.file, rows));
    }
    for (_, place, writer) in datasets {
        let rows = writer.finish().map_err(|error| place.failed(&error))?;
        files.push((place.file, rows));
    }
    Ok(SampleSummary { files })
}

/// Where one file goes.
struct Place {
    /// Below the output directory.
    file: PathBuf,
    path: PathBuf,
}

// === impl Place ===

impl Place {
    /// Makes the folder.
    fn create(out: &Path, file: PathBuf) -> Result<Self, SampleError> {
        let path = out.join(&file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| SampleError::File { path: path.clone(), source })?;
        }
        Ok(Self { file, path })
    }

    fn open(&self) -> Result<File, SampleError> {
        File::create(&self.path).map_err(|source| SampleError::File { path: self.path.clone(), source })
    }

    fn failed(&self, error: &CliError) -> SampleError {
        SampleError::Rows { path: self.path.clone(), reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use atena_proto::v1::Dataset;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::hexadecimal::hexadecimal;

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
    fn a_seed_makes_the_same_bytes_for_ever() {
        let mut digest = Sha256::new();
        made(1).iter().for_each(|(_, bytes)| digest.update(bytes));
        let expected = "3ef70c46eef45c20707ef1a41ca2e87d99d7ac5cca069b36ee9d5cd6d29f4705";
        assert_eq!(hexadecimal(&digest.finalize()), expected, "only a new column of the contract may change this");
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
        let school_affairs = SYSTEMS.iter().find(|system| system.id == "school-affairs").unwrap();
        for index in 0..500 {
            let mut resident = population.resident(index);
            // Asked after a system that gets the number, so that it would be left over.
            resident.registration(&SYSTEMS[0]).unwrap();
            if let Some(registration) = resident.registration(school_affairs) {
                assert!(registration.new_without_personal_number);
                assert!(registration.person.as_ref().unwrap().personal_number.is_empty());
            }
        }
    }

    #[test]
    fn the_first_person_is_known_everywhere_and_has_a_pension() {
        let mut first = Population::new(7).resident(0);
        assert!(SYSTEMS.iter().all(|system| first.registration(system).is_some()));
        assert!(!History::new(&first).records(Dataset::Benefit).is_empty());
    }
}
