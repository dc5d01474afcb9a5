//! Transactions on their way into a block: checked, spread, waited for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_ledger::mempool::Refusal;
use consilium_ledger::rejection::Rejection;
use consilium_ledger::store::{ChainError, Committed};
use consilium_protocol::ids::{Height, Sequence, Timestamp, TxHash};
use consilium_protocol::tx::{Payload, SignedTx, Signer, TxBody, TxError};
use tokio::sync::oneshot;

use super::{Replica, count};

/// How many signers' latest sequence numbers are remembered while their transactions wait.
const REMEMBERED: usize = 65_536;
/// After how many blocks a transaction of the node's own that was never included means nothing any more.
const EXPIRES_AFTER: u64 = 1_000;

/// How often a waiting transaction is held against the ledger again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What became of a transaction.
pub type Outcome = (Height, Result<(), Rejection>);

/// Why a transaction is not on its way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It is no transaction.
    #[error(transparent)]
    Malformed(#[from] TxError),
    /// The ledger would refuse it.
    #[error("{0}")]
    Rejected(Rejection),
    /// The mempool refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger cannot be read.
    #[error("the node's ledger cannot be read; its log says why")]
    Ledger(#[from] ChainError),
}

impl SubmitError {
    /// A word for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(TxError::Signature) => "signature",
            Self::Malformed(_) => "malformed",
            Self::Rejected(rejection) => rejection.kind(),
            Self::Refused(Refusal::Full | Refusal::SignerFull) => "busy",
            Self::Refused(Refusal::Duplicate) => "waiting",
            Self::Refused(Refusal::Included) => "included",
            Self::Refused(_) => "refused",
            Self::Ledger(_) => "unavailable",
        }
    }
}

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Submissions(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    waiters: HashMap<TxHash, Vec<oneshot::Sender<Outcome>>>,
    // The highest sequence number on its way, per signer.
    sequences: BTreeMap<Signer, Sequence>,
}

impl Submissions {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest sequence number of the signer that is on its way, if any is.
    pub fn pending(&self, signer: &Signer) -> Option<Sequence> {
        self.lock().sequences.get(signer).copied()
    }

    fn note(&self, signer: Signer, sequence: Sequence) {
        let mut waiting = self.lock();
        if waiting.sequences.len() >= REMEMBERED {
            waiting.sequences.pop_first();
        }
        let entry = waiting.sequences.entry(signer).or_insert(sequence);
        *entry = (*entry).max(sequence);
    }

    fn wait(&self, hash: TxHash) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        let waiters = waiting.waiters.entry(hash).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        receiver
    }

    /// Tells those who wait what a block decided.
    pub fn committed(&self, block: &Committed) {
        let mut waiting = self.lock();
        for (hash, outcome) in &block.outcomes {
            for waiter in waiting.waiters.remove(hash).into_iter().flatten() {
                let _ = waiter.send((block.height, outcome.clone()));
            }
        }
        waiting.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
    }
}

/// Where a transaction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A program that hands it in, and should hear at once what the ledger would say.
    Program,
    /// Another member, which has let it in already; it may build on others that still wait.
    Member,
}

/// Checks a transaction against the ledger as it stands, and lets it wait for a block.
///
/// # Errors
/// [`SubmitError`]; nothing has happened then.
pub fn accept(replica: &Replica, tx: SignedTx, origin: Origin) -> Result<TxHash, SubmitError> {
    let body = tx.decode_body()?;
    let checked = match origin {
        Origin::Program => replica.chain.check_tx(&tx, now())?,
        Origin::Member => replica.chain.check_envelope(&tx, now())?,
    };
    checked.map_err(SubmitError::Rejected)?;
    let signer = tx.signer;
    let hash = replica.consensus.mempool().insert(tx, body.expires)?;
    replica.submitted.note(signer, body.sequence);
    Ok(hash)
}

/// As [`accept`], and spreads the transaction to the other members.
///
/// # Errors
/// [`SubmitError`].
pub fn hand_in(replica: &Replica, tx: SignedTx) -> Result<TxHash, SubmitError> {
    count(&replica.counters.submitted);
    let accepted = accept(replica, tx.clone(), Origin::Program);
    match &accepted {
        Ok(_) => replica.peers.spread(&tx),
        Err(_) => count(&replica.counters.refused),
    }
    accepted
}

/// What became of a transaction that was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It stands in a block, with this result.
    Included(Outcome),
    /// It does not stand in a block, and as the ledger is now, none will include it.
    Refused(Rejection),
    /// It waits still.
    Waiting,
}

/// Waits until a transaction stands in a block, or until the ledger has moved on so that none will include it:
/// proposers leave out what would change nothing.
pub async fn wait(replica: &Replica, tx: &SignedTx, patience: Duration) -> Waited {
    let hash = tx.hash();
    let deadline = Instant::now() + patience;
    loop {
        // Registered before looking, so that no block slips in between.
        let waiting = replica.submitted.wait(hash);
        if let Ok(Some(outcome)) = replica.chain.outcome(&hash) {
            return Waited::Included(outcome);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Waited::Waiting;
        }
        if let Ok(Ok(outcome)) = tokio::time::timeout(left.min(LOOK_AGAIN), waiting).await {
            return Waited::Included(outcome);
        }
        if let Ok(Err(rejection)) = replica.chain.check_tx(tx, now()) {
            // Its own inclusion, too, makes the ledger refuse it from then on.
            return match replica.chain.outcome(&hash) {
                Ok(Some(outcome)) => Waited::Included(outcome),
                _ => Waited::Refused(rejection),
            };
        }
    }
}

/// This machine's clock.
pub fn now() -> Timestamp {
    Timestamp::new(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64))
}

/// The sequence number that the next transaction of a signer must exceed.
///
/// # Errors
/// [`ChainError`] when the ledger cannot be read.
pub fn last_sequence(replica: &Replica, signer: &Signer) -> Result<Sequence, ChainError> {
    let included = replica.chain.read(|state| state.last_sequence(signer))?;
    Ok(replica.submitted.pending(signer).map_or(included, |pending| pending.max(included)))
}

/// Signs and hands in a transaction of the hospital's own, and waits until it stands in a block.
///
/// # Errors
/// [`SubmitError`]; [`SubmitError::Rejected`] also when the block refused it. `Ok(None)` when it still waits.
pub async fn own(replica: &Replica, payload: Payload) -> Result<Option<Height>, SubmitError> {
    let signer = Signer::Hospital(replica.hospital);
    let height = replica.chain.read(|state| state.height())?;
    let last = last_sequence(replica, &signer)?;
    let body = TxBody {
        sequence: last.next().unwrap_or(last),
        expires: Height::new(height.get().saturating_add(EXPIRES_AFTER)),
        payload,
    };
    let tx = SignedTx::sign(&replica.ledger, &body, signer, &replica.key);
    hand_in(replica, tx.clone())?;
    match wait(replica, &tx, Duration::from_secs(30)).await {
        Waited::Included((height, Ok(()))) => Ok(Some(height)),
        Waited::Included((_, Err(rejection))) | Waited::Refused(rejection) => Err(SubmitError::Rejected(rejection)),
        Waited::Waiting => Ok(None),
    }
}
