//! A running consensus, as the rest of the node holds it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::metrics::export;
use arc_malachitebft_app_channel::app::wal::Log;
use arc_malachitebft_app_channel::{AppMsg, EngineHandle};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::app::App;
use super::context::LedgerContext;
use super::status::{Health, Status};
use super::watch::Watch;
use crate::mempool::SharedMempool;

/// How long stopping may take; what is on disk by then is all that matters.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A running consensus. Dropping it without [`Self::stop`] leaves it running.
#[derive(Debug)]
pub struct ConsensusHandle {
    mempool: SharedMempool,
    status: Arc<Status>,
    stop: Mutex<Option<Running>>,
    wal: PathBuf,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    main: JoinHandle<()>,
}

impl ConsensusHandle {
    pub(super) fn run(
        app: App,
        messages: mpsc::Receiver<AppMsg<LedgerContext>>,
        engine: EngineHandle,
        watch: Watch,
        mempool: SharedMempool,
        door: JoinSet<()>,
        wal: PathBuf,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let status = Arc::clone(&watch.status);
        let main = tokio::spawn(main(app, messages, engine, watch, door, stopped));
        let running = Mutex::new(Some(Running { stop, main }));
        Self { mempool, status, stop: running, wal }
    }

    /// Where transactions are put that are to be included; telling the other members of them is the caller's.
    pub fn mempool(&self) -> &SharedMempool {
        &self.mempool
    }

    /// How the node is now.
    pub fn health(&self) -> Health {
        let (waiting, hasten) = {
            let mempool = self.mempool.lock();
            (mempool.len(), mempool.hastens())
        };
        self.status.health(waiting, hasten)
    }

    /// Malachite's metrics of this process, in the Prometheus text format.
    pub fn metrics(&self) -> String {
        metrics_text()
    }

    /// Stops voting, closes all connections and files. Returns when another start on the same directory and port
    /// can succeed, or after ten seconds.
    pub async fn stop(&self) {
        let Some(running) = self.stop.lock().await.take() else { return };
        let _ = running.stop.send(());
        let mut main = running.main;
        if tokio::time::timeout(STOP_PATIENCE * 3, &mut main).await.is_err() {
            tracing::error!("consensus does not stop; ending it");
            main.abort();
        }
        // Malachite's log thread ends by itself; its lock tells when.
        let deadline = Instant::now() + STOP_PATIENCE;
        while Log::open(&self.wal).is_err() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// All of this process's metrics.
pub(super) fn metrics_text() -> String {
    let mut text = String::new();
    export(&mut text);
    text
}

async fn main(
    app: App,
    messages: mpsc::Receiver<AppMsg<LedgerContext>>,
    engine: EngineHandle,
    watch: Watch,
    mut door: JoinSet<()>,
    stopped: oneshot::Receiver<()>,
) {
    let status = Arc::clone(&watch.status);
    let watching = tokio::spawn(watch.run());
    let actor = engine.actor.clone();
    if let Err(halt) = app.run(messages, stopped).await {
        status.halt(halt.to_string());
    }
    watching.abort();
    // Nothing comes in or goes out from here on, and the public port is free again.
    door.shutdown().await;
    // Children first: what they hold (port, log) is released before the supervisor goes.
    let cell = actor.get_cell();
    let stopping = async {
        cell.stop_children_and_wait(None, Some(STOP_PATIENCE)).await;
        let _ = actor.stop_and_wait(None, Some(STOP_PATIENCE)).await;
    };
    if tokio::time::timeout(STOP_PATIENCE, stopping).await.is_err() {
        actor.kill();
    }
    let _ = tokio::time::timeout(STOP_PATIENCE, engine.handle).await;
}
