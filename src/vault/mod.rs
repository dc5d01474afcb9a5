//! A hospital's computing side. It alone holds the link secret, what is shared with others, the guard keys and the memory of earlier
//! cohorts, and the worker that reads the tables.
//!
//! It is asked by plain values and answers with plain values, so that it could stand on a machine of its own: it knows
//! neither the ledger nor the network. Who asks says what was agreed on; the vault adds what its own policy demands, and
//! lets out nothing but encrypted, blinded or sealed bytes, public keys, and errors without a patient's value.
//!
//! | asked | answer |
//! |---|---|
//! | [`Vault::contribute`] with a [`Task`] | the hospital's encrypted part of a round |
//! | [`Vault::encapsulate`] with a [`Pairing`] | what those who approved a study before it need for a secret with it |
//! | [`Vault::lot`] | its lot for a round |
//! | [`Vault::guard_keys`], [`Vault::make_guard_keys`] | what the ledger is told about its keys for guarded rounds |
//! | [`Vault::open_key_sets`], [`Vault::are_made_of`] | what the sets that were not drawn are made of; whether another's are |
//! | [`Vault::guard_key`] | a public or server key, for other hospitals |
//! | [`Vault::is_as_shown`] with an [`Examination`] | whether another hospital's contribution was made as it shows |
//! | [`Vault::seal`] with a [`SealTask`] | as aggregator: the padded sum, and the seeds of the pads |
//! | [`Vault::disclose`] with a [`DiscloseTask`] | as custodian: the seeds that passed, sealed to the researcher |
//! | [`Vault::forget_study`], [`Vault::forget_guard_set`], [`Vault::forget_guard_key`] | secrets of the past are deleted |
//!
//! What is over patients' rows is one step, [`compute()`], and happens in the worker's process; everything after it is over
//! cells.

mod cohorts;
mod compute;
mod contribute;
mod error;
mod examine;
mod guard_keys;
mod pairs;
mod roles;

use std::path::Path;
use std::sync::Arc;

use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::{StoreConfig, StoreError};
use consilium_engine::worker::Refusal;
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::ids::{ContentHash, HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::lots::{self, Draw, LotKey, LotProof};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::tx::{KeySet, RegisterGuardKeys};

use crate::home::secrets::{self, Kind};
use crate::home::{FileError, SecretError};
use crate::worker::{Bounds, Program, Settings, Trouble, Worker};
use tracing::warn;

pub use cohorts::{Cohorts, CohortsError, History, Standing};
pub use compute::{Computed, Question, compute};
pub use contribute::{Contributed, Earlier, GuardTask, Pairing, Task, commitment_of, own_policy_allows};
pub use error::{ComputeError, LOCAL, VaultError, for_steward};
pub use examine::{Examination, ExaminedGuard};
pub use guard_keys::GuardKeyError;
use guard_keys::GuardKeyring;
use pairs::{Own, Pairs};
pub use pairs::{PairsError, Partner, Readiness, make_ready};
pub use roles::{DiscloseTask, Passed, RoleError, SealTask, SealedSum};

/// What a vault knows besides its home's secrets.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The ledger.
    pub ledger: LedgerId,
    /// This hospital.
    pub hospital: HospitalId,
    /// The consortium's policy.
    pub policy: DisclosurePolicy,
    /// Its own, nowhere looser.
    pub own_policy: DisclosurePolicy,
    /// Where its tables are.
    pub store: StoreConfig,
    /// The consortium's own tables, which these may be.
    pub catalogue: Vec<CatalogueTable>,
    /// The program that is started to read them.
    pub program: Program,
    /// What a study may use up.
    pub bounds: Bounds,
}

/// The computing side.
pub struct Vault {
    terms: Terms,
    worker: Worker,
    pairs: Pairs,
    lots: LotKey,
    cohorts: Cohorts,
    guard_keys: Arc<GuardKeyring>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// A vault that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The tables cannot be read.
    #[error("[store]: {0}")]
    Store(#[from] StoreError),
    /// The process that reads the tables does not start.
    #[error("[store]: {0}")]
    Worker(Trouble),
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What is shared with others cannot be used.
    #[error(transparent)]
    Pairs(#[from] PairsError),
    /// The memory of contributed cohorts cannot be used.
    #[error(transparent)]
    Cohorts(#[from] CohortsError),
    /// A folder of the home cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(Refusal::Store(error)) => Self::Store(error),
            other => Self::Worker(other),
        }
    }
}

/// Checks that a home's secrets for computing can be read, and tells by which key its lots are checked.
///
/// # Errors
/// [`PairsError`].
pub fn lot_public_key(home: &Path) -> Result<[u8; 32], PairsError> {
    secrets::read(home, Kind::Link)?;
    Ok(pairs::read_lot_key(home)?.public_key())
}

/// Checks that what a vault wrote down of earlier cohorts can be opened, without changing it.
///
/// # Errors
/// [`CohortsError`].
pub fn check_memory(home: &Path) -> Result<(), CohortsError> {
    Cohorts::check(home)
}

impl Vault {
    /// Opens a hospital's vault: its secrets, its tables, its memory.
    ///
    /// # Errors
    /// [`OpenError`]: the first thing that cannot be used.
    pub async fn open(home: &Path, terms: Terms) -> Result<Self, OpenError> {
        let link = LinkSecret::from_seed(*secrets::read(home, Kind::Link)?);
        let (lots, pairs) = (pairs::read_lot_key(home)?, Pairs::open(home)?);
        let (program, store, catalogue) = (terms.program.clone(), terms.store.clone(), terms.catalogue.clone());
        let worker = Worker::new(Settings { program, store, catalogue, link, bounds: terms.bounds });
        match worker.open().await {
            // It is asked again when there is a study.
            Err(Trouble::Refused(Refusal::Store(error))) if error.is_passing() => {
                warn!(%error, "the tables cannot be read now")
            }
            opened => drop(opened?),
        }
        let guard_keys = Arc::new(GuardKeyring::open(home)?);
        let cohorts = Cohorts::open(home)?;
        Ok(Self { terms, worker, pairs, lots, cohorts, guard_keys })
    }

