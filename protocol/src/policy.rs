//! The consortium's rules on what may be released. They stand in the genesis file; a hospital can only tighten them.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::privacy::MicroRho;
use crate::study::Protection;

/// Statistical disclosure control of a consortium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisclosurePolicy {
    /// Joint counts from 1 up to one less than this are suppressed (CMS cell suppression policy: 11).
    pub min_joint_count: u32,
    /// In open studies, a hospital keeps its own counts from 1 up to one less than this to itself (OHDSI
    /// `minCellCount`: 5).
    pub min_site_count: u32,
    /// How many hospitals must contribute to a round, at least 3: with two, each could subtract its own.
    pub min_hospitals: u32,
    /// Against how many curious hospitals of a round, who work together and know their own numbers, joint counts of guarded
    /// studies stay large without theirs. With 0, no released number is one hospital's own.
    pub insiders: u32,
    /// Whether a third hospital of a guarded round repeats what is decided under encryption, so that an aggregator alone cannot
    /// release what it likes.
    pub witness: bool,
    /// How many sets of keys a custodian registers for a guarded round. One is drawn, and the others are opened and looked at by every
    /// hospital: keys that are not what they should be are found in all but one of so many rounds. 1: none is opened.
    pub key_sets: u32,
    /// Whether a joint count of 0 is shown (CMS allows it) or suppressed like a small one.
    pub show_zeros: bool,
    /// Counts are shown rounded to multiples of this; 1 shows them as they are.
    pub rounding: u32,
    /// How many studies a researcher may propose within [`Self::quota_days`].
    pub studies_per_researcher: u32,
    /// The length of the period that the quota is over, in days.
    pub quota_days: u32,
    /// Whether studies may be open: their joint cells come to the researcher's program before the small ones are
    /// suppressed there. Guarded and private studies are always allowed.
    pub open_studies: bool,
    /// How much privacy loss the patients of each hospital may suffer by private studies, over all time, in millionths
    /// of ρ (zero-concentrated differential privacy).
    pub privacy_budget: MicroRho,
    /// A contribution leaves a hospital at the end of a whole slot of so many seconds after its round opened, whatever it
    /// took: how long a query takes depends on rows.
    pub slot_seconds: u32,
}

impl Default for DisclosurePolicy {
    fn default() -> Self {
        Self {
            min_joint_count: 11,
            min_site_count: 5,
            min_hospitals: 3,
            insiders: 0,
            witness: false,
            key_sets: 1,
            show_zeros: true,
            rounding: 1,
            studies_per_researcher: 50,
            quota_days: 7,
            open_studies: false,
            privacy_budget: MicroRho::new(1_000_000),
            slot_seconds: 15,
        }
    }
}

