//! The ledger's side of consensus: a loop that answers malachite, one message after another.
//!
//! ```text
//! StartedRound → GetValue (the proposer builds, keeps, publishes) → parts (the others assemble, check, keep)
//!   → votes → Decided (block and certificate are committed) → Finalized → … the next height is held back until
//!   transactions wait, another member has started it, or the heartbeat elapsed
//! ```
//!
//! An error of the store or of the undecided blocks ends the loop, and with it consensus: nothing is signed on top of
//! a state that may not be on disk.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::types::core::{
    CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, LinearTimeouts, Round, Validity,
};
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, MisbehaviorEvidence, ProposedValue};
use arc_malachitebft_app_channel::{AppMsg, NetworkMsg, Reply};
use bytes::Bytes;
use consilium_protocol::ids::{BlockHash, Height, TxHash};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::application::{Application, ApplicationError};
use super::codec::MAX_RESPONSE_BYTES;
use super::context::{BlockHeight, BlockRef, LedgerContext, Member};
use super::parts::{Announcement, cut};
use super::proposals::{Held, Proposals, blocking, now};
use super::status::Status;
use super::undecided::UndecidedError;
use super::validators::Seats;
use crate::block::{Block, HEADER_RESERVE_BYTES, MAX_BLOCK_BYTES};
use crate::certificate::{Certificate, CertificateFault};
use crate::mempool::SharedMempool;

type Ctx = LedgerContext;

