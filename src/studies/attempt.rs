//! One attempt at a duty, and how it ended.

use std::sync::Arc;

use consilium_protocol::hash;
use consilium_protocol::tx::{Attest, FailRound, OpenKeySets, OpenRound, Payload, Release, ShowLot};
use tracing::{info, warn};

use super::Studies;
use super::blame;
use super::contribution::commitment;
use super::duties::{Due, Duty};
use super::error::DriveError;
use super::examine::examine;
use super::guarded::{self, GuardedError, GuardedRound};
use super::pairs;
use super::rounds::Piece;
use super::sum::{fetch_sum, sum};
use crate::replica::count;
use crate::replica::submit::{self, SubmitError};
use crate::vault::LOCAL;

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
    /// Others were told of whom something cannot be had: they may have it soon.
    pub(super) is_said: bool,
}

impl Failure {
    /// A mistake of this program. What a panic says may quote rows, so it is not repeated.
    pub(super) fn of_a_panic() -> Self {
        Self {
            kind: "panicked",
            told: LOCAL,
            message: "this program panicked; keep the study and the node's log, and report this".to_string(),
            is_costly: true,
            is_said: false,
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
                error if error.kind() == "forged" => count(&studies.counters.forged),
                _ => {}
            }
            warn!(study, duty = due.duty.name(), %error, "not done");
            let is_said = match error.owed().and_then(|owed| blame::accusation(studies, owed)) {
                Some(payload) => {
                    let is_owed = match error.owed() {
                        Some(owed) => blame::is_still_owed(studies, owed).await,
                        None => false,
                    };
                    is_owed && submit::own(&studies.replica, payload).await.is_ok()
                }
                None => false,
            };
            if is_said {
                info!(study, "others are told of whom something cannot be had");
            }
            let is_costly = matches!(&error, DriveError::Vault(error) if error.is_costly());
            let (kind, told, message) = (error.kind(), error.told(), error.to_string());
            Ended::Failed(Failure { kind, told, message, is_costly, is_said })
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
        Duty::Ask { round, accused, fault } => {
            blame::ask(studies, (study, *round), (*accused, *fault)).await?;
            return Ok(());
        }
        Duty::OpenRound => Payload::OpenRound(OpenRound { study }),
        Duty::Release { round, is_late } => match guarded::keep(studies, study, *round).await {
            Ok(()) => Payload::Release(Release { study, round: *round }),
            // What nobody has any more must not be called released; what only this hospital cannot keep, others may have.
            Err(GuardedError::Owed(_)) if *is_late => Payload::FailRound(FailRound { study, round: *round }),
            Err(error) => return Err(error.into()),
        },
        Duty::FailRound { round } => Payload::FailRound(FailRound { study, round: *round }),
        Duty::ShowLot { round, draw } => {
            let lot = studies.vault.lot(&study, *round, *draw);
            Payload::ShowLot(ShowLot { study, round: *round, lot })
        }
        Duty::OpenKeySets { round, drawn } => {
            let seeds = studies.vault.open_key_sets(*drawn).await.map_err(GuardedError::from)?;
            Payload::OpenKeySets(OpenKeySets { study, round: *round, seeds })
        }
        Duty::Contribute { round } => Payload::Contribute(commitment(studies, &study, *round).await?),
        Duty::Examine { round } => {
            examine(studies, study, *round).await?;
            return Ok(());
        }
        Duty::Attest { round, contributions } => {
            examine(studies, study, *round).await?;
            let bytes = sum(studies, &study, *round, contributions).await?;
            let sum = hash::content(&bytes);
            studies.kept.rounds.keep(&study, *round, Piece::Sum, &bytes)?;
            Payload::Attest(Attest { study, round: *round, sum })
        }
        Duty::Seal { round, contributions } => {
            let round = GuardedRound::read(&studies.replica, &study, *round).ok_or(GuardedError::NoRound)?;
            guarded::seal(studies, &round, contributions).await?
        }
        Duty::Witness { round, counts } => {
            let round = GuardedRound::read(&studies.replica, &study, *round).ok_or(GuardedError::NoRound)?;
            guarded::witness(studies, &round, counts).await?
        }
        Duty::Disclose { round, aggregator, sum, seeds, witness } => {
            let round = GuardedRound::read(&studies.replica, &study, *round).ok_or(GuardedError::NoRound)?;
            guarded::disclose(studies, &round, (*aggregator, *sum, *seeds), *witness).await?
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
