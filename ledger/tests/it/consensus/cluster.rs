//! Several nodes of a consortium in one process, each with its directory, ledger and mempool.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use consilium_ledger::certificate::Validator;
use consilium_ledger::consensus::application::Application as _;
use consilium_ledger::consensus::{self, ConsensusConfig, ConsensusHandle, ConsensusKeys, Peer, StartError, Timeouts};
use consilium_ledger::mempool::{Mempool, MempoolLimits, SharedMempool};
use consilium_protocol::ids::{Height, HospitalId, LedgerId, Sequence, StudyId, TxHash};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Payload, Reject, SignedTx, Signer, TxBody};
use tempfile::TempDir;

use super::memory::MemoryLedger;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, or fails the test saying `what` did not happen.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One member's node.
pub(super) struct Node {
    pub(super) ledger: Arc<MemoryLedger>,
    pub(super) handle: Option<ConsensusHandle>,
    pub(super) config: ConsensusConfig,
    /// What the keys are made of.
    pub(super) seed: u8,
    /// Whom the node says that it is of.
    pub(super) key_of: u8,
    directory: TempDir,
}

impl Node {
    pub(super) fn height(&self) -> u64 {
        self.ledger.height().get()
    }

    pub(super) fn handle(&self) -> &ConsensusHandle {
        self.handle.as_ref().expect("the node runs")
    }

    pub(super) async fn start(&mut self) {
        self.try_start().await.expect("starts");
    }

    pub(super) async fn try_start(&mut self) -> Result<(), StartError> {
        let mempool = SharedMempool::new(Mempool::new(MempoolLimits::default(), self.ledger.height()));
        let ledger = Arc::clone(&self.ledger);
        let keys = ConsensusKeys { member: member(self.key_of), ..keys(self.seed) };
        let handle = consensus::start(self.config.clone(), keys, ledger, mempool).await?;
        self.handle = Some(handle);
        Ok(())
    }

    /// Starts when what an earlier, torn down run held is released: its log's thread ends a moment later.
    pub(super) async fn restart_when_released(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_start().await {
                Ok(()) => return,
                Err(StartError::Wal { .. } | StartError::Undecided(_) | StartError::Listen { .. })
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(super) async fn stop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop().await;
        }
    }

    pub(super) fn home(&self) -> &std::path::Path {
        self.directory.path()
    }
}

/// A consortium.
pub(super) struct Cluster {
    pub(super) ledger_id: LedgerId,
    pub(super) validators: Vec<Validator>,
    pub(super) nodes: Vec<Node>,
    sequence: u64,
}

pub(super) fn member(seed: u8) -> HospitalId {
    SigningKey::from_seed(&[seed; 32]).hospital()
}

pub(super) fn keys(seed: u8) -> ConsensusKeys {
    ConsensusKeys {
        member: member(seed),
        consensus: SigningKey::from_seed(&[seed.wrapping_add(100); 32]),
        peer: SigningKey::from_seed(&[seed.wrapping_add(200); 32]),
    }
}

pub(super) fn peer(seed: u8, address: SocketAddr) -> Peer {
    Peer { id: member(seed), address: address.to_string(), peer_public_key: keys(seed).peer.public_key() }
}

/// Ports that nobody uses now, below those that the system gives to outgoing connections, so that they stay free
/// while a node is stopped.
pub(super) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + (std::process::id() % 1_000) as u16 * 20;
    let ports = std::iter::repeat_with(|| base + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000);
    let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.filter(|address| TcpListener::bind(address).is_ok()).take(count).collect()
}

impl Cluster {
    /// Members, none of them started.
    pub(super) fn new(size: u8, heartbeat: Duration) -> Self {
        let ledger_id = LedgerId::from_bytes([1; 32]);
        let validators: Vec<Validator> = (1..=size)
            .map(|seed| Validator { id: member(seed), consensus_key: keys(seed).consensus.public_key() })
            .collect();
        let addresses = free_addresses(size.into());
        let peers: Vec<Peer> = (1..=size).zip(&addresses).map(|(seed, address)| peer(seed, *address)).collect();
        let nodes = (1..=size).zip(&addresses).map(|(seed, address)| {
            let directory = tempfile::tempdir().expect("a directory");
            let others = peers.iter().filter(|peer| peer.id != member(seed)).cloned().collect();
            let mut config = ConsensusConfig::new(directory.path().to_path_buf(), *address, others);
            config.heartbeat = heartbeat;
            config.status_interval = Duration::from_millis(500);
            config.timeouts = Timeouts {
                propose: Duration::from_millis(1000),
                prevote: Duration::from_millis(500),
                precommit: Duration::from_millis(500),
                growth: Duration::from_millis(250),
                rebroadcast: Duration::from_millis(1000),
            };
            let ledger = Arc::new(MemoryLedger::new(ledger_id, validators.clone()));
            Node { ledger, handle: None, config, seed, key_of: seed, directory }
        });
        let nodes = nodes.collect();
        Self { ledger_id, validators, nodes, sequence: 0 }
    }

    /// Members, all running.
    pub(super) async fn running(size: u8, heartbeat: Duration) -> Self {
        let mut cluster = Self::new(size, heartbeat);
        for node in &mut cluster.nodes {
            node.start().await;
        }
        cluster
    }

    /// A transaction that has never been.
    pub(super) fn tx(&mut self, bytes: usize) -> SignedTx {
        self.sequence += 1;
        let key = SigningKey::from_seed(&[1; 32]);
        let reject = Reject { study: StudyId::from_bytes([9; 32]), reason: "x".repeat(bytes) };
        let body = TxBody {
            sequence: Sequence::new(self.sequence),
            expires: Height::new(100_000),
            payload: Payload::Reject(reject),
        };
        SignedTx::sign(&self.ledger_id, &body, Signer::Hospital(key.hospital()), &key)
    }

    /// Gives a transaction to every running node, as gossip does.
    pub(super) fn submit(&self, tx: &SignedTx) -> TxHash {
        for handle in self.nodes.iter().filter_map(|node| node.handle.as_ref()) {
            // A node that has it in a block already refuses it, rightly.
            let _ = handle.mempool().insert(tx.clone(), Height::new(100_000));
        }
        tx.hash()
    }

    /// Waits until these nodes have the transaction in a block.
    pub(super) async fn included(&self, nodes: &[usize], hash: TxHash) {
        for index in nodes {
            let ledger = &self.nodes[*index].ledger;
            until(&format!("node {index} includes {hash}"), || {
                ledger.blocks().iter().any(|(block, _)| block.txs.iter().any(|tx| tx.hash() == hash))
            })
            .await;
        }
    }

    /// Fails unless all ledgers agree as far as they go, and every certificate holds.
    pub(super) fn assert_agreement(&self) {
        let ledgers: Vec<_> = self.nodes.iter().map(|node| node.ledger.blocks()).collect();
        let longest = ledgers.iter().max_by_key(|blocks| blocks.len()).expect("nodes");
        for (index, blocks) in ledgers.iter().enumerate() {
            for ((block, certificate), (expected, _)) in blocks.iter().zip(longest) {
                assert_eq!(block, expected, "node {index}");
                assert_eq!(certificate.block, block.hash());
                certificate.verify(&self.ledger_id, &self.validators).expect("a good certificate");
            }
        }
    }

    pub(super) async fn stop(mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
    }
}

/// One cluster at a time: their nodes are many tasks, and waits have deadlines.
pub(super) async fn alone<T>(test: impl Future<Output = T>) -> T {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _guard = ALONE.lock().await;
    test.await
}
