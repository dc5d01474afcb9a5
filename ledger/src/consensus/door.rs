//! The door of a node: members' nodes get through to malachite's network, nobody else does.
//!
//! Malachite's network can be told to keep to configured peers, but it asks who a peer is only after it let it in:
//! until then, or for ever when the peer never says, a stranger gets blocks and votes like a member. So libp2p listens
//! on the loopback interface alone, and what comes to the node's public port must first prove a member's key by mutual
//! TLS ([`super::identity`]). Outgoing connections take the same way: libp2p dials a loopback port per peer.
//!
//! ```text
//! libp2p → 127.0.0.1:a ═ mutual TLS ═▶ public port → 127.0.0.1:b → libp2p
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::Peer;
use super::identity::Identity;

/// How long connecting and proving a key may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many strangers may try to prove a key at once.
const MAX_HANDSHAKES: usize = 256;
/// How many connections may be open at once for each member: both sides dial, and an old one may linger.
const CONNECTIONS_PER_PEER: usize = 8;
/// How long accepting pauses when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door that is not open yet: the ports are taken, nothing is forwarded.
#[derive(Debug)]
pub(super) struct Door {
    public: TcpListener,
    outgoing: Vec<(TcpListener, Peer)>,
    inner: SocketAddr,
    held: Option<TcpSocket>,
    identity: Identity,
}

impl Door {
    /// Takes the public port, and a loopback port for each peer.
    pub(super) async fn bind(listen: SocketAddr, peers: &[Peer], identity: Identity) -> io::Result<Self> {
        let public = TcpListener::bind(listen).await?;
        let mut outgoing = Vec::with_capacity(peers.len());
        for peer in peers {
            outgoing.push((TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, peer.clone()));
        }
        let (inner, held) = hold_port()?;
        Ok(Self { public, outgoing, inner, held, identity })
    }

    /// Where libp2p is to listen.
    pub(super) fn inner(&self) -> SocketAddr {
        self.inner
    }

    /// Where libp2p finds each peer.
    pub(super) fn peers(&self) -> io::Result<Vec<(SocketAddr, Peer)>> {
        self.outgoing.iter().map(|(listener, peer)| Ok((listener.local_addr()?, peer.clone()))).collect()
    }

    /// Forwards until the tasks are dropped.
    pub(super) fn open(self) -> Result<JoinSet<()>, rustls::Error> {
        let keys: Vec<[u8; 32]> = self.outgoing.iter().map(|(_, peer)| peer.peer_public_key).collect();
        let acceptor = TlsAcceptor::from(Arc::new(self.identity.accepting(&keys)?));
        let connections = Arc::new(Semaphore::new(CONNECTIONS_PER_PEER * keys.len().max(1)));
        let mut tasks = JoinSet::new();
        let (public, inner, held) = (self.public, self.inner, self.held);
        tasks.spawn(async move {
            let _held = held;
            accept_members(public, acceptor, inner, connections).await;
        });
        for (listener, peer) in self.outgoing {
            let connector = TlsConnector::from(Arc::new(self.identity.connecting(peer.peer_public_key)?));
            tasks.spawn(reach_member(listener, connector, peer));
        }
        Ok(tasks)
    }
}

/// A free loopback port for libp2p, which binds it in a moment.
///
/// On Linux a socket that is bound and does not listen keeps the port from everybody but those who name it and allow its
/// reuse, as libp2p does (socket(7), SO_REUSEADDR). Elsewhere another process can take the port before; starting then
/// fails and says so.
fn hold_port() -> io::Result<(SocketAddr, Option<TcpSocket>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(cfg!(target_os = "linux"))?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = socket.local_addr()?;
    Ok((address, cfg!(target_os = "linux").then_some(socket)))
}

async fn accept_members(public: TcpListener, acceptor: TlsAcceptor, inner: SocketAddr, connections: Arc<Semaphore>) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let mut forwarding = JoinSet::new();
    loop {
        // Strangers queue in the system's backlog while all places are taken; each holds one for seconds at most.
        let Ok(place) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let stream = match public.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; check the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while forwarding.try_join_next().is_some() {}
        let (acceptor, connections) = (acceptor.clone(), Arc::clone(&connections));
        forwarding.spawn(async move {
            let from = stream.peer_addr().ok();
            let _ = stream.set_nodelay(true);
            let outer = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(outer)) => outer,
                Ok(Err(error)) => {
                    tracing::warn!(?from, %error, "turned away: no member's key");
                    return;
                }
                Err(_) => return,
            };
            drop(place);
            let Ok(_connection) = connections.try_acquire() else {
                tracing::warn!(?from, "turned away: too many connections of members");
                return;
            };
            match TcpStream::connect(inner).await {
                Ok(inner) => forward(outer, inner).await,
                Err(error) => tracing::warn!(%error, "malachite's network does not listen"),
            }
        });
    }
}

async fn reach_member(listener: TcpListener, connector: TlsConnector, peer: Peer) {
    let mut forwarding = JoinSet::new();
    loop {
        let Ok((inner, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while forwarding.try_join_next().is_some() {}
        let (connector, peer) = (connector.clone(), peer.clone());
        forwarding.spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, connect(connector, &peer.address)).await {
                Ok(Ok(outer)) => forward(outer, inner).await,
                // Libp2p dials again each second, so this is no warning.
                Ok(Err(error)) => tracing::debug!(peer = %peer.id, address = peer.address, %error, "not reached"),
                Err(_) => tracing::debug!(peer = %peer.id, address = peer.address, "not reached in time"),
            }
        });
    }
}

async fn connect(connector: TlsConnector, address: &str) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // Keys are what is verified; a name is only asked for by the interface.
    let name = ServerName::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    connector.connect(name, stream).await
}

async fn forward(mut outer: impl AsyncRead + AsyncWrite + Unpin, mut inner: TcpStream) {
    let _ = inner.set_nodelay(true);
    // However it ends, both ends are closed, and libp2p dials again.
    let _ = copy_bidirectional(&mut outer, &mut inner).await;
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