/// A block has room to spare when it is at most this large: a transaction that it passed by was left out.
const ROOMY_BLOCK_BYTES: usize = MAX_BLOCK_BYTES / 2;

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    #[error(transparent)]
    Application(#[from] ApplicationError),
    #[error(transparent)]
    Undecided(#[from] UndecidedError),
    #[error("nobody signs block {0}: the ledger's state is inconsistent; restore it from another member's export")]
    NoValidators(Height),
    #[error("the certificate of block {height} proves nothing ({fault}); report this as a fault of the program")]
    Certificate { height: Height, fault: CertificateFault },
    #[error("the last height is reached; report this as a fault of the program")]
    NoFurtherHeight,
    #[error("malachite stopped; see its last messages in the log, then start the node again")]
    EngineGone,
}

/// The next height, held back.
struct Waiting {
    reply: Reply<Next<Ctx>>,
    deadline: Instant,
}

/// What the loop works with.
pub(super) struct Parts {
    pub(super) application: Arc<dyn Application>,
    pub(super) mempool: SharedMempool,
    pub(super) status: Arc<Status>,
    pub(super) proposals: Proposals,
    pub(super) network: mpsc::Sender<NetworkMsg<Ctx>>,
    pub(super) me: Member,
    pub(super) heartbeat: Duration,
    pub(super) timeouts: LinearTimeouts,
    /// Rung when another member was heard of at a height that is not committed here.
    pub(super) others_started: Arc<Notify>,
    /// Rung when malachite listens and the first height starts.
    pub(super) started: oneshot::Sender<()>,
}

/// The loop.
pub(super) struct App {
    application: Arc<dyn Application>,
    mempool: SharedMempool,
    status: Arc<Status>,
    proposals: Proposals,
    network: mpsc::Sender<NetworkMsg<Ctx>>,
    me: Member,
    heartbeat: Duration,
    timeouts: LinearTimeouts,
    others_started: Arc<Notify>,
    started: Option<oneshot::Sender<()>>,
    /// How many streams of pieces this node has published.
    streams: u64,
    waiting: Option<Waiting>,
    /// The last height whose block was fetched from another member.
    fetched: Option<Height>,
}

impl App {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            application,
            mempool,
            status,
            proposals,
            network,
            me,
            heartbeat,
            timeouts,
            others_started,
            started,
        } = parts;
        Self {
            application,
            mempool,
            status,
            proposals,
            network,
            me,
            heartbeat,
            timeouts,
            others_started,
            started: Some(started),
            // Peers may still hold pieces of streams from before a restart: numbers do not start over.
            streams: now().get() << 16,
            waiting: None,
            fetched: None,
        }
    }

    /// Answers malachite until it stops, `stop` rings, or something fails.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::Receiver<AppMsg<Ctx>>,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), Halt> {
        let others_started = Arc::clone(&self.others_started);
        let mempool = self.mempool.clone();
        loop {
            let deadline = self.waiting.as_ref().map(|waiting| waiting.deadline);
            tokio::select! {
                biased;
                _ = &mut stop => return Ok(()),
                message = messages.recv() => match message {
                    Some(message) => self.answer(message).await?,
                    None => return Err(Halt::EngineGone),
                },
                // Both may ring for what is over by now.
                () = others_started.notified(), if deadline.is_some() => {
                    if self.status.others_started() { self.start_next()? }
                }
                () = mempool.arrived(), if deadline.is_some() => if mempool.lock().hastens() { self.start_next()? },
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.start_next()?;
                }
            }
        }
    }

    async fn answer(&mut self, message: AppMsg<Ctx>) -> Result<(), Halt> {
        match message {
            AppMsg::ConsensusReady { reply } => {
                let next = self.next_height()?;
                send(reply, (BlockHeight(next), self.height_params(next)?));
                if let Some(started) = self.started.take() {
                    let _ = started.send(());
                }
            }
            AppMsg::StartedRound { height, round, proposer, role, reply_value } => {
                tracing::debug!(%height, %round, %proposer, ?role, "round starts");
                let values = self.proposals.untold(height.0, round.as_u32().unwrap_or(0)).await?;
                send(reply_value, values);
            }
            AppMsg::GetValue { height, round, timeout: _, reply } => self.propose(height.0, round, reply).await?,
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                let value = self.proposals.receive(published_by.unwrap_or(from), part).await?;
                send(reply, value);
                if self.waiting.is_some() && self.proposals.any_above(self.application.height()) {
                    self.start_next()?;
                }
            }
            AppMsg::Decided { certificate, extensions: _, reply } => {
                if self.decide(certificate).await? {
                    send(reply, ());
                }
            }
            AppMsg::Finalized { certificate, extensions: _, evidence, reply } => {
                report(&evidence);
                self.finalized(certificate.height.0, reply)?;
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let outcome = self.fetched_value(height, round, proposer, value_bytes).await?;
                send(reply, outcome);
            }
            AppMsg::GetDecidedValues { range, reply } => send(reply, self.decided_values(range).await?),
            AppMsg::GetHistoryMinHeight { reply } => send(reply, BlockHeight(self.application.min_height())),
            AppMsg::RestreamProposal { height, round, valid_round, address, value_id } => {
                self.propose_again(height.0, round, valid_round, address, value_id).await?;
            }
            // This ledger has no vote extensions; the codec lets none in.
            AppMsg::ExtendVote { reply, .. } => send(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                send(reply, extensions.into_iter().map(|(member, ())| (member, Ok(()))).collect());
            }
        }
        Ok(())
    }

    fn next_height(&self) -> Result<Height, Halt> {
        self.application.height().next().ok_or(Halt::NoFurtherHeight)
    }

    fn height_params(&self, height: Height) -> Result<HeightParams<Ctx>, Halt> {
        let seats = Seats::new(&self.application.validators(height)).ok_or(Halt::NoValidators(height))?;
        Ok(HeightParams::new(seats, self.timeouts, None))
    }

    async fn propose(
        &mut self,
        height: Height,
        round: Round,
        reply: Reply<LocallyProposedValue<Ctx>>,
    ) -> Result<(), Halt> {
        let Some(number) = round.as_u32() else { return Ok(()) };
        let held = match self.proposals.own(height, number, self.me) {
            Some(held) => held.clone(),
            None => {
                if height != self.next_height()? {
                    tracing::warn!(%height, "asked to propose for another height than the next");
                    return Ok(());
                }
                match self.build(height, number).await? {
                    Some(held) => held,
                    None => return Ok(()),
                }
            }
        };
        let block = BlockRef(held.announcement.block);
        send(reply, LocallyProposedValue::new(BlockHeight(height), round, block));
        self.publish(&held.announcement, &held.encoded).await
    }

    async fn build(&mut self, height: Height, round: u32) -> Result<Option<Held>, Halt> {
        let txs = self.mempool.lock().batch(MAX_BLOCK_BYTES - HEADER_RESERVE_BYTES);
        let (application, proposer) = (Arc::clone(&self.application), self.me.0);
        let built = blocking(move || -> Result<_, ApplicationError> {
            let block = application.build(proposer, now(), txs)?;
            let encoded: Bytes = block.encode().into();
            Ok((application.check(&block), block, encoded))
        });
        let (checked, block, encoded) = built.await?;
        // A block that this node itself would refuse is not proposed: the round passes to the next proposer.
        if let Err(fault) = checked {
            tracing::error!(%height, %fault, "the block built here is not valid");
            return Ok(None);
        }
        let announcement = Announcement { height, round, pol_round: None, proposer, block: block.hash() };
        self.proposals.keep(announcement, block, encoded).await?;
        Ok(self.proposals.get(height, announcement.block).cloned())
    }

    async fn propose_again(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        proposer: Member,
        block: BlockHash,
    ) -> Result<(), Halt> {
        let (Some(round), Some(held)) = (round.as_u32(), self.proposals.get(height, block).cloned()) else {
            tracing::warn!(%height, %round, %block, "asked to publish again a block that is not held");
            return Ok(());
        };
        let announcement = Announcement { height, round, pol_round: valid_round.as_u32(), proposer: proposer.0, block };
        self.publish(&announcement, &held.encoded).await
    }

    async fn publish(&mut self, announcement: &Announcement, encoded: &Bytes) -> Result<(), Halt> {
        self.streams = self.streams.wrapping_add(1);
        for part in cut(announcement, encoded, self.streams) {
            self.network.send(NetworkMsg::PublishProposalPart(part)).await.map_err(|_| Halt::EngineGone)?;
        }
        Ok(())
    }

    /// Commits a decided block. Returns whether it is committed; it is not when the block was lost with the file of
    /// undecided blocks, and is fetched from the others then.
    async fn decide(&mut self, decided: CommitCertificate<Ctx>) -> Result<bool, Halt> {
        let height = decided.height.0;
        if height <= self.application.height() {
            return Ok(true);
        }
        let Some(held) = self.proposals.get(height, decided.value_id).cloned() else {
            tracing::warn!(%height, block = %decided.value_id, "decided, but the block is not here; fetching it");
            return Ok(false);
        };
        let certificate = certificate_of(decided);
        let (application, block) = (Arc::clone(&self.application), Arc::clone(&held.block));
        let committed = blocking(move || -> Result<Vec<TxHash>, Halt> {
            let validators = application.validators(height);
            certificate
                .verify(application.ledger_id(), &validators)
                .map_err(|fault| Halt::Certificate { height, fault })?;
            application.commit(&block, &certificate)?;
            Ok(block.txs.iter().map(|tx| tx.hash()).collect())
        });
        let included = committed.await?;
        let with_room = held.encoded.len() <= ROOMY_BLOCK_BYTES;
        self.mempool.lock().committed(height, &included, with_room);
        let fetched = self.fetched == Some(height);
        self.status.committed(height, held.block.header.time, fetched);
        self.proposals.forget_through(height);
        tracing::info!(%height, block = %held.announcement.block, txs = included.len(), fetched, "committed");
        Ok(true)
    }

    fn finalized(&mut self, height: Height, reply: Reply<Next<Ctx>>) -> Result<(), Halt> {
        if height > self.application.height() {
            // The signer makes restarting a height safe: what was signed in it is not signed differently again.
            let params = self.height_params(height)?;
            send(reply, Next::Restart(BlockHeight(height), params));
            return Ok(());
        }
        self.waiting = Some(Waiting { reply, deadline: Instant::now() + self.heartbeat });
        let behind = self.fetched == Some(height) || self.proposals.any_above(height) || self.status.others_started();
        if behind || self.mempool.lock().hastens() { self.start_next() } else { Ok(()) }
    }

    fn start_next(&mut self) -> Result<(), Halt> {
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        let next = self.next_height()?;
        send(waiting.reply, Next::Start(BlockHeight(next), self.height_params(next)?));
        Ok(())
    }

    async fn fetched_value(
        &mut self,
        height: BlockHeight,
        round: Round,
        proposer: Member,
        encoded: Bytes,
    ) -> Result<SyncedValueOutcome<Ctx>, Halt> {
        if Some(height.0) != self.application.height().next() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let application = Arc::clone(&self.application);
        let bytes = encoded.clone();
        let checked = blocking(move || Block::decode(&bytes).map(|block| (application.check(&block), block)));
        let Ok((checked, block)) = checked.await else { return Ok(SyncedValueOutcome::PeerFault) };
        let hash = block.hash();
        let validity = match checked {
            Ok(()) => {
                let round = round.as_u32().unwrap_or(0);
                let announcement =
                    Announcement { height: height.0, round, pol_round: None, proposer: proposer.0, block: hash };
                self.proposals.keep(announcement, block, encoded).await?;
                self.fetched = Some(height.0);
                Validity::Valid
            }
            Err(fault) => {
                // Malachite compares the hash with the certificate's, and blames the peer when they differ.
                tracing::error!(%height, %fault, "a fetched block does not fit this node's state");
                let error = ApplicationError::Diverged { height: height.0, fault };
                self.status.unfit(error.to_string());
                Validity::Invalid
            }
        };
        let value = BlockRef(hash);
        let value = ProposedValue { height, round, valid_round: Round::Nil, proposer, value, validity };
        Ok(SyncedValueOutcome::Verdict(value))
    }

    async fn decided_values(&self, range: RangeInclusive<BlockHeight>) -> Result<Vec<RawDecidedValue<Ctx>>, Halt> {
        let application = Arc::clone(&self.application);
        let values = blocking(move || -> Result<_, ApplicationError> {
            let from = range.start().0.max(application.min_height()).get();
            let to = range.end().0.min(application.height()).get();
            let (mut values, mut bytes) = (Vec::new(), 0);
            for height in from..=to {
                let Some((block, certificate)) = application.decided(Height::new(height))? else { break };
                let value = raw_decided(&block, certificate);
                bytes += value.value_bytes.len() + 128 * value.certificate.commit_signatures.len();
                if !values.is_empty() && bytes > MAX_RESPONSE_BYTES / 2 {
                    break;
                }
                values.push(value);
            }
            Ok(values)
        });
        Ok(values.await?)
    }
}

