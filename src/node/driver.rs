//! Does what the hospital owes, after every block and whenever time has passed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_engine::cells::{CiphertextError, EncryptedCells, combine};
use consilium_ledger::state::reading::ReadingError;
use consilium_ledger::store::ChainError;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Attest, Contribute, FailRound, OpenRound, Payload, Release};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::Shared;
use super::duties::{Due, Duty, duties};
use super::metrics::count;
use super::peers::FetchError;
use super::rounds::Piece;
use super::submit::{self, SubmitError};
use super::vault::{Task, Vault, VaultError};
use crate::home::FileError;

/// How often the ledger is looked at when no block comes: deadlines pass without blocks, too.
const TICK: Duration = Duration::from_millis(500);
/// How much later each further hospital does what one suffices for.
const STAGGER: Duration = Duration::from_millis(1_500);
/// How long a duty that failed is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Why a duty was not done.
#[derive(Debug, thiserror::Error)]
enum DriveError {
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
    #[error("the sum of the contributions is not what the roster attested")]
    OtherSum,
    #[error("the study is not on the ledger")]
    NoStudy,
    #[error("the own contribution of this round is lost; it cannot be made again, the round will go on without")]
    Lost,
}

/// What the driver remembers between looks.
#[derive(Default)]
struct Memory {
    // Since when each duty has been due, and what became of it.
    due: HashMap<(StudyId, String), Progress>,
}

struct Progress {
    since: Instant,
    again: Instant,
    pause: Duration,
    running: Option<JoinHandle<bool>>,
    done: bool,
}

/// The hospital's part in studies.
pub struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) vault: Arc<Vault>,
    pub(super) key: Arc<SigningKey>,
}

impl Driver {
    /// Works until the task is dropped.
    pub async fn run(self) {
        let mut blocks = self.shared.chain.subscribe();
        let mut memory = Memory::default();
        loop {
            self.look(&mut memory);
            let _ = tokio::time::timeout(TICK, async {
                match blocks.recv().await {
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            })
            .await;
        }
    }

    fn look(&self, memory: &mut Memory) {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let due = self.shared.chain.read(|state| {
            // The ledger refuses what comes before its own time has come; the clock only says when to try.
            duties(state, &self.shared.hospital, state.time().max(Timestamp::new(clock)))
        });
        // A ledger that cannot be read has been reported where it failed; nothing is owed to it.
        let Ok(due) = due else { return };
        let now = Instant::now();
        let name = |due: &Due| (due.study, format!("{:?}", due.duty));
        let current: std::collections::HashSet<_> = due.iter().map(name).collect();
        memory.due.retain(|key, progress| current.contains(key) || progress.running.is_some());
        for due in due {
            let progress = memory.due.entry(name(&due)).or_insert_with(|| Progress {
                since: now,
                again: now,
                pause: RETRY.0,
                running: None,
                done: false,
            });
            if let Some(running) = &mut progress.running {
                if !running.is_finished() {
                    continue;
                }
                let finished = futures_now(running).unwrap_or(false);
                progress.running = None;
                progress.done = finished && matches!(due.duty, Duty::KeepSum { .. });
                if !finished {
                    progress.again = now + progress.pause;
                    progress.pause = (progress.pause * 2).min(RETRY.1);
                }
            }
            let turn = progress.since + STAGGER * due.rank;
            if progress.done || now < turn || now < progress.again {
                continue;
            }
            let (shared, vault, key) = (self.shared.clone(), self.vault.clone(), self.key.clone());
            progress.running = Some(tokio::spawn(async move { perform(&shared, &vault, &key, &due).await }));
        }
    }
}

/// The result of a task that has finished.
fn futures_now(task: &mut JoinHandle<bool>) -> Option<bool> {
    use std::future::Future as _;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(task).poll(&mut context) {
        std::task::Poll::Ready(result) => result.ok(),
        std::task::Poll::Pending => None,
    }
}

async fn perform(shared: &Shared, vault: &Vault, key: &SigningKey, due: &Due) -> bool {
    let study = due.study.short();
    match attempt(shared, vault, key, due).await {
        Ok(()) => true,
        Err(DriveError::Submit(SubmitError::Rejected(rejection))) => {
            // Another hospital was first, most often; the ledger shows it at the next look.
            tracing::debug!(study, kind = rejection.kind(), "the ledger did not take it");
            false
        }
        Err(error) => {
            match &error {
                DriveError::Vault(_) | DriveError::Lost => count(&shared.counters.failures),
                DriveError::Fetch(FetchError::NotCommitted(_)) => count(&shared.counters.forged),
                _ => {}
            }
            warn!(study, duty = due.duty.name(), %error, "not done; it will be tried again");
            false
        }
    }
}

impl Duty {
    fn name(&self) -> &'static str {
        match self {
            Self::OpenRound => "open",
            Self::Contribute { .. } => "contribute",
            Self::Attest { .. } => "attest",
            Self::Release { .. } => "release",
            Self::FailRound { .. } => "fail",
            Self::KeepSum { .. } => "keep",
        }
    }
}

