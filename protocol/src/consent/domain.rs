//! Classes of data.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::vocabulary::{Vocabulary, Word};

/// A class of data: an OMOP domain, or one of what OMOP has no domain for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Demographics: the PERSON and OBSERVATION_PERIOD tables.
    Person,
    /// Diagnoses: CONDITION_OCCURRENCE, CONDITION_ERA.
    Condition,
    /// Medication: DRUG_EXPOSURE, DRUG_ERA.
    Drug,
    /// Laboratory values and vital signs: MEASUREMENT.
    Measurement,
    /// Other facts: OBSERVATION.
    Observation,
    /// Procedures: PROCEDURE_OCCURRENCE.
    Procedure,
    /// Encounters: VISIT_OCCURRENCE, VISIT_DETAIL.
    Visit,
    /// Devices and implants: DEVICE_EXPOSURE.
    Device,
    /// DEATH.
    Death,
    /// Specimens: SPECIMEN.
    Specimen,
    /// Images and what was read from them.
    Imaging,
    /// Documents: letters, reports, NOTE.
    Document,
    /// Insurance and costs: PAYER_PLAN_PERIOD, COST.
    Billing,
    /// Sequences and variants.
    Genomics,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 14] = [
        Self::Person,
        Self::Condition,
        Self::Drug,
        Self::Measurement,
        Self::Observation,
        Self::Procedure,
        Self::Visit,
        Self::Device,
        Self::Death,
        Self::Specimen,
        Self::Imaging,
        Self::Document,
        Self::Billing,
        Self::Genomics,
    ];

    /// The name as files and screens write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Condition => "condition",
            Self::Drug => "drug",
            Self::Measurement => "measurement",
            Self::Observation => "observation",
            Self::Procedure => "procedure",
            Self::Visit => "visit",
            Self::Device => "device",
            Self::Death => "death",
            Self::Specimen => "specimen",
            Self::Imaging => "imaging",
            Self::Document => "document",
            Self::Billing => "billing",
            Self::Genomics => "genomics",
        }
    }
}

impl Word for Domain {
    fn since(&self) -> Vocabulary {
        match self {
            Self::Person
            | Self::Condition
            | Self::Drug
            | Self::Measurement
            | Self::Observation
            | Self::Procedure
            | Self::Visit
            | Self::Device
            | Self::Death
            | Self::Specimen => Vocabulary::RESEARCH,
            Self::Imaging | Self::Document | Self::Billing | Self::Genomics => Vocabulary::CARE,
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A domain that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such data domain; use person, condition, drug, measurement, observation, procedure, visit, device, death, \
     specimen, imaging, document, billing or genomics"
)]
pub struct UnknownDomain;

impl FromStr for Domain {
    type Err = UnknownDomain;

    fn from_str(text: &str) -> Result<Self, UnknownDomain> {
        Self::ALL.into_iter().find(|d| d.name() == text).ok_or(UnknownDomain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_is_read_as_it_is_written() {
        for domain in Domain::ALL {
            assert_eq!(domain.name().parse(), Ok(domain));
        }
        assert_eq!("Person".parse::<Domain>(), Err(UnknownDomain));
    }
}
