//! Agreement: the members' nodes decide, one after another, which blocks the ledger has.
//!
//! The protocol is Tendermint (Buchman, Kwon, Milosevic 2018), as malachite implements it; any node of a third or less
//! of the members may fail in any way. What is this ledger's own:
//!
//! - [`application`]: what consensus asks of the ledger. Start there.
//! - [`context`], [`validators`]: what malachite votes on, and who votes.
//! - [`codec`]: the bytes that nodes exchange, and that the write-ahead log keeps.
//! - [`signer`]: never two signatures for one position.
//! - [`parts`], [`undecided`]: proposed blocks on their way and on disk.
//! - [`config`], [`network`]: where and with whom; [`status`]: how a node is.
//! - `door`: nobody but members gets as far as malachite's network.
//!
//! [`start`] puts them together, and gives a [`ConsensusHandle`].

pub mod application;
pub mod codec;
pub mod config;
pub mod context;
pub mod network;
pub mod parts;
pub mod signer;
pub mod status;
pub mod undecided;
pub mod validators;

mod app;
mod door;
mod handle;
mod identity;
mod proposals;
mod signing;
mod watch;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_malachitebft_app_channel::{
    ConsensusContext, EngineBuilder, NetworkContext, NetworkIdentity, RequestContext, SyncContext, WalContext,
};
use consilium_protocol::ids::{Height, Timestamp};
use tokio::sync::{Notify, oneshot};

use self::app::{App, Parts};
use self::application::{Application, ApplicationError};
use self::codec::LedgerCodec;
use self::config::EngineConfig;
use self::context::{LedgerContext, Member};
use self::door::Door;
use self::identity::Identity;
use self::network::{check_address, keypair};
use self::proposals::Proposals;
use self::signing::{PositionSigner, StrictVerifier};
use self::status::Status;
use self::undecided::Undecided;
use crate::mempool::SharedMempool;

pub use self::config::{ConsensusConfig, ConsensusKeys, Peer, Timeouts};
pub use self::handle::ConsensusHandle;
pub use self::status::{Condition, Health};

/// How long malachite may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests to malachite's actors may wait.
const REQUESTS: usize = 16;