async fn attempt(shared: &Shared, vault: &Vault, key: &SigningKey, due: &Due) -> Result<(), DriveError> {
    let study = due.study;
    let payload = match &due.duty {
        Duty::OpenRound => Payload::OpenRound(OpenRound { study }),
        Duty::Release { round } => Payload::Release(Release { study, round: *round }),
        Duty::FailRound { round } => Payload::FailRound(FailRound { study, round: *round }),
        Duty::Contribute { round } => {
            let bytes = contribution(shared, vault, &study, *round).await?;
            Payload::Contribute(Contribute {
                study,
                round: *round,
                contribution: hash::content(&bytes),
                bytes: bytes.len() as u64,
            })
        }
        Duty::Attest { round, contributions } => {
            let bytes = sum(shared, &study, *round, contributions).await?;
            let sum = hash::content(&bytes);
            shared.rounds.keep(&study, *round, Piece::Sum, &bytes)?;
            Payload::Attest(Attest { study, round: *round, sum })
        }
        Duty::KeepSum { round, sum: attested, contributions } => {
            let kept = shared.rounds.get(&study, *round, Piece::Sum)?;
            if kept.is_some_and(|bytes| hash::content(&bytes) == *attested) {
                return Ok(());
            }
            let bytes = sum(shared, &study, *round, contributions).await?;
            if hash::content(&bytes) != *attested {
                return Err(DriveError::OtherSum);
            }
            shared.rounds.keep(&study, *round, Piece::Sum, &bytes)?;
            return Ok(());
        }
    };
    let height = submit::own(shared, key, payload).await?;
    info!(study = study.short(), duty = due.duty.name(), height = height.map(|h| h.get()), "done");
    Ok(())
}

/// The own contribution: the one on disk, or a new one, which is on disk before anybody hears of it.
async fn contribution(
    shared: &Shared,
    vault: &Vault,
    study: &StudyId,
    round: RoundNumber,
) -> Result<Vec<u8>, DriveError> {
    if let Some(bytes) = shared.rounds.get(study, round, Piece::Contribution)? {
        return Ok(bytes);
    }
    let task = task(shared, study, round)?;
    let started = Instant::now();
    let bytes = vault.contribute(&task).await?;
    shared.rounds.keep(study, round, Piece::Contribution, &bytes)?;
    count(&shared.counters.contributions);
    info!(
        study = study.short(),
        round = round.get(),
        bytes = bytes.len(),
        ms = started.elapsed().as_millis() as u64,
        "contribution computed, blinded and encrypted"
    );
    Ok(bytes)
}

fn task(shared: &Shared, study: &StudyId, round: RoundNumber) -> Result<Task, DriveError> {
    shared.chain.read(|state| {
        let found = state.study(study).ok_or(DriveError::NoStudy)?;
        let running = found.course.round(round).ok_or(DriveError::NoStudy)?;
        let blinding_key = |id: &HospitalId| shared.genesis.member(id).map(|m| (*id, m.blinding_key));
        Ok(Task {
            study: *study,
            round,
            spec: found.proposal.spec.clone(),
            public_key: found.proposal.public_key.clone(),
            roster: running.roster.iter().filter_map(blinding_key).collect(),
            permissions: state.permissions(study, round, &shared.hospital)?,
            subjects: state.figures().subjects,
        })
    })?
}

/// The sum of all contributions, each fetched from its maker and checked against the ledger.
async fn sum(
    shared: &Shared,
    study: &StudyId,
    round: RoundNumber,
    contributions: &[(HospitalId, ContentHash)],
) -> Result<Vec<u8>, DriveError> {
    let mut parts = Vec::with_capacity(contributions.len());
    for (hospital, committed) in contributions {
        let bytes = if *hospital == shared.hospital {
            shared.rounds.get(study, round, Piece::Contribution)?.ok_or(DriveError::Lost)?
        } else {
            shared.peers.contribution(*hospital, study, round, committed).await?
        };
        parts.push(EncryptedCells::from_bytes(&bytes)?);
    }
    Ok(combine(&parts)?.to_bytes())
}
