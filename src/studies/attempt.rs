//! One attempt at a duty, and how it ended.

use std::sync::Arc;

use consilium_engine::cells::CiphertextError;
use consilium_ledger::state::reading::ReadingError;
use consilium_ledger::store::ChainError;
use consilium_protocol::hash;
use consilium_protocol::ids::{HospitalId, StudyId};
use consilium_protocol::tx::{Attest, FailRound, OpenRound, Payload, Release};
use tracing::{info, warn};

use super::Studies;
use super::contribution::commitment;
use super::duties::{Due, Duty};
use super::guarded::{self, GuardedError, GuardedRound};
use super::pairs;
use super::rounds::Piece;
use super::sum::{fetch_sum, sum};
use crate::home::FileError;
use crate::replica::count;
use crate::replica::peers::FetchError;
use crate::replica::submit::{self, SubmitError};
use crate::vault::{LOCAL, PairsError, VaultError};

/// Why a duty was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriveError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Ledger(#[from] ChainError),
    #[error(transparent)]
    Consent(#[from] ReadingError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Ciphertext(#[from] CiphertextError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Guarded(#[from] GuardedError),
    #[error(transparent)]
    Pairs(#[from] PairsError),
    #[error("hospital {0:?} contributed what counts for several hospitals; it is not added up")]
    NotOne(HospitalId),
    #[error("the study is not on the ledger")]
    NoStudy,
    #[error(
        "this machine's clock is {behind_s} s behind the ledger's, so it is not known when a contribution may leave; set the \
         clock right (NTP)"
    )]
    Clock { behind_s: u64 },
    #[error(
        "the contribution was ready too late for the last slot of its round; the round is opened again with those that were \
         in time. Give studies more of this machine, or ask for a longer round_ms in the genesis file"
    )]
    TooLate,
    #[error(
        "study {0} was opened later and is computed already, so this one cannot be held against the same studies by all \
         hospitals; the round is opened again with those that were in time"
    )]
    Overtaken(StudyId),
    #[error("the own contribution of this round is lost; it cannot be made again, the round will go on without")]
    Lost,
}

impl DriveError {
    /// The kind of error, one word.
    fn kind(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Ledger(_) | Self::NoStudy => "ledger",
            Self::Consent(_) => "consent",
            Self::Fetch(FetchError::NotCommitted(_)) | Self::NotOne(_) => "forged",
            Self::Fetch(_) => "others_unreachable",
            Self::Ciphertext(_) => "ciphertext",
            Self::File(_) => "file",
            Self::Submit(error) => error.kind(),
            Self::Guarded(GuardedError::Fetch(_)) => "others_unreachable",
            Self::Guarded(_) => "guard",
            Self::Pairs(_) => "pairs",
            Self::Clock { .. } => "clock",
            Self::Overtaken(_) => "overtaken",
            Self::TooLate => "too_late",
            Self::Lost => "lost",
        }
    }

    /// The kind as others may hear it.
    fn told(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.told(),
            // How long it took.
            Self::TooLate => LOCAL,
            other => other.kind(),
        }
    }
}

/// How an attempt ended.
pub(super) enum Ended {
    Done,
    // The ledger did not take it: another hospital was first, most often.
    NotTaken,
    Failed(Failure),
}

/// What went wrong, in two messages.
pub(super) struct Failure {
    pub(super) kind: &'static str,
    pub(super) told: &'static str,
    pub(super) message: String,
    /// Trying again costs as much as the first time, and is not likely to end otherwise.
    pub(super) is_costly: bool,
}

impl Failure {
    /// A mistake of this program. What a panic says may quote rows, so it is not repeated.
    pub(super) fn of_a_panic() -> Self {
        Self {
            kind: "panicked",
            told: LOCAL,
            message: "this program panicked; keep the study and the node's log, and report this".to_string(),
            is_costly: true,
        }
    }
}

/// Does what is due, once.
pub(super) async fn perform(studies: &Arc<Studies>, due: &Due) -> Ended {
    let study = due.study.short();
    match attempt(studies, due).await {
        Ok(()) => Ended::Done,
        Err(DriveError::Submit(SubmitError::Rejected(rejection))) => {
            tracing::debug!(study, kind = rejection.kind(), "the ledger did not take it");
            Ended::NotTaken
        }
        Err(error) => {
            match &error {
                DriveError::Vault(_) | DriveError::TooLate | DriveError::Lost => count(&studies.counters.failures),
                DriveError::Fetch(FetchError::NotCommitted(_)) | DriveError::NotOne(_) => {
                    count(&studies.counters.forged);
                }
                _ => {}
            }
            warn!(study, duty = due.duty.name(), %error, "not done");
            let is_costly = matches!(&error, DriveError::Vault(error) if error.is_costly());
            Ended::Failed(Failure { kind: error.kind(), told: error.told(), message: error.to_string(), is_costly })
        }
    }
}

async fn attempt(studies: &Studies, due: &Due) -> Result<(), DriveError> {
    let study = due.study;
    let payload = match &due.duty {
        Duty::Pair => pairs::commitment(studies, study)?,
        Duty::KeepPairs { keys } => {
            pairs::keep(studies, study, keys).await?;
            return Ok(());
        }
        Duty::OpenRound => Payload::OpenRound(OpenRound { study }),
        Duty::Release { round } => {
            // What nobody has any more must not be called released.
            guarded::keep(studies, study, *round).await?;
            Payload::Release(Release { study, round: *round })
        }
        Duty::FailRound { round } => Payload::FailRound(FailRound { study, round: *round }),
        Duty::Contribute { round } => Payload::Contribute(commitment(studies, &study, *round).await?),
        Duty::Attest { round, contributions } => {
            let bytes = sum(studies, &study, *round, contributions).await?;
            let sum = hash::content(&bytes);
            studies.kept.rounds.keep(&study, *round, Piece::Sum, &bytes)?;
            Payload::Attest(Attest { study, round: *round, sum })
        }
        Duty::Seal { round, contributions } => {
            let round = GuardedRound::read(&studies.replica, &study, *round).ok_or(GuardedError::NoRound)?;
            guarded::seal(studies, &round, contributions).await?
        }
        Duty::Disclose { round, aggregator, sum, seeds } => {
            let round = GuardedRound::read(&studies.replica, &study, *round).ok_or(GuardedError::NoRound)?;
            guarded::disclose(studies, &round, *aggregator, *sum, *seeds).await?
        }
        Duty::KeepGuarded { round } => {
            guarded::keep(studies, study, *round).await?;
            return Ok(());
        }
        Duty::KeepSum { round, sum: attested, attesting } => {
            let kept = studies.kept.rounds.get(&study, *round, Piece::Sum)?;
            if kept.is_none_or(|bytes| hash::content(&bytes) != *attested) {
                let bytes = fetch_sum(studies, &study, *round, *attested, attesting).await?;
                studies.kept.rounds.keep(&study, *round, Piece::Sum, &bytes)?;
            }
            return Ok(());
        }
    };
    let height = submit::own(&studies.replica, payload).await?;
    info!(study = study.short(), duty = due.duty.name(), height = height.map(|h| h.get()), "done");
    Ok(())
}
