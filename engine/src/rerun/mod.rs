//! Refusal of a re-run whose cohort is nearly that of an earlier one.
//!
//! Two joint results over cohorts that differ by one patient differ by that patient. It need not be meant: a consent is
//! revoked, the study is run again, and the revocation has told what it should have taken away. So each hospital
//! remembers, encrypted, the cohort of everything that it contributed to ([`CohortMemory`]), and does not contribute where
//! its new cohort N is too close to what is remembered. With X and Y remembered cohorts, each as a function that is 1 on
//! its patients, it is too close when one of
//!
//! | combination | what it is |
//! |---|---|
//! | N - X | one cohort with a few patients more, fewer or other; a small group, padded, next to its padding |
//! | N + X - Y, N + Y - X | a complement within a remembered cohort; a padded small group, its padded complement, and all |
//! | X + Y - N | a cohort put together from two remembered ones, but for a few |
//!
//! is not 0 for 1 to k - 1 patients of this hospital. Where it is 0 for all, nothing follows about patients that did not
//! follow before, but something about hospitals, if not the same ones took part each time: the difference of what four and
//! what three of them computed over the same patients is the fourth one's own numbers. So then the rosters must be the
//! same, and a cohort that is the same as a remembered one is fine, unless what its patients allow to be read has changed:
//! one who revokes a part would be told by the difference as well.
//!
//! The hospital can only look at its own patients, so the rule is stricter than the joint numbers demand: others' cohorts
//! may differ by more. It must be, as others' may differ by nothing. For the same reason a hospital that has only a few
//! patients in either of two studies, 1 to k - 1 in both together, takes part in one of them.
//!
//! That a hospital refuses is seen, and depends on its patients: k is the policy's, so that nobody can choose what a
//! refusal says, but it says that 1 to k - 1 patients tell two cohorts apart (K. Kenthapadi, N. Mishra, K. Nissim,
//! "Simulatable Auditing", PODS 2005). Stewards who see a study nearly like an earlier one reject it before that.
//!
//! What it does not see: differences built from three or more remembered cohorts and the new one; a small difference within
//! a group where the cohorts as a whole differ by k or more; corrections of the records of the same patients; and other
//! statistics over the same cohort.
//!
//! Sources: D. E. Denning, P. J. Denning and M. D. Schwartz, "The Tracker: A Threat to Statistical Database Security", ACM
//! Transactions on Database Systems 4, 1979; the advice on repeated analyses of OpenSAFELY's output checking.

mod closeness;
mod format;
mod key;
mod memory;
mod places;
mod sealed;
mod stream;
mod subjects;

#[cfg(test)]
mod attacks;

use consilium_protocol::ids::{RoundNumber, StudyId};

pub use format::Known;
pub use key::{MemoryFormatError, MemoryKey};
pub use memory::{Basis, CohortMemory, Standing};
pub use places::{Placed, union};
pub use subjects::SubjectSet;

/// Why a hospital does not contribute. It says which study is too close, never by how many patients or by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RerunError {
    /// The cohort is nearly one that was contributed.
    #[error(
        "the cohort is nearly that of study {study}, so a few patients could be told from the two results; ask the \
         researcher for a cohort that is the same, or differs by more patients"
    )]
    TooClose {
        /// The earlier study.
        study: StudyId,
    },
    /// The cohort, and two that were contributed, nearly add up.
    #[error(
        "the cohort nearly follows from those of studies {} and {}, so a few patients could be told from the three \
         results; ask the researcher for a cohort that is the same, or differs by more patients", studies[0], studies[1]
    )]
    Complement {
        /// The earlier studies.
        studies: [StudyId; 2],
    },
    /// The cohort was contributed together with other hospitals.
    #[error(
        "the cohort is that of study {study}, or follows from it, and other hospitals took part in that one, so a single \
         hospital's own numbers could be told from the two results; have it asked for again when the same hospitals take \
         part"
    )]
    OtherRoster {
        /// The earlier study.
        study: StudyId,
    },
    /// Another cohort was contributed to the same round.
    #[error(
        "another cohort was contributed to round {round} of study {study} already; wait for the round to end, then take \
         part in the next"
    )]
    AlreadyContributed {
        /// The study.
        study: StudyId,
        /// The round.
        round: RoundNumber,
    },
    /// More patients than a memory can hold.
    #[error("the memory of cohorts holds at most 4294967295 patients; narrow the cohort")]
    Full,
}
