//! Does what the hospital owes, after every block and whenever time has passed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_engine::cells::{CiphertextError, EncryptedCells, combine};
use consilium_ledger::state::State;
use consilium_ledger::state::reading::ReadingError;
use consilium_ledger::state::study::RoundEnd;
use consilium_ledger::store::ChainError;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId, Timestamp};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::study::Protection;
use consilium_protocol::tx::{Attest, Contribute, FailRound, OpenRound, Payload, Release};
use consilium_protocol::wire::BlobKind;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::Shared;
use super::cohorts::{History, Standing};
use super::duties::{Due, Duty, duties};
use super::failing::Failing;
use super::guarded::{self, GuardedRound, RoleError};
use super::metrics::count;
use super::peers::{FetchError, Wanted};
use super::rounds::Piece;
use super::submit::{self, SubmitError};
use super::vault::{GuardTask, Task, Vault, VaultError};
use crate::home::FileError;

/// How often the ledger is looked at when no block comes: deadlines pass without blocks, too.
const TICK: Duration = Duration::from_millis(500);
/// How much later each further hospital does what one suffices for.
const STAGGER: Duration = Duration::from_millis(1_500);
/// How long a duty that failed is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How many duties that were not done in time are remembered.
const MISSED: usize = 64;

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
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("the sum of the contributions is not what the roster attested")]
    OtherSum,
    #[error("the study is not on the ledger")]
    NoStudy,
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
            Self::Fetch(FetchError::NotCommitted(_)) => "forged",
            Self::Fetch(_) => "others_unreachable",
            Self::Ciphertext(_) => "ciphertext",
            Self::File(_) => "file",
            Self::Submit(error) => error.kind(),
            Self::Role(RoleError::Fetch(_)) => "others_unreachable",
            Self::Role(_) => "guard",
            Self::OtherSum => "other_sum",
            Self::Lost => "lost",
        }
    }

    /// The kind as others may hear it.
    fn told(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.told(),
            other => other.kind(),
        }
    }
}

/// How an attempt ended.
enum Ended {
    Done,
    // The ledger did not take it: another hospital was first, most often.
    NotTaken,
    Failed { kind: &'static str, told: &'static str, message: String },
}

/// What the driver remembers between looks.
#[derive(Default)]
struct Memory {
    // Since when each duty has been due, and what became of it.
    due: HashMap<(StudyId, String), Progress>,
    // What failed until it was no longer due, oldest first.
    missed: VecDeque<Failing>,
}

struct Progress {
    since: Instant,
    again: Instant,
    pause: Duration,
    running: Option<JoinHandle<Ended>>,
    done: bool,
    failing: Option<Failing>,
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
        let current: std::collections::HashSet<_> = due.iter().map(name).collect();
        let missed = &mut memory.missed;
        memory.due.retain(|key, progress| {
            if current.contains(key) || progress.running.as_ref().is_some_and(|task| !task.is_finished()) {
                return true;
            }
            // It is no longer due: because it is done, or because it is too late.
            let ended = progress.running.as_mut().and_then(futures_now);
            if !matches!(ended, Some(Ended::Done))
                && let Some(failing) = progress.failing.take()
            {
                missed.push_back(Failing { over: true, ..failing });
            }
            false
        });
        missed.drain(..missed.len().saturating_sub(MISSED));
        for due in due {
            self.go_on(due, clock, now, memory);
        }
        let mut failing: Vec<Failing> = memory.due.values().filter_map(|progress| progress.failing.clone()).collect();
        failing.extend(memory.missed.iter().cloned());
        failing.sort_by(|a, b| (a.since_ms, a.study, &a.duty).cmp(&(b.since_ms, b.study, &b.duty)));
        self.shared.failing.publish(failing);
    }

    /// Does what is due, unless it is being done, was tried a moment ago, or is another's turn.
    fn go_on(&self, due: Due, clock: u64, now: Instant, memory: &mut Memory) {
        let progress = memory.due.entry(name(&due)).or_insert_with(|| Progress {
            since: now,
            again: now,
            pause: RETRY.0,
            running: None,
            done: false,
            failing: None,
        });
        if let Some(running) = &mut progress.running {
            if !running.is_finished() {
                return;
            }
            let ended = futures_now(running).unwrap_or(Ended::NotTaken);
            progress.running = None;
            progress.done =
                matches!((&ended, &due.duty), (Ended::Done, Duty::KeepSum { .. } | Duty::KeepGuarded { .. }));
            if !matches!(ended, Ended::Done) {
                progress.again = now + progress.pause;
                progress.pause = (progress.pause * 2).min(RETRY.1);
            }
            progress.failing = failing(&due, ended, progress.failing.take(), clock);
        }
        let turn = progress.since + STAGGER * due.rank;
        if progress.done || now < turn || now < progress.again {
            return;
        }
        let (shared, vault, key) = (self.shared.clone(), self.vault.clone(), self.key.clone());
        progress.running = Some(tokio::spawn(async move { perform(&shared, &vault, &key, &due).await }));
    }
}

