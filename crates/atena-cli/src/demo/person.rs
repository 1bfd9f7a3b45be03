//! One person whom three systems know and who has something to show.

use std::collections::HashMap;

use atena_proto::v1::{Dataset, PushedRecord};

use super::{PENSION, PUBLIC_ASSISTANCE, RESIDENT_TAX, Town};
use crate::error::CliError;
use crate::rows;

/// The datasets that may be shown.
const SHOWN: [Dataset; 3] = [Dataset::Qualification, Dataset::Payment, Dataset::Benefit];

/// The person under the numbers of three systems, and what the pension system pushed about them.
pub(super) struct Person {
    /// 宛名番号 of the pension system.
    pub(super) in_pension: String,
    /// 宛名番号 of resident tax.
    pub(super) in_resident_tax: String,
    /// 宛名番号 of public assistance.
    pub(super) in_public_assistance: String,
    /// 個人番号: made up, used to show that it is refused, never written out.
    pub(super) personal_number: String,
    /// What was pushed.
    pub(super) records: Vec<(Dataset, PushedRecord)>,
}

/// Chooses the person with the most datasets, then the most records.
///
/// # Errors
/// A sample file can't be read, or nobody is known to the three systems.
pub(super) fn choose(town: &Town) -> Result<Person, CliError> {
    let pension = numbers_by_personal_number(town, PENSION)?;
    let resident_tax = numbers_by_personal_number(town, RESIDENT_TAX)?;
    let public_assistance = numbers_by_personal_number(town, PUBLIC_ASSISTANCE)?;
    let mut candidates: HashMap<String, Person> = HashMap::new();
    for (personal_number, in_public_assistance) in public_assistance {
        if let (Some(in_pension), Some(in_resident_tax)) =
            (pension.get(&personal_number).cloned(), resident_tax.get(&personal_number).cloned())
        {
            let records = Vec::new();
            let person = Person {
                in_pension: in_pension.clone(),
                in_resident_tax,
                in_public_assistance,
                personal_number,
                records,
            };
            candidates.insert(in_pension, person);
        }
    }
    for dataset in SHOWN {
        for record in rows::records(dataset, &town.records(dataset), None, None)?.rows {
            let (_, record) = record.map_err(|bad| CliError::Rows(bad.message))?;
            if let Some(person) = candidates.get_mut(&record.local_address_number) {
                person.records.push((dataset, record));
            }
        }
    }
    let by_interest = |person: &Person| {
        let datasets = SHOWN.iter().filter(|dataset| person.records.iter().any(|(kind, _)| kind == *dataset)).count();
        (datasets, person.records.len(), person.in_pension.clone())
    };
    let chosen = candidates.into_values().max_by_key(by_interest);
    chosen.ok_or_else(|| {
        CliError::Rows("nobody in the sample is known to all three systems; try more --persons".to_owned())
    })
}

fn numbers_by_personal_number(town: &Town, system: &str) -> Result<HashMap<String, String>, CliError> {
    let mut numbers = HashMap::new();
    for row in rows::people(&town.people(system), None, None)?.rows {
        let (_, registration) = row.map_err(|bad| CliError::Rows(bad.message))?;
        if let Some(person) = registration.person
            && !person.personal_number.is_empty()
        {
            numbers.insert(person.personal_number, registration.local_address_number);
        }
    }
    Ok(numbers)
}