/// Consensus could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory could not be made.
    #[error("the directory {path} cannot be made ({source}); check its owner and the configuration")]
    Home {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The port is taken or the address is not this machine's.
    #[error("cannot listen at {address} ({source}); stop what uses the port, or configure another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The consensus key is not the one that the ledger names for this member.
    #[error("the ledger names another consensus key for this member; check which key and genesis file are configured")]
    Key,
    /// A peer's address or key cannot be used.
    #[error(transparent)]
    Peer(#[from] network::PeerError),
    /// This node's own network key cannot be used.
    #[error("the node's network key cannot be used; make a new one and have the members accept it")]
    PeerKey,
    /// The signer's file cannot be used.
    #[error(transparent)]
    Signer(#[from] signer::SignerError),
    /// The write-ahead log is damaged, or another process uses it.
    #[error(
        "the write-ahead log {path} cannot be used ({reason}); see that no other node runs on this directory. If it is \
         damaged, move it away and leave the signer's file: the node then abstains where it voted, and catches up"
    )]
    Wal {
        /// The log.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// The undecided blocks cannot be used.
    #[error(transparent)]
    Undecided(#[from] undecided::UndecidedError),
    /// The ledger could not be read.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// Malachite did not start.
    #[error("consensus did not start ({0}); see its messages in the log")]
    Engine(String),
}

/// Starts consensus: from here on the node votes, proposes in its turn, and catches up.
///
/// A member that is not (or no longer) among the validators follows without voting.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start(
    config: ConsensusConfig,
    keys: ConsensusKeys,
    application: Arc<dyn Application>,
    mempool: SharedMempool,
) -> Result<ConsensusHandle, StartError> {
    let home = config.home.clone();
    std::fs::create_dir_all(&home).map_err(|source| StartError::Home { path: home, source })?;
    check_key(application.as_ref(), &keys)?;
    config.peers.iter().try_for_each(check_address)?;

    let ledger_id = *application.ledger_id();
    let moniker = unique_moniker(&keys);
    let listen = |source| StartError::Listen { address: config.listen, source };
    let identity = Identity::new(&keys.peer, &ledger_id).map_err(|_| StartError::PeerKey)?;
    let door = Door::bind(config.listen, &config.peers, identity).await.map_err(listen)?;
    let peers = door.peers().map_err(listen)?;
    check_wal(&config.wal_path())?;
    let engine_config = EngineConfig::new(moniker.clone(), &ledger_id, &config, door.inner(), &peers)?;
    let keypair = keypair(&keys.peer).ok_or(StartError::PeerKey)?;
    let status = Arc::new(initial_status(application.as_ref(), &config)?);

    let height = application.height();
    let signer = signer::Signer::open(&config.signer_path(), &ledger_id, keys.member, keys.consensus, height)?;
    let signer = PositionSigner::new(ledger_id, signer, Arc::clone(&status));
    let peer_id = keypair.public().to_peer_id().to_bytes();
    let proof = signer.peer_binding(peer_id).ok_or(StartError::PeerKey)?;
    let proof = arc_malachitebft_app_channel::app::types::codec::Codec::encode(&LedgerCodec, &proof)
        .map_err(|error| StartError::Engine(error.to_string()))?;
    let undecided = Undecided::open(&config.undecided_path())?;
    let proposals = Proposals::open(Arc::clone(&application), undecided, config.max_clock_skew)?;

    let me = Member(keys.member);
    let identity = NetworkIdentity::new_validator(moniker.clone(), keypair, me.to_string(), proof);
    let verifier = Box::new(StrictVerifier::new(ledger_id));
    let (channels, engine) = EngineBuilder::new(LedgerContext, engine_config)
        .with_default_wal(WalContext::new(config.wal_path(), LedgerCodec))
        .with_default_network(NetworkContext::new(identity, LedgerCodec))
        .with_default_sync(SyncContext::new(LedgerCodec))
        .with_default_consensus(ConsensusContext::new_validator(me, verifier, Box::new(signer)))
        .with_default_request(RequestContext::new(REQUESTS))
        .build()
        .await
        .map_err(|error| StartError::Engine(format!("{error:#}")))?;

    let door = door.open().map_err(|_| StartError::PeerKey)?;
    let others_started = Arc::new(Notify::new());
    let (started, has_started) = oneshot::channel();
    let app = App::new(Parts {
        application: Arc::clone(&application),
        mempool: mempool.clone(),
        status: Arc::clone(&status),
        proposals,
        network: channels.network,
        me,
        heartbeat: config.heartbeat,
        timeouts: config.timeouts.linear(),
        others_started: Arc::clone(&others_started),
        started,
    });
    let watch = watch::Watch {
        status,
        application,
        events: channels.events.subscribe(),
        requests: channels.requests,
        net_requests: channels.net_requests,
        others_started,
        peers: config.peers.iter().filter_map(|peer| network::peer_id(&peer.peer_public_key)).collect(),
        moniker,
    };
    let handle = ConsensusHandle::run(app, channels.consensus, engine, watch, mempool, door, config.wal_path());
    match tokio::time::timeout(START_TIMEOUT, has_started).await {
        Ok(Ok(())) => Ok(handle),
        _ => {
            let reason = match handle.health().condition {
                Condition::Halted { reason } => reason,
                _ => format!("it does not listen at {}", config.listen),
            };
            handle.stop().await;
            Err(StartError::Engine(reason))
        }
    }
}

fn check_key(application: &dyn Application, keys: &ConsensusKeys) -> Result<(), StartError> {
    let next = application.height().next().unwrap_or_default();
    let validators = application.validators(next);
    let named = validators.iter().find(|validator| validator.id == keys.member);
    match named {
        Some(validator) if validator.consensus_key != keys.consensus.public_key() => Err(StartError::Key),
        _ => Ok(()),
    }
}

/// Opening the log as malachite will: its version, its lock, and every entry's frame.
fn check_wal(path: &Path) -> Result<(), StartError> {
    use arc_malachitebft_app_channel::app::wal::Log;
    match Log::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(StartError::Wal { path: path.to_path_buf(), reason: error.to_string() }),
    }
}

fn initial_status(application: &dyn Application, config: &ConsensusConfig) -> Result<Status, StartError> {
    let height = application.height();
    let time = match height {
        height if height == Height::default() => Timestamp::default(),
        height => application.decided(height)?.map(|(block, _)| block.header.time).unwrap_or_default(),
    };
    let patience = (config.heartbeat * 3).max(Duration::from_secs(30));
    Ok(Status::new(height, time, config.peers.len(), patience))
}

/// Metrics of nodes in one process, as tests have them, are told apart by the name they run under.
fn unique_moniker(keys: &ConsensusKeys) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let name = keys.member.short();
    match STARTED.fetch_add(1, Ordering::Relaxed) {
        0 => name,
        count => format!("{name}-{count}"),
    }
}
