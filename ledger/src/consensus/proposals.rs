//! The blocks that are proposed but not decided: received in pieces, checked once, kept on disk before anyone votes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_malachitebft_app_channel::app::types::core::{Round, Validity};
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{PeerId, ProposedValue};
use bytes::Bytes;
use consilium_protocol::ids::{BlockHash, Height, Timestamp};

use super::application::Application;
use super::context::{BlockHeight, BlockRef, LedgerContext, Member, ProposalPart};
use super::parts::{Announcement, Assembly};
use super::undecided::{Undecided, UndecidedError};
use crate::block::{Block, BlockFault};

/// How many blocks of one publisher are held for one height. An honest member makes one for each round that it
/// proposes in, so that this many are reached only after very many failed rounds.
const MAX_HELD_PER_PUBLISHER: usize = 24;

/// A block that may be decided.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) announcement: Announcement,
    pub(super) block: Arc<Block>,
    pub(super) encoded: Bytes,
    /// Whether it may be the next block; `None` when its parent is not committed yet.
    pub(super) valid: Option<bool>,
    /// Whether malachite was told of it for the announced round.
    told: bool,
    /// Whose network identity published it; none when it is this node's, fetched, or read from disk.
    publisher: Option<PeerId>,
}

/// What a check came to.
enum Verdict {
    Valid,
    Invalid,
    /// Its time is too far ahead; it may be valid when it is proposed again.
    Early,
}

impl Held {
    fn proposed(&self, valid: bool) -> ProposedValue<LedgerContext> {
        ProposedValue {
            height: BlockHeight(self.announcement.height),
            round: Round::new(self.announcement.round),
            valid_round: self.announcement.pol_round.into(),
            proposer: Member(self.announcement.proposer),
            value: BlockRef(self.announcement.block),
            validity: Validity::from_bool(valid),
        }
    }
}

/// Milliseconds since 1970 by this node's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// All undecided blocks of this node.
pub(super) struct Proposals {
    application: Arc<dyn Application>,
    undecided: Arc<Undecided>,
    assembly: Assembly,
    held: BTreeMap<(Height, BlockHash), Held>,
    max_clock_skew: Duration,
}

impl Proposals {
    /// What was kept for the next height when the node stopped is held again.
    pub(super) fn open(
        application: Arc<dyn Application>,
        undecided: Undecided,
        max_clock_skew: Duration,
    ) -> Result<Self, UndecidedError> {
        let mut held = BTreeMap::new();
        if let Some(next) = application.height().next() {
            for (announcement, encoded) in undecided.at(next)? {
                let Ok(block) = Block::decode(&encoded) else { return Err(UndecidedError::Corrupt) };
                let (block, encoded) = (Arc::new(block), encoded.into());
                // Only what was valid is ever kept on disk.
                let kept = Held { announcement, block, encoded, valid: Some(true), told: false, publisher: None };
                held.insert((next, announcement.block), kept);
            }
        }
        let undecided = Arc::new(undecided);
        Ok(Self { application, undecided, assembly: Assembly::default(), held, max_clock_skew })
    }

    /// The block of this hash.
    pub(super) fn get(&self, height: Height, block: BlockHash) -> Option<&Held> {
        self.held.get(&(height, block))
    }

    /// What this node itself proposed in a round, when it did before a restart.
    pub(super) fn own(&self, height: Height, round: u32, proposer: Member) -> Option<&Held> {
        self.held.values().find(|held| {
            let announcement = &held.announcement;
            announcement.height == height && announcement.round == round && announcement.proposer == proposer.0
        })
    }

