//! Why a hospital did not contribute, for its own people and for others.

use consilium_engine::cells::{BlindingError, CiphertextError, ContributionError};
use consilium_engine::cohort::CohortError;
use consilium_engine::disclosure::guarded::GuardPlanError;
use consilium_engine::disclosure::lattice::LatticeError;
use consilium_engine::guard::GuardError;
use consilium_engine::privacy::PrivacyError;
use consilium_engine::statistics::StatisticsError;
use consilium_engine::store::StoreError;
use consilium_engine::worker::Refusal;
use consilium_protocol::keys::NoRandomness;
use consilium_protocol::sealing::SealingError;

use super::cohorts::CohortsError;
use super::pairs::PairsError;
use crate::worker::{Trouble, WorkerError};

/// The kind that stands for every error in which patients' rows had a part.
pub const LOCAL: &str = "local";

/// Why nothing could be computed over the tables. Carries no value of a patient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// The tables cannot be read.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The query could not be run.
    #[error("the cohort: {}", for_steward(.0))]
    Cohort(#[from] CohortError),
    /// The statistics could not be computed.
    #[error("the statistics: {0}")]
    Statistics(#[from] StatisticsError),
    /// The study cannot be guarded.
    #[error("the guard: {0}")]
    Lattice(#[from] LatticeError),
    /// The worker died, was killed, or did not keep to the protocol.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl From<Trouble> for ComputeError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(Refusal::Store(error)) => error.into(),
            Trouble::Refused(Refusal::Cohort(error)) => error.into(),
            Trouble::Refused(Refusal::Statistics(error)) => error.into(),
            Trouble::Refused(_) => WorkerError::Protocol.into(),
            Trouble::Worker(error) => error.into(),
        }
    }
}

impl ComputeError {
    /// The kind of error, one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Cohort(error) => error.kind(),
            Self::Statistics(StatisticsError::Overflow { .. }) => "overflow",
            Self::Statistics(_) => "statistics",
            Self::Lattice(_) => "guard",
            Self::Worker(error) => error.kind(),
        }
    }

    /// Whether trying again costs as much as the first time, and is not likely to end otherwise: what used up its limits, what
    /// ended the worker, and a database that refuses.
    const fn is_costly(&self) -> bool {
        match self {
            Self::Worker(_) => true,
            Self::Store(error) | Self::Cohort(CohortError::Store(error)) => error.waits_for_somebody(),
            Self::Cohort(error) => matches!(
                error,
                CohortError::Memory { .. }
                    | CohortError::TimedOut { .. }
                    | CohortError::TooManyRows { .. }
                    | CohortError::Planner
                    | CohortError::Internal
            ),
            Self::Statistics(_) | Self::Lattice(_) => false,
        }
    }

    /// The kind as others than the hospital may hear it: an error in which rows had a part is a bit about them.
    pub const fn told(&self) -> &'static str {
        match self {
            // How many are enrolled is on the ledger.
            Self::Statistics(StatisticsError::Overflow { .. }) => self.kind(),
            Self::Store(_) | Self::Statistics(_) | Self::Worker(_) => LOCAL,
            Self::Cohort(error) if error.depends_on_data() => LOCAL,
            Self::Cohort(_) | Self::Lattice(_) => self.kind(),
        }
    }
}

