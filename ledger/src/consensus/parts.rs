//! Proposed blocks in pieces: cut by the proposer, put together by everyone else.
//!
//! Pieces are not signed. What arrives is bounded per publisher and in all, and is worth something only when the whole
//! has the hash that it was announced with.

use std::collections::{BTreeMap, VecDeque};

use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
use bytes::Bytes;
use consilium_protocol::ids::{BlockHash, Height, HospitalId};

use super::context::{BlockHeight, Member, ProposalPart};
use crate::block::{Block, MAX_BLOCK_BYTES};

/// How many bytes of a block one piece carries.
pub const PART_BYTES: usize = 128 * 1024;

const MAX_PARTS: u64 = MAX_BLOCK_BYTES.div_ceil(PART_BYTES) as u64;
const MAX_STREAMS_PER_PUBLISHER: usize = 3;
const MAX_STREAMS: usize = 256;
const MAX_PENDING_BYTES: usize = 12 * MAX_BLOCK_BYTES;

/// What is announced about a proposed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// The height proposed for.
    pub height: Height,
    /// The round within the height.
    pub round: u32,
    /// The earlier round in which more than two thirds prevoted for the block.
    pub pol_round: Option<u32>,
    /// Who proposes it in this round.
    pub proposer: HospitalId,
    /// The block's hash.
    pub block: BlockHash,
}

/// Cuts an encoded block into the messages of one stream. `stream` tells it from other streams of this node.
pub fn cut(announcement: &Announcement, encoded: &Bytes, stream: u64) -> Vec<StreamMessage<ProposalPart>> {
    let id = StreamId::new(Bytes::copy_from_slice(&stream.to_be_bytes()));
    let start = ProposalPart::Start {
        height: BlockHeight(announcement.height),
        round: announcement.round,
        pol_round: announcement.pol_round,
        proposer: Member(announcement.proposer),
        block: announcement.block,
        bytes: encoded.len() as u32,
    };
    let pieces = encoded.chunks(PART_BYTES);
    let count = pieces.len();
    let pieces = pieces
        .enumerate()
        .map(|(index, piece)| ProposalPart::Bytes { last: index + 1 == count, bytes: piece.to_vec() });
    std::iter::once(start)
        .chain(pieces)
        .zip(0..)
        .map(|(part, sequence)| StreamMessage::new(id.clone(), sequence, StreamContent::Data(part)))
        .collect()
}

#[derive(Debug, Default)]
struct Stream {
    start: Option<(Announcement, usize)>,
    pieces: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl Stream {
    fn whole(&self) -> bool {
        self.start.as_ref().is_some_and(|(_, bytes)| self.bytes == *bytes)
    }
}

type Key = (PeerId, StreamId);

/// Streams that are not complete yet.
#[derive(Debug, Default)]
pub struct Assembly {
    streams: BTreeMap<Key, Stream>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Assembly {
    /// Takes a message of a stream. Returns the announcement, the block and its encoding when it was the last that
    /// was missing, and the block is what was announced.
    pub fn insert(
        &mut self,
        publisher: PeerId,
        message: StreamMessage<ProposalPart>,
    ) -> Option<(Announcement, Block, Bytes)> {
        let part = message.content.into_data()?;
        let key = (publisher, message.stream_id);
        if message.sequence > MAX_PARTS {
            self.remove(&key);
            return None;
        }
        if !self.streams.contains_key(&key) {
            self.open(key.clone());
        }
        let stream = self.streams.get_mut(&key)?;
        match part {
            ProposalPart::Start { height, round, pol_round, proposer, block, bytes } => {
                let announcement = Announcement { height: height.0, round, pol_round, proposer: proposer.0, block };
                stream.start.get_or_insert((announcement, bytes as usize));
            }
            ProposalPart::Bytes { bytes, .. } => {
                let length = bytes.len();
                if length == 0 || length > PART_BYTES || stream.bytes + length > MAX_BLOCK_BYTES {
                    self.remove(&key);
                    return None;
                }
                if stream.pieces.insert(message.sequence, bytes).is_some() {
                    // A second piece under one number: nothing honest does that.
                    self.remove(&key);
                    return None;
                }
                stream.bytes += length;
                self.bytes += length;
            }
        }
        if !stream.whole() {
            self.shrink(&key);
            return None;
        }
        let stream = self.remove(&key)?;
        let (announcement, _) = stream.start?;
        let encoded: Bytes = stream.pieces.into_values().collect::<Vec<_>>().concat().into();
        let block = Block::decode(&encoded).ok()?;
        (block.hash() == announcement.block).then_some((announcement, block, encoded))
    }

    /// Forgets streams for heights below `height`.
    pub fn forget_below(&mut self, height: Height) {
        let old: Vec<Key> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.start.as_ref().is_some_and(|(start, _)| start.height < height))
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.remove(&key);
        }
    }

    fn open(&mut self, key: Key) {
        let mut of_publisher = self.order.iter().filter(|(publisher, _)| *publisher == key.0);
        let oldest_of_publisher = of_publisher.next().cloned();
        if let Some(oldest) = oldest_of_publisher
            && of_publisher.count() + 1 >= MAX_STREAMS_PER_PUBLISHER
        {
            self.remove(&oldest);
        }
        if self.order.len() >= MAX_STREAMS
            && let Some(oldest) = self.order.front().cloned()
        {
            self.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.streams.insert(key, Stream::default());
    }

    fn shrink(&mut self, keep: &Key) {
        while self.bytes > MAX_PENDING_BYTES {
            let Some(oldest) = self.order.iter().find(|key| *key != keep).cloned() else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        self.order.retain(|other| other != key);
        self.bytes -= stream.bytes;
        Some(stream)
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
