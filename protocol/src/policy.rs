//! The consortium's rules on what may be released. They stand in the genesis file; a hospital can only tighten them.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Statistical disclosure control of a consortium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosurePolicy {
    /// Joint counts from 1 up to one less than this are suppressed (CMS cell suppression policy: 11).
    pub min_joint_count: u32,
    /// A hospital keeps its own counts from 1 up to one less than this to itself (OHDSI `minCellCount`: 5).
    pub min_site_count: u32,
    /// How many hospitals must contribute to a round, at least 3: with two, each could subtract its own.
    pub min_hospitals: u32,
}

impl Default for DisclosurePolicy {
    fn default() -> Self {
        Self { min_joint_count: 11, min_site_count: 5, min_hospitals: 3 }
    }
}

/// A policy that would not protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Fewer than three hospitals.
    #[error("min_hospitals must be at least 3: of two hospitals each could subtract its own numbers; raise it")]
    TooFewHospitals,
    /// A threshold that suppresses nothing.
    #[error("min_joint_count and min_site_count must be from 2 to 1000000; 11 and 5 are usual")]
    Threshold,
    /// A hospital's own configuration is looser than the consortium's policy.
    #[error("{field} is {own} here, but the consortium's policy is {consortium}; a hospital may only raise it")]
    Looser {
        /// Which threshold.
        field: &'static str,
        /// What the hospital configured.
        own: u32,
        /// What the consortium agreed on.
        consortium: u32,
    },
}

impl DisclosurePolicy {
    /// Checks that the policy protects.
    ///
    /// # Errors
    /// The first threshold that does not.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.min_hospitals < 3 {
            return Err(PolicyError::TooFewHospitals);
        }
        let sane = |k: u32| (2..=1_000_000).contains(&k);
        if sane(self.min_joint_count) && sane(self.min_site_count) { Ok(()) } else { Err(PolicyError::Threshold) }
    }

    /// Checks that `own` is nowhere looser than `self`.
    ///
    /// # Errors
    /// [`PolicyError::Looser`] for the first threshold that is.
    pub fn check_tightening(&self, own: &Self) -> Result<(), PolicyError> {
        let pairs = [
            ("min_joint_count", own.min_joint_count, self.min_joint_count),
            ("min_site_count", own.min_site_count, self.min_site_count),
            ("min_hospitals", own.min_hospitals, self.min_hospitals),
        ];
        match pairs.into_iter().find(|(_, own, consortium)| own < consortium) {
            Some((field, own, consortium)) => Err(PolicyError::Looser { field, own, consortium }),
            None => own.check(),
        }
    }
}