fn name(due: &Due) -> (StudyId, String) {
    (due.study, format!("{:?}", due.duty))
}

/// What is told of a duty after an attempt, given what was told before.
fn failing(due: &Due, ended: Ended, before: Option<Failing>, clock: u64) -> Option<Failing> {
    let Ended::Failed { kind, told, message } = ended else { return None };
    Some(Failing {
        study: due.study,
        duty: due.duty.name().to_string(),
        since_ms: before.as_ref().map_or(clock, |b| b.since_ms),
        tries: before.map_or(1, |b| b.tries.saturating_add(1)),
        kind: kind.to_string(),
        told: told.to_string(),
        message,
        over: false,
    })
}

/// The result of a task that has finished.
fn futures_now(task: &mut JoinHandle<Ended>) -> Option<Ended> {
    use std::future::Future as _;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(task).poll(&mut context) {
        std::task::Poll::Ready(result) => result.ok(),
        std::task::Poll::Pending => None,
    }
}

async fn perform(shared: &Arc<Shared>, vault: &Vault, key: &SigningKey, due: &Due) -> Ended {
    let study = due.study.short();
    match attempt(shared, vault, key, due).await {
        Ok(()) => Ended::Done,
        Err(DriveError::Submit(SubmitError::Rejected(rejection))) => {
            tracing::debug!(study, kind = rejection.kind(), "the ledger did not take it");
            Ended::NotTaken
        }
        Err(error) => {
            match &error {
                DriveError::Vault(_) | DriveError::Lost => count(&shared.counters.failures),
                DriveError::Fetch(FetchError::NotCommitted(_)) => count(&shared.counters.forged),
                _ => {}
            }
            warn!(study, duty = due.duty.name(), %error, "not done; it will be tried again");
            Ended::Failed { kind: error.kind(), told: error.told(), message: error.to_string() }
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
            Self::KeepSum { .. } | Self::KeepGuarded { .. } => "keep",
            Self::Seal { .. } => "seal",
            Self::Disclose { .. } => "disclose",
        }
    }
}

async fn attempt(shared: &Arc<Shared>, vault: &Vault, key: &SigningKey, due: &Due) -> Result<(), DriveError> {
    let study = due.study;
    let payload = match &due.duty {
        Duty::OpenRound => Payload::OpenRound(OpenRound { study }),
        Duty::Release { round } => {
            // What nobody has any more must not be called released.
            guarded::keep(shared, study, *round).await?;
            Payload::Release(Release { study, round: *round })
        }
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
        Duty::Seal { round, contributions } => {
            let round = GuardedRound::read(shared, &study, *round).ok_or(RoleError::NoRound)?;
            guarded::seal(shared, &round, contributions).await?
        }
        Duty::Disclose { round, aggregator, sum, seeds } => {
            let round = GuardedRound::read(shared, &study, *round).ok_or(RoleError::NoRound)?;
            guarded::disclose(shared, &round, *aggregator, *sum, *seeds).await?
        }
        Duty::KeepGuarded { round } => {
            guarded::keep(shared, study, *round).await?;
            return Ok(());
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
    let mut task = task(shared, study, round)?;
    if let Some(found) = GuardedRound::read(shared, study, round) {
        let custodian_key = guarded::public_key(shared, &found.roles).await?;
        task.guard = Some(GuardTask { custodian_key, sealing_key: found.roles.sealing_key });
    }
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
            privacy_loss: state.privacy_loss(&shared.hospital),
            guard: None,
            history: history(state, &shared.hospital),
        })
    })?
}

/// What became of every round that the hospital was to contribute to, those of private studies left out. One that ended
/// before it did counts as incomplete: what was computed for it has not left.
fn history(state: &State, own: &HospitalId) -> History {
    let mut history = History::new();
    let remembered =
        state.studies().filter(|study| !matches!(study.proposal.spec.protection, Protection::Private { .. }));
    for study in remembered {
        for round in study.course.rounds.iter().filter(|round| round.has(own)) {
            let standing = match round.ended {
                Some((_, RoundEnd::Released)) => Standing::Released,
                // Once all have contributed, the sum may have been seen, whatever became of the round.
                Some(_) if !round.is_complete() => Standing::Incomplete,
                _ if round.contributions.contains_key(own) => Standing::Contributed,
                _ => continue,
            };
            history.insert((study.id, round.number), standing);
        }
    }
    history
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
            let of = (*study, round);
            shared.peers.fetch(*hospital, &Wanted::of_round(BlobKind::Contribution, of, *committed)).await?
        };
        parts.push(EncryptedCells::from_bytes(&bytes)?);
    }
    Ok(combine(&parts)?.to_bytes())
}
