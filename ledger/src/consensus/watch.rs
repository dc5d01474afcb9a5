//! A node watching itself: whether malachite answers, whom it is connected to, what the others have reached.
//!
//! After a failure of its write-ahead log malachite does not stop: it hangs on purpose, so that nothing restarts it and
//! signs again without a log. From outside that looks like silence, so silence is what is looked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::util::events::{Event, RxEvent};
use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use arc_malachitebft_app_channel::{ConsensusRequest, NetworkRequest};
use libp2p_identity::PeerId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::application::Application;
use super::context::LedgerContext;
use super::handle::metrics_text;
use super::status::Status;

const NETWORK_INTERVAL: Duration = Duration::from_millis(500);
const ENGINE_INTERVAL: Duration = Duration::from_secs(3);
/// Malachite answers between two messages; each may wait for the disk.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);

/// What the watching tasks need.
pub(super) struct Watch {
    pub(super) status: Arc<Status>,
    pub(super) application: Arc<dyn Application>,
    pub(super) events: RxEvent<LedgerContext>,
    pub(super) requests: mpsc::Sender<ConsensusRequest<LedgerContext>>,
    pub(super) net_requests: mpsc::Sender<NetworkRequest>,
    pub(super) others_started: Arc<Notify>,
    pub(super) peers: BTreeSet<PeerId>,
    pub(super) moniker: String,
}

impl Watch {
    /// Watches until dropped.
    pub(super) async fn run(self) {
        let Self { status, application, events, requests, net_requests, others_started, peers, moniker } = self;
        tokio::join!(
            follow(events, Arc::clone(&status), application, others_started),
            probe_network(net_requests, Arc::clone(&status), peers),
            probe_engine(requests, status, moniker),
        );
    }
}

/// Notes what others vote on, and failures of the write-ahead log.
async fn follow(
    mut events: RxEvent<LedgerContext>,
    status: Arc<Status>,
    application: Arc<dyn Application>,
    others_started: Arc<Notify>,
) {
    loop {
        match events.recv().await {
            Ok(Event::Received(message)) => {
                let (voter, height) = match message {
                    SignedConsensusMsg::Vote(vote) => (vote.message.voter, vote.message.height),
                    SignedConsensusMsg::Proposal(proposal) => (proposal.message.proposer, proposal.message.height),
                };
                // The signature is not checked yet: only who is a member counts, and one member alone changes nothing.
                if let Some(next) = application.height().next()
                    && height.0 >= next
                    && application.validators(next).iter().any(|validator| validator.id == voter.0)
                {
                    status.seen(voter.0, height.0);
                    others_started.notify_one();
                }
            }
            Ok(Event::WalCorrupted(error)) => status.halt(wal_reason(&error)),
            Ok(Event::WalReplayError(error)) => status.halt(wal_reason(&error)),
            Ok(Event::WalResetError(error)) => status.halt(wal_reason(&error)),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => others_started.notify_one(),
            Err(RecvError::Closed) => return,
        }
    }
}

fn wal_reason(error: &dyn std::fmt::Display) -> String {
    format!(
        "the write-ahead log cannot be used ({error}); check the disk. If the log is damaged, move it away, leave the \
         signer's file, and start again: the node then abstains where it voted, and catches up"
    )
}

async fn probe_network(requests: mpsc::Sender<NetworkRequest>, status: Arc<Status>, peers: BTreeSet<PeerId>) {
    let mut ticks = interval(NETWORK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(ENGINE_PATIENCE, NetworkRequest::dump_state(&requests)).await {
            Ok(Ok(Some(state))) => {
                let connected = state.peers.keys().filter(|peer| peers.contains(peer)).count();
                status.peers(connected);
            }
            _ => status.peers(0),
        }
    }
}

async fn probe_engine(requests: mpsc::Sender<ConsensusRequest<LedgerContext>>, status: Arc<Status>, moniker: String) {
    let mut ticks = interval(ENGINE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(ENGINE_PATIENCE, ConsensusRequest::dump_state(&requests)).await {
            Ok(Ok(_)) => status.silent(None),
            _ if safety_failure(&moniker) => status.halt(wal_reason(&"malachite reports a safety failure")),
            _ => status.silent(Some(
                "malachite does not answer; see its last messages in the log, then start the node again".to_string(),
            )),
        }
    }
}

/// Malachite's own word that it hangs on purpose.
fn safety_failure(moniker: &str) -> bool {
    let label = format!("moniker=\"{moniker}\"");
    metrics_text()
        .lines()
        .filter(|line| line.contains("node_safety_failure") && line.contains(&label))
        .any(|line| line.ends_with(" 1"))
}
