//! Datasets: what is kept and released as a unit.

use std::fmt;

use crate::identifier::IdentifierError;

/// A dataset of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dataset {
    /// 宛名.
    Person,
    /// 資格.
    Qualification,
    /// 納付.
    Payment,
    /// 免除.
    Exemption,
    /// 給付.
    Benefit,
    /// 福祉年金.
    WelfarePension,
}

impl Dataset {
    /// Every dataset, in the order of the contract.
    pub const ALL: [Self; 6] =
        [Self::Person, Self::Qualification, Self::Payment, Self::Exemption, Self::Benefit, Self::WelfarePension];

    /// The datasets of pension records.
    pub const PENSION: [Self; 5] =
        [Self::Qualification, Self::Payment, Self::Exemption, Self::Benefit, Self::WelfarePension];

    /// The name in rules and texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Qualification => "qualification",
            Self::Payment => "payment",
            Self::Exemption => "exemption",
            Self::Benefit => "benefit",
            Self::WelfarePension => "welfare_pension",
        }
    }

    /// The Japanese term.
    #[must_use]
    pub fn japanese(self) -> &'static str {
        match self {
            Self::Person => "宛名",
            Self::Qualification => "資格",
            Self::Payment => "納付",
            Self::Exemption => "免除",
            Self::Benefit => "給付",
            Self::WelfarePension => "福祉年金",
        }
    }

    /// Parses the name in rules and texts.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        Self::ALL.into_iter().find(|dataset| dataset.as_str() == text).ok_or(IdentifierError::Malformed {
            expected: "person, qualification, payment, exemption, benefit or welfare_pension",
        })
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_is_found_by_its_name_alone() {
        for dataset in Dataset::ALL {
            assert_eq!(Dataset::parse(dataset.as_str()), Ok(dataset));
            assert!(Dataset::parse(dataset.japanese()).is_err());
        }
        assert!(Dataset::parse("").is_err() && Dataset::parse("Person").is_err());
    }

    #[test]
    fn pension_is_everything_but_the_person() {
        let pension: Vec<_> = Dataset::ALL.into_iter().filter(|dataset| *dataset != Dataset::Person).collect();
        assert_eq!(pension, Dataset::PENSION);
    }
}
