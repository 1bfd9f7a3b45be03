//! The generated types of the contract `atena.v1` (`proto/atena/v1/*.proto`), and what the contract says of the sensitivity of
//! each field of a dataset.
//!
//! Deliberately absent: logic. Nothing here decides, validates or converts; wire types stop at the door of the gateway. No
//! message has `Debug`: what can't be formatted can't end up in a log (invariant *number-confinement*).
//!
//! ```
//! let (dataset, fields) = atena_proto::DATASET_FIELDS[0];
//! assert_eq!(dataset, atena_proto::v1::Dataset::Person);
//! assert_eq!(fields[0].path, "personal_number");
//! assert_eq!(fields[0].sensitivity, atena_proto::v1::Sensitivity::PersonalNumber);
//! ```

use v1::{Dataset, Sensitivity};

pub mod arriving;
pub mod delivery;
pub mod released;

/// The generated messages, clients and servers of package `atena.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated from the commented contract"
)]
pub mod v1 {
    tonic::include_proto!("atena.v1");
    include!(concat!(env!("OUT_DIR"), "/server/atena.v1.rs"));

    pub use crate::delivery::Delivery;
}

/// The contract as a serialized `google.protobuf.FileDescriptorSet`, imports included: what server reflection answers with.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/atena.v1.descriptors.bin"));

/// One leaf field of a dataset.
#[derive(Clone, Copy)]
pub struct FieldEntry {
    /// Dotted path from the dataset's message, e.g. `months.status`.
    pub path: &'static str,
    /// Field numbers along the path.
    pub numbers: &'static [u32],
    /// What the contract says of it.
    pub sensitivity: Sensitivity,
}

/// Every leaf field of every dataset, in the order of the contract, generated from the `(atena.v1.sensitivity)` options.
pub const DATASET_FIELDS: &[(Dataset, &[FieldEntry])] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// Generated from the contract's enum, so that a loop over datasets takes them from here.
mod datasets {
    use super::v1::Dataset;

    include!(concat!(env!("OUT_DIR"), "/datasets.rs"));
}

pub use datasets::RECORD_DATASETS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_of_the_contract_but_the_person_is_one_of_records() {
        let all = (1..).map_while(|number| Dataset::try_from(number).ok());
        let records: Vec<_> = all.filter(|dataset| *dataset != Dataset::Person).collect();
        assert_eq!(records, RECORD_DATASETS);
        let fields: Vec<_> = DATASET_FIELDS[1..].iter().map(|(dataset, _)| *dataset).collect();
        assert_eq!(fields, RECORD_DATASETS);
    }
}
