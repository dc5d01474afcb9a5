//! Metrics and health over HTTP, for a hospital's monitoring: `/metrics` (Prometheus text), `/healthz` (the process
//! lives), `/readyz` (the node takes part).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Shared;
use super::health::{self, Readiness};

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
    match health::readiness(&shared.replica) {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_string()),
        Readiness::CatchingUp => (StatusCode::SERVICE_UNAVAILABLE, "catching up\n".to_string()),
        Readiness::Stalled(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("stalled: {reason}\n")),
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
    let health = shared.replica.consensus.health();
    let ready = u64::from(matches!(health::readiness(&shared.replica), Readiness::Ready));
    metric("ready", "gauge", "Whether the node takes part in consensus.", ready);
    metric("height", "gauge", "The last block.", health.height.get());
    metric("peers", "gauge", "Members connected.", health.peers_connected as u64);
    metric("waiting_transactions", "gauge", "Transactions that wait for a block.", health.waiting_txs as u64);
    if let Ok(figures) = shared.replica.chain.read(|state| state.figures()) {
        metric("transactions_total", "counter", "Transactions on the ledger.", figures.transactions);
        metric("grants_total", "counter", "Consent documents on the ledger.", figures.grants);
    }
    metric("failing_duties", "gauge", "Duties to studies that fail now.", shared.studies.kept.failing.count() as u64);
    let (came, made) = (&shared.replica.counters, &shared.studies.counters);
    let own = [
        ("submitted_total", "Transactions handed in here.", &came.submitted),
        ("refused_total", "Transactions handed in here and refused at once.", &came.refused),
        ("gossiped_total", "Transactions received from other members.", &came.gossiped),
        ("contributions_total", "Contributions made.", &made.contributions),
        ("contribution_failures_total", "Contributions that could not be made.", &made.failures),
        ("forged_contributions_total", "Contributions that were not what they had committed to.", &made.forged),
    ];
    for (name, help, counter) in own {
        metric(name, "counter", help, counter.load(Ordering::Relaxed));
    }
    text.push_str(&shared.replica.consensus.metrics());
    text
}
