//! Whether a node takes part, told truthfully.

use std::sync::Arc;
use std::time::Duration;

use consilium_ledger::consensus::Condition;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{info, warn};

use crate::replica::Replica;

/// Whether a node takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It is behind the others.
    CatchingUp,
    /// No block comes; it goes on when enough others are back.
    Stalled(String),
    /// It does not, and will not by itself.
    Halted(String),
}

impl Readiness {
    /// The word for it on the wire.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::CatchingUp => "catching_up",
            Self::Stalled(_) => "stalled",
            Self::Halted(_) => "halted",
        }
    }

    /// Why it does not take part.
    pub fn reason(&self) -> String {
        match self {
            Self::Ready => String::new(),
            Self::CatchingUp => "the node is fetching blocks from the others".to_string(),
            Self::Stalled(reason) | Self::Halted(reason) => reason.clone(),
        }
    }
}

/// Whether the node takes part now.
pub fn readiness(replica: &Replica) -> Readiness {
    match replica.consensus.health().condition {
        Condition::Ready => Readiness::Ready,
        Condition::CatchingUp => Readiness::CatchingUp,
        Condition::Stalled { reason } => Readiness::Stalled(reason),
        Condition::Halted { reason } => Readiness::Halted(reason),
        other => Readiness::Halted(format!("{other:?}")),
    }
}

/// Keeps the gRPC health service up to date, and the log on who is connected: the network's own words on it are many.
pub async fn report(replica: Arc<Replica>, reporter: HealthReporter) {
    let mut before = 0;
    loop {
        let others = replica.genesis.member.len() - 1;
        let connected = replica.consensus.health().peers_connected;
        if connected > before {
            info!(connected, others, "other members are connected");
        } else if connected < before {
            warn!(connected, others, "other members have left; the network tries to reach them again");
        }
        before = connected;
        let status = match readiness(&replica) {
            Readiness::Ready => ServingStatus::Serving,
            Readiness::CatchingUp | Readiness::Stalled(_) | Readiness::Halted(_) => ServingStatus::NotServing,
        };
        for service in ["", "consilium.v1.Ledger", "consilium.v1.Peer"] {
            reporter.set_service_status(service, status).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
