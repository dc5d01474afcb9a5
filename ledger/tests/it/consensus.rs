//! Nodes of a consortium agreeing over loopback.

#[path = "consensus/cluster.rs"]
mod cluster;
#[path = "consensus/faults.rs"]
mod faults;
#[path = "consensus/memory.rs"]
mod memory;

use std::time::{Duration, Instant};

use consilium_ledger::consensus::Condition;

use self::cluster::{Cluster, alone, until};

const ALL: [usize; 4] = [0, 1, 2, 3];
/// Longer than any test: with it, only transactions make blocks.
const NO_HEARTBEAT: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_members_agree_on_blocks_with_transactions() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        for _ in 0..20 {
            let tx = cluster.tx(100);
            let hash = cluster.submit(&tx);
            cluster.included(&ALL, hash).await;
        }
        cluster.assert_agreement();
        for node in &cluster.nodes {
            until("healthy", || node.handle().health().condition == Condition::Ready).await;
            let health = node.handle().health();
            assert_eq!((health.peers_connected, health.peers_configured, health.waiting_txs), (3, 3, 0));
            assert_eq!(health.refused_signatures, 0);
            assert!(health.block_time.get() > 1_600_000_000_000);
        }
        assert!(cluster.nodes[0].handle().metrics().contains("malachitebft"));
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_of_four_go_on_and_the_fourth_catches_up() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;

        cluster.nodes[3].stop().await;
        for _ in 0..12 {
            let tx = cluster.tx(5_000);
            let hash = cluster.submit(&tx);
            cluster.included(&[0, 1, 2], hash).await;
        }
        cluster.nodes[3].start().await;
        let reached = cluster.nodes[0].height();
        let late = &cluster.nodes[3];
        until("caught up", || late.height() >= reached).await;

        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_of_four_stall_and_recover_when_a_third_returns() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;

        cluster.nodes[2].stop().await;
        cluster.nodes[3].stop().await;
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        let stalled = |node: &cluster::Node| matches!(node.handle().health().condition, Condition::Stalled { .. });
        until("the two say that they stall", || cluster.nodes[..2].iter().all(stalled)).await;
        let has = |index: usize| cluster.nodes[index].ledger.blocks().iter().any(|(b, _)| b.txs.contains(&tx));
        assert!(!has(0) && !has(1), "two of four are no quorum");

        cluster.nodes[2].start().await;
        cluster.included(&[0, 1, 2], hash).await;
        cluster.nodes[3].start().await;
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_idle_ledger_makes_only_heartbeats() {
    alone(async {
        let heartbeat = Duration::from_millis(1500);
        let cluster = Cluster::running(4, heartbeat).await;
        // Starting makes a block or two; then only the heartbeat does.
        until("the first blocks", || cluster.nodes[0].height() >= 2).await;
        let (from, since) = (cluster.nodes[0].height(), Instant::now());
        until("three more", || cluster.nodes[0].height() >= from + 3).await;
        assert!(since.elapsed() >= heartbeat * 2, "too fast: {:?}", since.elapsed());
        assert!(cluster.nodes[0].ledger.blocks().iter().all(|(block, _)| block.txs.is_empty()));
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_restart_where_they_were() {
    alone(async {
        let mut cluster = Cluster::running(4, NO_HEARTBEAT).await;
        for _ in 0..3 {
            for _ in 0..3 {
                let tx = cluster.tx(1_000);
                let hash = cluster.submit(&tx);
                cluster.included(&ALL, hash).await;
            }
            for node in &mut cluster.nodes {
                node.stop().await;
            }
            for node in &mut cluster.nodes {
                node.start().await;
            }
        }
        let tx = cluster.tx(100);
        let hash = cluster.submit(&tx);
        cluster.included(&ALL, hash).await;
        cluster.assert_agreement();
        cluster.stop().await;
    })
    .await;
}