    /// A piece arrived. Returns the proposed value when it completes a block of the next height.
    pub(super) async fn receive(
        &mut self,
        publisher: PeerId,
        message: StreamMessage<ProposalPart>,
    ) -> Result<Option<ProposedValue<LedgerContext>>, UndecidedError> {
        let Some((announcement, block, encoded)) = self.assembly.insert(publisher, message) else { return Ok(None) };
        let committed = self.application.height();
        let key = (announcement.height, announcement.block);
        // One height further may be proposed before this node has seen the last votes of the height before.
        let near = committed.get()..=committed.get().saturating_add(2);
        if announcement.height <= committed || !near.contains(&announcement.height.get()) {
            return Ok(None);
        }
        if let Some(held) = self.held.get_mut(&key) {
            held.announcement = announcement;
            held.told = false;
        } else {
            let of_publisher = |(at, held): (&(Height, _), &Held)| at.0 == key.0 && held.publisher == Some(publisher);
            if self.held.iter().filter(|entry| of_publisher(*entry)).count() >= MAX_HELD_PER_PUBLISHER {
                tracing::warn!(%publisher, height = %key.0, "ignoring further blocks of one publisher");
                return Ok(None);
            }
            let (block, publisher) = (Arc::new(block), Some(publisher));
            self.held.insert(key, Held { announcement, block, encoded, valid: None, told: false, publisher });
        }
        self.tell(key).await
    }

    /// Keeps a block that was built or fetched, and is valid.
    pub(super) async fn keep(
        &mut self,
        announcement: Announcement,
        block: Block,
        encoded: Bytes,
    ) -> Result<(), UndecidedError> {
        let key = (announcement.height, announcement.block);
        self.store(announcement, encoded.clone()).await?;
        let block = Arc::new(block);
        self.held.insert(key, Held { announcement, block, encoded, valid: Some(true), told: true, publisher: None });
        Ok(())
    }

    /// What malachite was not told yet of a height and round that begins.
    pub(super) async fn untold(
        &mut self,
        height: Height,
        round: u32,
    ) -> Result<Vec<ProposedValue<LedgerContext>>, UndecidedError> {
        let keys: Vec<_> = self
            .held
            .iter()
            .filter(|((at, _), held)| *at == height && held.announcement.round <= round && !held.told)
            .map(|(key, _)| *key)
            .collect();
        let mut values = Vec::new();
        for key in keys {
            values.extend(self.tell(key).await?);
        }
        Ok(values)
    }

    /// Whether a complete block above the last committed height is held.
    pub(super) fn any_above(&self, height: Height) -> bool {
        self.held.keys().any(|(at, _)| *at > height)
    }

    /// A height was committed: what was proposed for it is of no use any more.
    pub(super) fn forget_through(&mut self, height: Height) {
        self.held.retain(|(at, _), _| *at > height);
        if let Some(next) = height.next() {
            self.assembly.forget_below(next);
        }
    }

    async fn tell(&mut self, key: (Height, BlockHash)) -> Result<Option<ProposedValue<LedgerContext>>, UndecidedError> {
        let Some(held) = self.held.get(&key).cloned() else { return Ok(None) };
        if Some(key.0) != self.application.height().next() {
            return Ok(None);
        }
        let valid = match held.valid {
            Some(valid) => Some(valid),
            None => match self.judge(&held).await? {
                Verdict::Valid => Some(true),
                Verdict::Invalid => Some(false),
                Verdict::Early => None,
            },
        };
        if let Some(held) = self.held.get_mut(&key) {
            held.valid = valid;
            held.told = true;
        }
        Ok(Some(held.proposed(valid == Some(true))))
    }

    async fn judge(&self, held: &Held) -> Result<Verdict, UndecidedError> {
        let (application, block) = (Arc::clone(&self.application), Arc::clone(&held.block));
        let skew_ms = u64::try_from(self.max_clock_skew.as_millis()).unwrap_or(u64::MAX);
        let checked = blocking(move || {
            if block.header.time > now().plus_millis(skew_ms) {
                return Err(BlockFault::TimeTooEarly { found: block.header.time, skew_ms });
            }
            application.check(&block)
        });
        if let Err(fault) = checked.await {
            let Announcement { height, round, proposer, block, .. } = held.announcement;
            tracing::warn!(%height, round, %proposer, %block, %fault, "refusing a proposed block");
            let early = matches!(fault, BlockFault::TimeTooEarly { .. });
            return Ok(if early { Verdict::Early } else { Verdict::Invalid });
        }
        self.store(held.announcement, held.encoded.clone()).await?;
        Ok(Verdict::Valid)
    }

    async fn store(&self, announcement: Announcement, encoded: Bytes) -> Result<(), UndecidedError> {
        let undecided = Arc::clone(&self.undecided);
        blocking(move || undecided.keep(&announcement, &encoded)).await
    }
}

/// Runs what may wait for the disk where that is allowed.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