/// The most sets of keys that a policy asks for.
pub const MAX_KEY_SETS: u32 = 16;

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
    /// More insiders than a round may have others.
    #[error(
        "insiders must be at most min_hospitals - 2: without theirs, two hospitals' numbers have to be left; 0 is usual, 1 hides \
         many groups of fewer than 50"
    )]
    Insiders,
    /// No set of keys, or more than anybody waits for.
    #[error(
        "key_sets must be from 1 to {MAX_KEY_SETS}: each is made again by every hospital, which takes it a second; 1 opens none, 8 is usual \
             otherwise"
    )]
    KeySets,
    /// A rounding base that hides everything, or divides by zero.
    #[error("rounding must be from 1 to 1000; 1 shows counts as they are, 5 is usual where they are rounded")]
    Rounding,
    /// A quota that allows nothing, or a period that never ends.
    #[error("studies_per_researcher must be at least 1, and quota_days from 1 to 3660; 50 in 7 days is usual")]
    Quota,
    /// Slots that hide nothing, or last longer than anybody waits.
    #[error("slot_seconds must be from 1 to 3600; 15 is usual, 1 tells more of how long a query took")]
    Slot,
    /// A hospital's own configuration allows what the consortium's policy does not.
    #[error("{field} is allowed here, but not by the consortium's policy; a hospital may only forbid more")]
    Allowed {
        /// Which permission.
        field: &'static str,
    },
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
    /// Whether what a custodian says of what passed is believed where a group would be new by it. Where its keys are not taken on trust
    /// ([`Self::key_sets`]), that is not either.
    pub const fn believes_custodians(&self) -> bool {
        self.key_sets <= 1
    }

    /// Checks that the policy protects.
    ///
    /// # Errors
    /// The first threshold that does not.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.min_hospitals < 3 {
            return Err(PolicyError::TooFewHospitals);
        }
        let sane = |k: u32| (2..=1_000_000).contains(&k);
        if !sane(self.min_joint_count) || !sane(self.min_site_count) {
            return Err(PolicyError::Threshold);
        }
        if self.insiders > self.min_hospitals - 2 {
            return Err(PolicyError::Insiders);
        }
        if !(1..=MAX_KEY_SETS).contains(&self.key_sets) {
            return Err(PolicyError::KeySets);
        }
        // A larger base would show groups that are not small as 0.
        if !(1..=self.min_joint_count.min(1_000)).contains(&self.rounding) {
            return Err(PolicyError::Rounding);
        }
        if self.studies_per_researcher == 0 || !(1..=3_660).contains(&self.quota_days) {
            return Err(PolicyError::Quota);
        }
        if !(1..=3_600).contains(&self.slot_seconds) {
            return Err(PolicyError::Slot);
        }
        Ok(())
    }

    /// Checks that `own` is nowhere looser than `self`.
    ///
    /// # Errors
    /// [`PolicyError::Looser`] or [`PolicyError::Allowed`] for the first field that is.
    pub fn check_tightening(&self, own: &Self) -> Result<(), PolicyError> {
        let at_least = [
            ("min_joint_count", own.min_joint_count, self.min_joint_count),
            ("min_site_count", own.min_site_count, self.min_site_count),
            ("min_hospitals", own.min_hospitals, self.min_hospitals),
        ];
        if let Some((field, own, consortium)) = at_least.into_iter().find(|(_, own, consortium)| own < consortium) {
            return Err(PolicyError::Looser { field, own, consortium });
        }
        if own.open_studies && !self.open_studies {
            return Err(PolicyError::Allowed { field: "open_studies" });
        }
        if own.privacy_budget > self.privacy_budget {
            return Err(PolicyError::Allowed { field: "a larger privacy_budget" });
        }
        own.check()
    }

    /// [`Self::slot_seconds`], in milliseconds.
    pub const fn slot_ms(&self) -> u64 {
        self.slot_seconds as u64 * 1_000
    }

    /// Whether a study of this protection may be proposed.
    pub const fn allows(&self, protection: &Protection) -> bool {
        match protection {
            Protection::Open => self.open_studies,
            Protection::Guarded | Protection::Private { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_protects_and_allows_no_open_studies() {
        let default = DisclosurePolicy::default();
        assert_eq!(default.check(), Ok(()));
        assert!(!default.allows(&Protection::Open));
        assert!(default.allows(&Protection::Guarded));
    }

    #[test]
    fn a_policy_has_these_bytes() {
        let bytes = borsh::to_vec(&DisclosurePolicy::default()).expect("bytes");
        let (k, counts, quota) = ("0b000000050000000300000000000000", "00010000000101000000", "3200000007000000");
        let (open, budget, slot) = ("00", "40420f0000000000", "0f000000");
        assert_eq!(hex::encode(bytes), [k, counts, quota, open, budget, slot].concat());
    }

    #[test]
    fn a_policy_that_does_not_protect_is_refused() {
        let with = |change: fn(&mut DisclosurePolicy)| {
            let mut policy = DisclosurePolicy::default();
            change(&mut policy);
            policy.check()
        };
        assert_eq!(with(|policy| policy.min_hospitals = 2), Err(PolicyError::TooFewHospitals));
        assert_eq!(with(|policy| policy.insiders = 1), Ok(()));
        assert_eq!(with(|policy| policy.insiders = 2), Err(PolicyError::Insiders), "of three hospitals");
        assert_eq!(with(|policy| policy.key_sets = 0), Err(PolicyError::KeySets));
        assert_eq!(with(|policy| policy.key_sets = 17), Err(PolicyError::KeySets));
        assert_eq!(with(|policy| policy.key_sets = 16), Ok(()));
        assert_eq!(with(|policy| policy.min_joint_count = 1), Err(PolicyError::Threshold));
        assert_eq!(with(|policy| policy.min_site_count = 0), Err(PolicyError::Threshold));
        assert_eq!(with(|policy| policy.rounding = 0), Err(PolicyError::Rounding));
        assert_eq!(with(|policy| policy.studies_per_researcher = 0), Err(PolicyError::Quota));
        assert_eq!(with(|policy| policy.quota_days = 0), Err(PolicyError::Quota));
        assert_eq!(with(|policy| policy.slot_seconds = 0), Err(PolicyError::Slot));
        assert_eq!(with(|policy| policy.slot_seconds = 3_601), Err(PolicyError::Slot));
        assert_eq!(with(|policy| policy.slot_seconds = 1), Ok(()));
        assert_eq!(with(|policy| policy.slot_seconds = 3_600), Ok(()));
    }

    #[test]
    fn a_hospital_can_only_tighten() {
        let consortium = DisclosurePolicy { open_studies: true, ..DisclosurePolicy::default() };
        let own = |change: fn(&mut DisclosurePolicy)| {
            let mut policy = consortium;
            change(&mut policy);
            consortium.check_tightening(&policy)
        };
        assert_eq!(own(|_| {}), Ok(()));
        assert_eq!(own(|policy| policy.open_studies = false), Ok(()));
        assert_eq!(own(|policy| policy.min_joint_count = 20), Ok(()));
        let looser = |field, own, consortium| Err(PolicyError::Looser { field, own, consortium });
        assert_eq!(own(|policy| policy.min_joint_count = 10), looser("min_joint_count", 10, 11));
        assert_eq!(own(|policy| policy.min_site_count = 4), looser("min_site_count", 4, 5));
        let budget = own(|policy| policy.privacy_budget = MicroRho::new(1_000_001));
        assert_eq!(budget, Err(PolicyError::Allowed { field: "a larger privacy_budget" }));
        let guarded = DisclosurePolicy::default();
        assert_eq!(guarded.check_tightening(&consortium), Err(PolicyError::Allowed { field: "open_studies" }));
    }
}