    /// What this hospital encapsulates to those who approved a study before it.
    ///
    /// # Errors
    /// [`PairsError`].
    pub fn encapsulate(&self, pairing: &Pairing) -> Result<Vec<u8>, PairsError> {
        self.pairs.encapsulated(&self.own(pairing.study, &pairing.key), &pairing.before)
    }

    fn own<'a>(&'a self, study: StudyId, key: &'a KemPublicKey) -> Own<'a> {
        Own { ledger: &self.terms.ledger, study, hospital: self.terms.hospital, key }
    }

    /// This hospital's lot for what is drawn in a round.
    pub fn lot(&self, study: &StudyId, round: RoundNumber, draw: Draw) -> LotProof {
        self.lots.draw(&lots::message(&self.terms.ledger, study, round, draw))
    }

    /// The studies that this hospital has secrets with others for.
    pub fn paired(&self) -> Vec<StudyId> {
        self.pairs.studies()
    }

    /// Deletes what this hospital shares with others for a study, which must have ended.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_study(&self, study: &StudyId) -> Result<(), FileError> {
        self.pairs.forget(study)
    }

    /// What the ledger is told about the keys for guarded rounds that this hospital has, by round.
    pub fn guard_keys(&self) -> Vec<RegisterGuardKeys> {
        self.guard_keys.announced()
    }

    /// Makes keys for another round, which takes seconds.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn make_guard_keys(&self) -> Result<RegisterGuardKeys, RoleError> {
        let (keys, sets) = (self.guard_keys.clone(), self.terms.policy.key_sets);
        Ok(tokio::task::spawn_blocking(move || keys.make(sets)).await.map_err(|_| RoleError::Stopped)??)
    }

    /// Makes again what is missing of the keys that others will ask for, given the public keys that this hospital was drawn with;
    /// tells of how many sets.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn complete_guard_keys(&self, drawn: Vec<ContentHash>) -> Result<usize, RoleError> {
        let keys = self.guard_keys.clone();
        let made = tokio::task::spawn_blocking(move || keys.complete(&drawn)).await.map_err(|_| RoleError::Stopped)?;
        Ok(made.map_err(GuardKeyError::from)?)
    }

    /// As custodian: what the sets of keys are made of that were not drawn. Those of the one that was are there from then on.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn open_key_sets(&self, drawn: ContentHash) -> Result<Vec<[u8; 32]>, RoleError> {
        let keys = self.guard_keys.clone();
        Ok(tokio::task::spawn_blocking(move || keys.open_others(&drawn)).await.map_err(|_| RoleError::Stopped)??)
    }

    /// Whether a custodian's sets of keys are made of these seeds. Takes a second for each.
    ///
    /// # Errors
    /// [`RoleError::Stopped`].
    pub async fn are_made_of(&self, sets: Vec<(KeySet, [u8; 32])>) -> Result<bool, RoleError> {
        tokio::task::spawn_blocking(move || guard_keys::are_made_of(&sets)).await.map_err(|_| RoleError::Stopped)
    }

    /// A public or server key for guarded rounds, the own or another hospital's, if it is here.
    pub fn guard_key(&self, hash: &ContentHash) -> Option<Vec<u8>> {
        self.guard_keys.key(hash)
    }

    /// Keeps another hospital's public or server key, whose hash was checked.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep_guard_key(&self, hash: &ContentHash, bytes: &[u8]) -> Result<(), FileError> {
        self.guard_keys.keep(hash, bytes)
    }

    /// All keys for guarded rounds that are here: the own ones as [`guard_keys`](Self::guard_keys) has them, and the public and
    /// server keys, the own and others', by their hashes.
    pub fn kept_guard_keys(&self) -> (Vec<RegisterGuardKeys>, Vec<ContentHash>) {
        self.guard_keys.kept()
    }

    /// Deletes what the keys for a round are made of, which must have ended, by the key to which others sealed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_guard_set(&self, sealing_key: &KemPublicKey) -> Result<(), FileError> {
        self.guard_keys.forget_set(sealing_key)
    }

    /// Deletes a public or server key.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_guard_key(&self, hash: &ContentHash) -> Result<(), FileError> {
        self.guard_keys.forget_key(hash)
    }
}
