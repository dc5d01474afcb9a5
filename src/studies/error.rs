//! Why a duty was not done, for this hospital's own people and for others.

use consilium_engine::cells::CiphertextError;
use consilium_ledger::state::reading::ReadingError;
use consilium_ledger::store::ChainError;
use consilium_protocol::ids::StudyId;

use super::blame::{Owed, Wrong};
use super::guarded::GuardedError;
use crate::home::FileError;
use crate::replica::peers::FetchError;
use crate::replica::submit::SubmitError;
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
    #[error(transparent)]
    Owed(#[from] Box<Owed>),
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
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Ledger(_) | Self::NoStudy => "ledger",
            Self::Consent(_) => "consent",
            Self::Fetch(error) => of_fetch(error),
            Self::Owed(owed) | Self::Guarded(GuardedError::Owed(owed)) => match &owed.wrong {
                Wrong::Fetch(error) => of_fetch(error),
                Wrong::NotOne(_) | Wrong::Ciphertext(..) | Wrong::Form(_) => "forged",
                Wrong::KeySets(_) => "keys",
            },
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

    /// What another hospital owes, if that is what is wrong.
    pub(super) fn owed(&self) -> Option<&Owed> {
        match self {
            Self::Owed(owed) | Self::Guarded(GuardedError::Owed(owed)) => Some(owed),
            _ => None,
        }
    }

    /// The kind as others may hear it.
    pub(super) fn told(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.told(),
            // How long it took.
            Self::TooLate => LOCAL,
            other => other.kind(),
        }
    }
}

const fn of_fetch(error: &FetchError) -> &'static str {
    match error {
        FetchError::NotCommitted(_) => "forged",
        FetchError::Own => "lost",
        FetchError::NoMember(_) | FetchError::Refused(_) => "others_unreachable",
    }
}
