//! Metrics and health over HTTP, for a hospital's monitoring: `/metrics` (Prometheus text), `/healthz` (the process
//! lives), `/readyz` (the node takes part).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Shared;
use super::health::{self, Readiness};

/// What a node counts itself; the rest is asked when metrics are.
#[derive(Debug, Default)]
pub struct Counters {
    /// Transactions handed in by people's programs.
    pub submitted: AtomicU64,
    /// Of these, refused at once.
    pub refused: AtomicU64,
    /// Transactions received from other members.
    pub gossiped: AtomicU64,
    /// Contributions made.
    pub contributions: AtomicU64,
    /// Contributions that failed, whatever the reason.
    pub failures: AtomicU64,
    /// Contributions of others that were not what they had committed to.
    pub forged: AtomicU64,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Serves until the listener is dropped.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(shared);
    let _ = axum::serve(listener, app).await;
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match health::readiness(&shared) {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_string()),
        Readiness::CatchingUp => (StatusCode::SERVICE_UNAVAILABLE, "catching up\n".to_string()),
        Readiness::Halted(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("halted: {reason}\n")),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
        text.push_str(&format!(
            "# HELP consilium_{name} {help}\n# TYPE consilium_{name} {kind}\nconsilium_{name} {value}\n"
        ));
    };
    let health = shared.consensus.health();
    let ready = u64::from(matches!(health::readiness(&shared), Readiness::Ready));
    metric("ready", "gauge", "Whether the node takes part in consensus.", ready);
    metric("height", "gauge", "The last block.", health.height.get());
    metric("peers", "gauge", "Members connected.", health.peers_connected as u64);
    metric("waiting_transactions", "gauge", "Transactions that wait for a block.", health.waiting_txs as u64);
    if let Ok(figures) = shared.chain.read(|state| state.figures()) {
        metric("transactions_total", "counter", "Transactions on the ledger.", figures.transactions);
        metric("grants_total", "counter", "Consent documents on the ledger.", figures.grants);
    }
    metric("failing_duties", "gauge", "Duties to studies that fail now.", shared.failing.count() as u64);
    let counters = &shared.counters;
    let own = [
        ("submitted_total", "Transactions handed in here.", &counters.submitted),
        ("refused_total", "Transactions handed in here and refused at once.", &counters.refused),
        ("gossiped_total", "Transactions received from other members.", &counters.gossiped),
        ("contributions_total", "Contributions made.", &counters.contributions),
        ("contribution_failures_total", "Contributions that could not be made.", &counters.failures),
        ("forged_contributions_total", "Contributions that were not what they had committed to.", &counters.forged),
    ];
    for (name, help, counter) in own {
        metric(name, "counter", help, counter.load(Ordering::Relaxed));
    }
    text.push_str(&shared.consensus.metrics());
    text
}
