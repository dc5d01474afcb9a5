//! Bad days: full disks, damaged files, lost files, wrong keys, strangers, power cuts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use consilium_ledger::consensus::signer::{Signer, SignerError};
use consilium_ledger::consensus::{Condition, ConsensusConfig, StartError};
use consilium_protocol::ids::Height;

use super::cluster::{Cluster, Node, alone, free_addresses, keys, member, peer, until};
use super::memory::MemoryLedger;
use super::{ALL, NO_HEARTBEAT};

fn halted(node: &Node) -> Option<String> {
    match node.handle().health().condition {
        Condition::Halted { reason } => Some(reason),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_halts_one_node_and_no_other() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;

        cluster.nodes[1].ledger.full_disk.store(true, Ordering::SeqCst);
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        until("the node halts", || halted(&cluster.nodes[1]).is_some()).await;
        assert!(halted(&cluster.nodes[1]).expect("halted").contains("no space left"));
        cluster.included(&[0, 2, 3], hash).await;

        cluster.nodes[1].stop().await;
        cluster.nodes[1].ledger.full_disk.store(false, Ordering::SeqCst);
        cluster.nodes[1].start().await;
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_damaged_log_halts_the_node_until_it_is_moved_away() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;

        // Two of four vote in vain: their logs are of the height that goes on.
        cluster.nodes[2].stop().await;
        cluster.nodes[3].stop().await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        let log = cluster.nodes[0].config.wal_path();
        until("votes on the next height are in the log", || {
            // A version of four bytes, the height, then the entries.
            let log = std::fs::read(&log).expect("readable");
            let height = log.get(4..12).and_then(|height| height.try_into().ok()).map(u64::from_be_bytes);
            height == Some(cluster.nodes[0].height() + 1) && log.len() > 200
        })
        .await;
        cluster.nodes[0].stop().await;
        let mut bytes = std::fs::read(&log).expect("readable");
        bytes[60] ^= 1;
        std::fs::write(&log, &bytes).expect("writable");
        // Whether starting fails at once or the node halts while it reads, it must not take part.
        match cluster.nodes[0].try_start().await {
            Err(error) => assert!(error.to_string().contains("log"), "{error}"),
            Ok(()) => {
                until("the node halts", || halted(&cluster.nodes[0]).is_some()).await;
                let reason = halted(&cluster.nodes[0]).expect("halted");
                assert!(reason.contains("write-ahead log"), "{reason}");
                cluster.nodes[0].stop().await;
            }
        }

        std::fs::rename(&log, log.with_extension("damaged")).expect("writable");
        cluster.nodes[0].start().await;
        cluster.submit(&tx);
        cluster.nodes[2].start().await;
        cluster.nodes[3].start().await;
        cluster.submit(&tx);
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_whose_ledger_was_lost_signs_nothing_twice_and_signs_again_when_it_is_past_that() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        for _ in 0..5 {
            let tx = cluster.tx(100);
            let hash = cluster.submit(&tx);
            cluster.included(&ALL, hash).await;
        }
        cluster.nodes[3].stop().await;
        let signed = cluster.nodes[3].height();
        cluster.nodes[3].ledger = Arc::new(MemoryLedger::new(cluster.ledger_id, cluster.validators.clone()));
        cluster.nodes[3].start().await;
        until("it catches up", || cluster.nodes[3].height() >= signed).await;
        let us = member(4);
        for _ in 0..40 {
            let tx = cluster.tx(100);
            let hash = cluster.submit(&tx);
            cluster.included(&ALL, hash).await;
            let blocks = cluster.nodes[0].ledger.blocks();
            let (_, last) = blocks.last().expect("blocks");
            if last.height.get() > signed && last.signatures.iter().any(|(signer, _)| *signer == us) {
                cluster.assert_agreement();
                cluster.stop().await;
                return;
            }
        }
        panic!("the node never signed again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_start_says_why() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;

        // The port is taken: by the running node itself.
        let handle = cluster.nodes[3].handle.take();
        assert!(matches!(cluster.nodes[3].try_start().await, Err(StartError::Listen { .. })));
        // Another process works on the directory.
        let listen = std::mem::replace(&mut cluster.nodes[3].config.listen, free_addresses(1)[0]);
        assert!(matches!(cluster.nodes[3].try_start().await, Err(StartError::Wal { .. })));
        cluster.nodes[3].config.listen = listen;
        cluster.nodes[3].handle = handle;
        cluster.nodes[3].stop().await;

        // Another key than the ledger names.
        cluster.nodes[3].seed = 9;
        cluster.nodes[3].key_of = 4;
        assert!(matches!(cluster.nodes[3].try_start().await, Err(StartError::Key)));
        cluster.nodes[3].seed = 4;

        // The signer's file is gone; renewing it above what may have been signed helps.
        let path = cluster.nodes[3].config.signer_path();
        std::fs::remove_file(&path).expect("writable");
        let missing = cluster.nodes[3].try_start().await;
        assert!(matches!(missing, Err(StartError::Signer(SignerError::Missing { .. }))));
        let through = Height::new(cluster.nodes[0].height() + 1);
        Signer::renew(&path, &cluster.ledger_id, member(4), keys(4).consensus, through).expect("writable");
        cluster.nodes[3].start().await;
        until("it abstains where it may have voted", || cluster.nodes[3].handle().health().refused_signatures > 0)
            .await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stranger_gets_nothing_and_changes_nothing() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        // The stranger knows everything that is public: genesis, addresses, keys. It is no member.
        let mut stranger = Cluster::new(1, Duration::from_millis(200)).nodes.remove(0);
        let peers = (1..=4).map(|seed| peer(seed, cluster.nodes[usize::from(seed) - 1].config.listen)).collect();
        let home = stranger.home().to_path_buf();
        stranger.config = ConsensusConfig { peers, ..ConsensusConfig::new(home, free_addresses(1)[0], Vec::new()) };
        stranger.config.status_interval = Duration::from_millis(200);
        stranger.ledger = Arc::new(MemoryLedger::new(cluster.ledger_id, cluster.validators.clone()));
        stranger.seed = 77;
        stranger.key_of = 77;
        stranger.start().await;
        for _ in 0..20 {
            let tx = cluster.tx(100);
            let hash = cluster.submit(&tx);
            cluster.included(&ALL, hash).await;
        }
        assert_eq!(stranger.height(), 0);
        for node in &cluster.nodes {
            assert_eq!(node.handle().health().peers_connected, 3);
        }
        stranger.stop().await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[test]
fn nodes_cut_off_at_any_instant_agree_and_go_on() {
    // Each round, all nodes are in one runtime that is torn down without a word, in the middle of things.
    let mut cluster = Cluster::new(4, NO_HEARTBEAT);
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    let waiting = runtime();
    waiting.block_on(alone(async {
        for round in 0..6u64 {
            let running = runtime();
            let (sent, mut cluster_back) = tokio::sync::oneshot::channel();
            running.spawn(async move {
                for node in &mut cluster.nodes {
                    node.restart_when_released().await;
                }
                let reached = cluster.nodes[0].height();
                while cluster.nodes[0].height() < reached + 5 + round {
                    let tx = cluster.tx(2_000);
                    cluster.submit(&tx);
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                let _ = sent.send(cluster);
            });
            let mut back = None;
            until("five more blocks", || {
                back = cluster_back.try_recv().ok();
                back.is_some()
            })
            .await;
            running.shutdown_background();
            cluster = back.expect("just received");
            for node in &mut cluster.nodes {
                node.handle = None;
            }
            cluster.assert_agreement();
        }
        for node in &mut cluster.nodes {
            node.restart_when_released().await;
        }
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    }));
    waiting.shutdown_background();
}