/// Why this hospital did not contribute. Carries no value of a patient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Nothing could be computed.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The study has no layout of cells.
    #[error("the statistics: {0}")]
    Layout(#[from] StatisticsError),
    /// The round cannot be blinded.
    #[error("the blinding: {0}")]
    Blinding(#[from] BlindingError),
    /// There is nothing to blind with.
    #[error("the pairs: {0}")]
    Pairs(#[from] PairsError),
    /// The study's key cannot be used.
    #[error("the study's key: {0}")]
    Key(#[from] CiphertextError),
    /// The cells could not be encrypted.
    #[error("the encryption: {0}")]
    Encryption(#[from] ContributionError),
    /// This hospital's own policy is stricter than the study.
    #[error(
        "this hospital's own policy demands {0}, which the study does not keep to; change [policy] in consilium.toml, or \
         agree with the researcher on another study"
    )]
    Policy(&'static str),
    /// The cohort is too close to an earlier one, or it is not known which those were.
    #[error("earlier cohorts: {0}")]
    Cohorts(#[from] CohortsError),
    /// The study cannot be guarded.
    #[error("the guard: {0}")]
    GuardPlan(#[from] GuardPlanError),
    /// The counts could not be encrypted.
    #[error("the guard: {0}")]
    Guard(#[from] GuardError),
    /// The noise could not be drawn.
    #[error("the noise: {0}")]
    Noise(#[from] PrivacyError),
    /// The aggregator's key cannot be sealed to.
    #[error("the aggregator's key: {0}")]
    Sealing(#[from] SealingError),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The ledger names no roles for a guarded round.
    #[error("the round is guarded, but has no roles; wait for the next")]
    NoRoles,
}

impl VaultError {
    /// Whether trying again costs as much as the first time, and is not likely to end otherwise.
    pub const fn is_costly(&self) -> bool {
        matches!(self, Self::Compute(error) if error.is_costly())
    }

    /// The kind of error, one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Compute(error) => error.kind(),
            Self::Layout(_) => "statistics",
            Self::Blinding(_) => "blinding",
            Self::Pairs(PairsError::Pairing(_)) => "pairing",
            Self::Pairs(_) => "pairs",
            Self::Key(_) => "study_key",
            Self::Encryption(_) => "encryption",
            Self::Policy(_) => "own_policy",
            Self::Cohorts(CohortsError::Rerun(_)) => "rerun",
            Self::Cohorts(_) => "cohorts",
            Self::GuardPlan(_) | Self::Guard(_) | Self::Sealing(_) | Self::NoRoles => "guard",
            Self::Noise(_) => "noise",
            Self::Randomness(_) => "randomness",
        }
    }

    /// The kind as others than the hospital may hear it: an error in which rows had a part is a bit about them.
    pub const fn told(&self) -> &'static str {
        match self {
            Self::Compute(error) => error.told(),
            Self::Cohorts(_) => LOCAL,
            Self::Layout(_)
            | Self::Blinding(_)
            | Self::Pairs(_)
            | Self::Key(_)
            | Self::Encryption(_)
            | Self::Policy(_)
            | Self::GuardPlan(_)
            | Self::Guard(_)
            | Self::Noise(_)
            | Self::Randomness(_)
            | Self::Sealing(_)
            | Self::NoRoles => self.kind(),
        }
    }
}

/// A cohort's error with a next step for the hospital's own people, where the error's is the researcher's.
pub fn for_steward(error: &CohortError) -> String {
    match error {
        CohortError::UnknownTable { name, .. } => {
            format!("there is no table `{name}` in this hospital's store; add it to the store's folder")
        }
        CohortError::UnknownColumn { name, .. } => {
            format!("there is no column `{name}` in this hospital's tables; add it to the export")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_had_a_part_in_is_told_to_nobody() {
        let of_the_query = ComputeError::Cohort(CohortError::UnknownTable { name: "device".to_string(), near: None });
        assert_eq!((of_the_query.kind(), of_the_query.told()), ("unknown_table", "unknown_table"));
        for error in [
            ComputeError::Cohort(CohortError::Evaluation),
            ComputeError::Cohort(CohortError::SubjectNotAllowed),
            ComputeError::Store(StoreError::NoPerson),
            ComputeError::Statistics(StatisticsError::TooManyRows),
            ComputeError::Worker(WorkerError::Killed),
            Trouble::Refused(Refusal::Store(StoreError::NoPerson)).into(),
        ] {
            assert_eq!(VaultError::from(error).told(), LOCAL);
        }
    }
}
