//! A hospital's computing side. It alone holds the link secret, the blinding key, the guard keys and the memory of earlier
//! cohorts, and the worker that reads the tables.
//!
//! It is asked by plain values and answers with plain values, so that it could stand on a machine of its own: it knows
//! neither the ledger nor the network. Who asks says what was agreed on; the vault adds what its own policy demands, and
//! lets out nothing but encrypted, blinded or sealed bytes, public keys, and errors without a patient's value.
//!
//! | asked | answer |
//! |---|---|
//! | [`Vault::contribute`] with a [`Task`] | the hospital's encrypted part of a round |
//! | [`Vault::guard_keys`] | what the ledger is told about its keys for guarded studies, made where missing |
//! | [`Vault::guard_public_key`], [`Vault::guard_server_key`] | those keys, for other hospitals |
//! | [`Vault::seal`] with a [`SealTask`] | as aggregator: the padded sum, and the seeds of the pads |
//! | [`Vault::disclose`] with a [`DiscloseTask`] | as custodian: the seeds that passed, sealed to the researcher |
//!
//! What is over patients' rows is one step, [`compute()`], and happens in the worker's process; everything after it is over
//! cells.

mod cohorts;
mod compute;
mod contribute;
mod error;
mod guard_keys;
mod roles;

use std::path::Path;
use std::sync::Arc;

use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::store::{StoreConfig, StoreError};
use consilium_engine::worker::Refusal;
use consilium_protocol::ids::{ChainId, HospitalId};
use consilium_protocol::keys::BlindingKey;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::tx::RegisterGuardKeys;

use crate::home::secrets::{self, Kind};
use crate::home::{FileError, SecretError};
use crate::worker::{Bounds, Program, Settings, Trouble, Worker};

pub use cohorts::{Cohorts, CohortsError, History, Standing};
pub use compute::{Computed, Question, compute};
pub use contribute::{GuardTask, Task, own_policy_allows};
pub use error::{ComputeError, LOCAL, VaultError, for_steward};
pub use guard_keys::GuardKeyError;
use guard_keys::GuardKeyring;
pub use roles::{DiscloseTask, RoleError, SealTask, SealedSum};

/// What a vault knows besides its home's secrets.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The ledger.
    pub chain: ChainId,
    /// This hospital.
    pub hospital: HospitalId,
    /// The consortium's policy.
    pub policy: DisclosurePolicy,
    /// Its own, nowhere looser.
    pub own_policy: DisclosurePolicy,
    /// Where its tables are.
    pub store: StoreConfig,
    /// The program that is started to read them.
    pub program: Program,
    /// What a study may use up.
    pub bounds: Bounds,
}

/// The computing side.
pub struct Vault {
    terms: Terms,
    worker: Worker,
    blinding: BlindingKey,
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

/// Checks that a home's secrets for computing can be read.
///
/// # Errors
/// [`SecretError`].
pub fn blinding_public_key(home: &Path) -> Result<[u8; 32], SecretError> {
    secrets::read(home, Kind::Link)?;
    Ok(BlindingKey::from_seed(*secrets::read(home, Kind::Blinding)?).public_key())
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
        let blinding = BlindingKey::from_seed(*secrets::read(home, Kind::Blinding)?);
        let (program, store) = (terms.program.clone(), terms.store.clone());
        let worker = Worker::new(Settings { program, store, link, bounds: terms.bounds });
        worker.open().await?;
        let guard_keys = Arc::new(GuardKeyring::open(home)?);
        let cohorts = Cohorts::open(home)?;
        Ok(Self { terms, worker, blinding, cohorts, guard_keys })
    }

    /// What the ledger is told about this hospital's keys for guarded studies. They are made where they are missing, which
    /// takes seconds.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn guard_keys(&self) -> Result<RegisterGuardKeys, RoleError> {
        let keys = self.guard_keys.clone();
        Ok(tokio::task::spawn_blocking(move || keys.ensure()).await.map_err(|_| RoleError::Stopped)??)
    }

    /// The public key for guarded studies, under which others encrypt counts when this hospital is custodian.
    ///
    /// # Errors
    /// [`FileError`], also when there is none yet.
    pub fn guard_public_key(&self) -> Result<Vec<u8>, FileError> {
        self.guard_keys.public_key()
    }

    /// The server key for guarded studies, with which the aggregator computes when this hospital is custodian.
    ///
    /// # Errors
    /// [`FileError`], also when there is none yet.
    pub fn guard_server_key(&self) -> Result<Vec<u8>, FileError> {
        self.guard_keys.server_key()
    }
}
