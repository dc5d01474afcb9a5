//! What a node is told about consensus: where, with whom, how fast.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use arc_malachitebft_app_channel::app::config::{
    ConsensusConfig as EngineConsensus, NodeConfig, P2pConfig, PubSubProtocol, ValuePayload, ValueSyncConfig,
};
use arc_malachitebft_app_channel::app::types::core::LinearTimeouts;
use bytesize::ByteSize;
use consilium_protocol::ids::{HospitalId, LedgerId};
use consilium_protocol::keys::SigningKey;

use super::codec::{MAX_PART_BYTES, MAX_RESPONSE_BYTES, MAX_SMALL_BYTES, MAX_VOTES_BYTES};
use super::network::{PeerError, listen_multiaddr, peer_multiaddr};
use crate::block::MAX_BLOCK_BYTES;

/// Another member's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The member.
    pub id: HospitalId,
    /// Where its node listens, `host:port`.
    pub address: String,
    /// The Ed25519 public key of its node's network identity.
    pub peer_public_key: [u8; 32],
}

/// How long a round waits before it goes on without; each grows by `growth` a round, up to a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the proposal.
    pub propose: Duration,
    /// For further prevotes once more than two thirds disagree.
    pub prevote: Duration,
    /// For further precommits once more than two thirds disagree.
    pub precommit: Duration,
    /// By how much each grows from round to round.
    pub growth: Duration,
    /// How long until votes are sent again.
    pub rebroadcast: Duration,
}

impl Default for Timeouts {
    /// For hospitals on different continents and blocks of the full size; nobody waits for these when all goes well.
    fn default() -> Self {
        Self {
            propose: Duration::from_secs(3),
            prevote: Duration::from_secs(1),
            precommit: Duration::from_secs(1),
            growth: Duration::from_millis(500),
            rebroadcast: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    pub(super) fn linear(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose,
            propose_delta: self.growth,
            prevote: self.prevote,
            prevote_delta: self.growth,
            precommit: self.precommit,
            precommit_delta: self.growth,
            rebroadcast: self.rebroadcast,
            max_timeout: Duration::from_secs(60),
        }
    }
}

/// Everything that consensus is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusConfig {
    /// The directory of the write-ahead log, the signer's file and the undecided blocks; made if missing.
    pub home: PathBuf,
    /// Where this node listens for the others: the public end of its door.
    pub listen: SocketAddr,
    /// The other members' nodes, and only they.
    pub peers: Vec<Peer>,
    /// How long an idle ledger waits between blocks.
    pub heartbeat: Duration,
    /// How far ahead of this node's clock a proposed block's time may be.
    pub max_clock_skew: Duration,
    /// How often this node tells the others its height, so that whoever is behind catches up.
    pub status_interval: Duration,
    /// How long a round waits.
    pub timeouts: Timeouts,
}

impl ConsensusConfig {
    /// A node with the default pace: a heartbeat and a clock skew of ten seconds, a status every two.
    pub fn new(home: PathBuf, listen: SocketAddr, peers: Vec<Peer>) -> Self {
        Self {
            home,
            listen,
            peers,
            heartbeat: Duration::from_secs(10),
            max_clock_skew: Duration::from_secs(10),
            status_interval: Duration::from_secs(2),
            timeouts: Timeouts::default(),
        }
    }

    /// The write-ahead log.
    pub fn wal_path(&self) -> PathBuf {
        self.home.join("consensus.wal")
    }

    /// The signer's file.
    pub fn signer_path(&self) -> PathBuf {
        self.home.join("signer.state")
    }

    /// The undecided blocks.
    pub fn undecided_path(&self) -> PathBuf {
        self.home.join("undecided.redb")
    }
}

/// The keys of a node.
#[derive(Debug)]
pub struct ConsensusKeys {
    /// The member that the node is of.
    pub member: HospitalId,
    /// What it signs votes with.
    pub consensus: SigningKey,
    /// Its network identity.
    pub peer: SigningKey,
}

/// The configuration as malachite wants it.
#[derive(Debug, Clone)]
pub(super) struct EngineConfig {
    moniker: String,
    consensus: EngineConsensus,
    value_sync: ValueSyncConfig,
}

impl EngineConfig {
    /// Libp2p listens at `listen` and finds the peers at `peers`: loopback addresses, behind the door.
    pub(super) fn new(
        moniker: String,
        ledger_id: &LedgerId,
        config: &ConsensusConfig,
        listen: SocketAddr,
        peers: &[(SocketAddr, Peer)],
    ) -> Result<Self, PeerError> {
        let peers =
            peers.iter().map(|(address, peer)| peer_multiaddr(*address, peer)).collect::<Result<Vec<_>, _>>()?;
        let connections_per_ip = 16.max(4 * peers.len());
        let mut p2p = P2pConfig {
            listen_addr: listen_multiaddr(listen),
            persistent_peers: peers,
            persistent_peers_only: true,
            protocol: PubSubProtocol::default(),
            pubsub_max_size: ByteSize::b((MAX_BLOCK_BYTES + MAX_VOTES_BYTES) as u64),
            rpc_max_size: ByteSize::b(2 * MAX_RESPONSE_BYTES as u64),
            ..P2pConfig::default()
        };
        p2p.discovery.enabled = false;
        // All peers are behind the door, at one address.
        p2p.discovery.max_connections_per_ip = connections_per_ip;
        p2p.pubsub_max_size_per_topic.consensus = Some(ByteSize::b(2 * MAX_SMALL_BYTES as u64));
        p2p.pubsub_max_size_per_topic.proposal_parts = Some(ByteSize::b(2 * MAX_PART_BYTES as u64));
        p2p.pubsub_max_size_per_topic.liveness = Some(ByteSize::b(MAX_VOTES_BYTES as u64));
        // Nodes of another ledger do not even speak the same protocol.
        let names = &mut p2p.protocol_names;
        names.consensus = format!("/consilium/{ledger_id}/consensus/1");
        names.discovery_kad = format!("/consilium/{ledger_id}/kad/1");
        names.discovery_regres = format!("/consilium/{ledger_id}/peers/1");
        names.sync = format!("/consilium/{ledger_id}/catch-up/1");
        names.validator_proof = format!("/consilium/{ledger_id}/proof/1");
        let consensus =
            EngineConsensus { p2p, value_payload: ValuePayload::ProposalAndParts, ..EngineConsensus::default() };
        let value_sync = ValueSyncConfig {
            status_update_interval: config.status_interval,
            request_timeout: Duration::from_secs(10),
            max_request_size: ByteSize::b(MAX_SMALL_BYTES as u64),
            max_response_size: ByteSize::b(MAX_RESPONSE_BYTES as u64),
            batch_size: 32,
            ..ValueSyncConfig::default()
        };
        Ok(Self { moniker, consensus, value_sync })
    }
}

impl NodeConfig for EngineConfig {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &EngineConsensus {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut EngineConsensus {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.value_sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.value_sync
    }
}
