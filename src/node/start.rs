//! Starting and stopping a node.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consilium_ledger::consensus::signer::Signer;
use consilium_ledger::consensus::{self, ConsensusConfig, ConsensusKeys, Peer, StartError};
use consilium_ledger::mempool::{Mempool, MempoolLimits, SharedMempool};
use consilium_ledger::store::{Chain, ChainError};
use consilium_protocol::genesis::{Genesis, Member};
use consilium_protocol::ids::Height;
use consilium_protocol::keys::SigningKey;
use consilium_protocol::policy::PolicyError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Shared, metrics, services};
use crate::home::config::{ConfigError, NodeConfig};
use crate::home::secrets::{self, Kind};
use crate::home::{FileError, Home, HomeError, SecretError};
use crate::net::client::ClientError;
use crate::net::listener::{self, BindError};
use crate::net::tls::{self, Identity, TlsError};
use crate::replica::peers::Peers;
use crate::replica::submit::Submissions;
use crate::replica::{self, Replica};
use crate::studies::{self, Kept, Studies};
use crate::vault::{self, CohortsError, OpenError, Vault};
use crate::worker::Program;

/// A node that does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secrets for studies cannot be used.
    #[error(transparent)]
    Pairs(#[from] vault::PairsError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The TLS identity cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This hospital is not in the genesis file.
    #[error(
        "this hospital is no member of `{0}`; send member.toml to whoever makes the genesis file, or join another one"
    )]
    NotAMember(String),
    /// A key of this home is not the one that the genesis file names.
    #[error("the {0} of this home is not the one in the genesis file; restore the home's secrets from your backup")]
    OtherKey(&'static str),
    /// The own policy is looser than the consortium's.
    #[error("[policy]: {0}")]
    Policy(#[from] PolicyError),
    /// The vault cannot be opened.
    #[error(transparent)]
    Vault(#[from] OpenError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The memory of contributed cohorts cannot be used.
    #[error(transparent)]
    Cohorts(#[from] CohortsError),
    /// There is a ledger, but nothing to say what this node signed for it.
    #[error(
        "the signer's file {0} is missing although there is a ledger; put it back, or ask another member for the \
         ledger's current height and run `consilium node --renew-signer <height>`"
    )]
    NoSigner(PathBuf),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Consensus does not start.
    #[error(transparent)]
    Consensus(#[from] StartError),
    /// Another member cannot be addressed.
    #[error(transparent)]
    Peer(#[from] ClientError),
    /// The services failed.
    #[error("the services stopped: {0}; the log says why")]
    Services(#[from] tonic::transport::Error),
}

/// Everything of a home that a node needs, checked against the genesis file.
pub(crate) struct Setup {
    pub(crate) config: NodeConfig,
    pub(crate) genesis: Genesis,
    pub(crate) member: Member,
    pub(crate) signing: SigningKey,
    consensus: SigningKey,
    peer: SigningKey,
    identity: Identity,
}

impl Setup {
    /// Reads and checks a hospital's home.
    ///
    /// # Errors
    /// [`NodeError`]: the first thing that does not fit.
    pub(crate) fn read(home: &Home) -> Result<Self, NodeError> {
        let path = home.path();
        let config = NodeConfig::read(path)?;
        let genesis = home.genesis()?;
        let signing = home.signing_key()?;
        let key = |kind| secrets::read(path, kind);
        let consensus = SigningKey::from_seed(&*key(Kind::Consensus)?);
        let peer = SigningKey::from_seed(&*key(Kind::Peer)?);
        let lots = vault::lot_public_key(path)?;
        let certificate = crate::home::files::read_text(&path.join("tls.crt"), 65_536)?;
        let tls_key =
            zeroize::Zeroizing::new(crate::home::files::read_text(&path.join("secrets").join("tls.key"), 65_536)?);
        let identity = Identity::from_pem(&certificate, &tls_key)?;
        let member = genesis
            .member(&signing.hospital())
            .ok_or_else(|| NodeError::NotAMember(genesis.chain_id.to_string()))?
            .clone();
        let same = [
            ("consensus key", member.consensus_key == consensus.public_key()),
            ("network key", member.peer_key == peer.public_key()),
            ("lot key", member.lot_key == lots),
            ("TLS certificate", member.tls_certificate == identity.fingerprint()),
        ];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(NodeError::OtherKey(what));
        }
        if let Some(policy) = &config.policy {
            genesis.policy.check_tightening(&policy.over(&genesis.policy))?;
        }
        Ok(Self { config, genesis, member, signing, consensus, peer, identity })
    }
}

impl Setup {
    /// See [`super::renew_signer`].
    pub(super) fn renew_signer(self, home: &Home, through: Height) -> Result<(), NodeError> {
        let config = ConsensusConfig::new(home.path().join("ledger"), self.config.listen.consensus, Vec::new());
        crate::home::files::create_private_dir(&config.home)?;
        let ledger = self.genesis.ledger();
        Signer::renew(&config.signer_path(), &ledger, self.member.id, self.consensus, through)
            .map_err(StartError::from)?;
        Ok(())
    }
}

/// Checks what a node has written down beside the ledger, without changing it.
///
/// # Errors
/// [`NodeError`]: the first thing that is lost or damaged.
pub(super) fn check_memories(home: &Home) -> Result<(), NodeError> {
    vault::check_memory(home.path())?;
    let ledger = home.path().join("ledger");
    let signer = ConsensusConfig::new(ledger.clone(), SocketAddr::from(([127, 0, 0, 1], 0)), Vec::new()).signer_path();
    if ledger.join("ledger.redb").exists() && !signer.exists() {
        return Err(NodeError::NoSigner(signer));
    }
    Ok(())
}

/// Runs a hospital's node until it is told to stop.
///
/// # Errors
/// [`NodeError`] when it cannot start or its services fail.
pub async fn run(home: &Path, stop: CancellationToken) -> Result<(), NodeError> {
    let home = Home::open_as(home, crate::home::Role::Hospital)?;
    let setup = Setup::read(&home)?;
    let Setup { config, genesis, member, signing, consensus, peer, identity } = setup;
    let grpc = listener::bind(config.listen.grpc).await?;
    let http = listener::bind(config.listen.metrics).await?;
    let terms = vault::Terms {
        ledger: genesis.ledger(),
        hospital: member.id,
        policy: genesis.policy,
        own_policy: config.policy.unwrap_or_default().over(&genesis.policy),
        store: config.store.clone(),
        catalogue: genesis.table.clone(),
        program: Program::own(),
        bounds: config.limits.bounds(),
    };
    let vault = Arc::new(Vault::open(home.path(), terms).await?);
    let kept = Kept::open(home.path())?;
    let peers = Peers::new(&genesis, member.id, &identity)?;
    let members: BTreeSet<_> = genesis.member.iter().map(|m| m.tls_certificate).collect();
    let server_tls = tls::server(&identity, members)?;
    let genesis_toml = genesis.to_toml().map_err(HomeError::from)?;

    // Last, when nothing else can stand in the way: consensus must be stopped, not dropped.
    let ledger_dir = home.path().join("ledger");
    crate::home::files::create_private_dir(&ledger_dir)?;
    let chain = Chain::open(&ledger_dir.join("ledger.redb"), &genesis)?;
    let mempool = SharedMempool::new(Mempool::new(MempoolLimits::default(), chain.read(|s| s.height())?));
    let others = genesis.member.iter().filter(|m| m.id != member.id);
    let to_dial =
        others.map(|m| Peer { id: m.id, address: m.consensus_address.clone(), peer_public_key: m.peer_key }).collect();
    let mut consensus_config = ConsensusConfig::new(ledger_dir, config.listen.consensus, to_dial);
    consensus_config.heartbeat = Duration::from_millis(config.consensus.heartbeat_ms);
    let keys = ConsensusKeys { member: member.id, consensus, peer };
    let consensus = consensus::start(consensus_config, keys, Arc::new(chain.clone()), mempool).await?;

    let replica = Arc::new(Replica {
        hospital: member.id,
        key: signing,
        ledger: genesis.ledger(),
        genesis: genesis.clone(),
        chain,
        consensus,
        peers,
        submitted: Submissions::default(),
        counters: replica::Counters::default(),
    });
    let (counters, turn) = Default::default();
    let studies = Arc::new(Studies { replica: replica.clone(), vault, kept, counters, turn });
    let shared = Arc::new(Shared { replica: replica.clone(), studies: studies.clone(), genesis_toml });

    let telling = tokio::spawn(replica::tell(replica.clone()));
    let driving = tokio::spawn(studies::run(studies));
    let measuring = tokio::spawn(metrics::serve(http, shared.clone()));
    info!(
        hospital = member.name,
        chain = %genesis.chain_id,
        grpc = %config.listen.grpc,
        consensus = %config.listen.consensus,
        metrics = %config.listen.metrics,
        "the node runs"
    );
    let served = services::serve(grpc, server_tls, shared, stop).await;
    info!("the node stops");
    driving.abort();
    measuring.abort();
    telling.abort();
    replica.consensus.stop().await;
    if let Err(reason) = &served {
        error!(%reason, "the services failed");
    }
    Ok(served?)
}