fn raw_decided(block: &Block, certificate: Certificate) -> RawDecidedValue<Ctx> {
    let signatures = certificate.signatures.into_iter().map(|(signer, signature)| {
        ExtendedCommitSignature::new(Member(signer), super::context::VoteSignature(signature), None)
    });
    let certificate = ExtendedCommitCertificate {
        height: BlockHeight(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block,
        commit_signatures: signatures.collect(),
    };
    RawDecidedValue::new(block.encode().into(), certificate)
}

fn certificate_of(decided: CommitCertificate<Ctx>) -> Certificate {
    let mut signatures: Vec<_> =
        decided.commit_signatures.into_iter().map(|commit| (commit.address.0, commit.signature.0)).collect();
    signatures.sort_by_key(|(signer, _)| *signer);
    signatures.dedup_by_key(|(signer, _)| *signer);
    Certificate {
        height: decided.height.0,
        round: decided.round.as_u32().unwrap_or(0),
        block: decided.value_id,
        signatures,
    }
}

/// Whoever signs two different things is named in the log: the other members act on it, not the program.
fn report(evidence: &MisbehaviorEvidence<Ctx>) {
    for (member, proofs) in evidence.votes.iter() {
        tracing::error!(member = %member.0, count = proofs.len(), "signed contradicting votes");
    }
    for (member, proofs) in evidence.proposals.iter() {
        tracing::error!(member = %member.0, count = proofs.len(), "signed contradicting proposals");
    }
}

/// Malachite may have gone on without the answer; then nobody needs it.
fn send<T>(reply: Reply<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::debug!("malachite no longer waits for this answer");
    }
}
