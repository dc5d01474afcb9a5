//! Who may connect: the members, each by a libp2p key of its own that the genesis file or the ledger names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use arc_malachitebft_app_channel::app::consensus::Multiaddr;
use arc_malachitebft_app_channel::app::types::Keypair;
use consilium_protocol::keys::SigningKey;
use libp2p_identity::{PeerId, PublicKey, ed25519};
use zeroize::Zeroize as _;

use super::config::Peer;

/// A peer that cannot be configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The address is not `host:port`.
    #[error("the peer address `{address}` is not host:port; correct it in the configuration")]
    Address {
        /// The address as configured.
        address: String,
    },
    /// The peer's public key is no Ed25519 key.
    #[error("the peer key of {address} is no Ed25519 public key; take it from the genesis file again")]
    Key {
        /// The peer's address.
        address: String,
    },
}

/// The libp2p identity of a peer key.
pub fn peer_id(public_key: &[u8; 32]) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(public_key).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// This node's libp2p key.
pub(super) fn keypair(key: &SigningKey) -> Option<Keypair> {
    let mut seed = key.seed();
    let pair = Keypair::ed25519_from_bytes(&mut seed).ok();
    seed.zeroize();
    pair
}

/// Where this node listens.
pub(super) fn listen_multiaddr(address: SocketAddr) -> Multiaddr {
    text_multiaddr(&host_part(&address.ip()), address.port(), "").expect("an address is a multiaddr")
}

/// Where a member listens, and with which key.
pub(super) fn peer_multiaddr(peer: &Peer) -> Result<Multiaddr, PeerError> {
    let wrong = || PeerError::Address { address: peer.address.clone() };
    let id = peer_id(&peer.peer_public_key).ok_or_else(|| PeerError::Key { address: peer.address.clone() })?;
    let (host, port) = peer.address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse::<IpAddr>() {
        Ok(ip) => host_part(&ip),
        Err(_) if bare.is_empty() || bare.contains(['/', ':']) => return Err(wrong()),
        Err(_) => format!("/dns/{bare}"),
    };
    text_multiaddr(&host, port, &format!("/p2p/{id}")).ok_or_else(wrong)
}

/// Whether malachite can listen there; it only logs when it cannot.
///
/// Connections of a stopped node may linger on the port (libp2p dials from the port that it listens on). Libp2p shares
/// the port with those, and would share it with another node too: only what accepts connections is in the way.
pub(super) fn check_port(address: SocketAddr) -> io::Result<()> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let mut target = address;
            match target.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => target.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => target.set_ip(Ipv6Addr::LOCALHOST.into()),
                _ => {}
            }
            match TcpStream::connect_timeout(&target, Duration::from_secs(1)) {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
                _ => Err(error),
            }
        }
        other => other.map(drop),
    }
}

fn host_part(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("/ip4/{ip}"),
        IpAddr::V6(ip) => format!("/ip6/{ip}"),
    }
}

fn text_multiaddr(host: &str, port: u16, rest: &str) -> Option<Multiaddr> {
    format!("{host}/tcp/{port}{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use consilium_protocol::ids::HospitalId;

    use super::*;

    fn peer(address: &str) -> Peer {
        Peer {
            id: HospitalId::from_public_key([1; 32]),
            address: address.to_string(),
            peer_public_key: SigningKey::from_seed(&[7; 32]).public_key(),
        }
    }

    #[test]
    fn addresses_name_host_port_and_key() {
        let id = "12D3KooWQmvK1zW4Y5kPhSR4sdKX9fmM3jEx9Vg6F4ibEGcQfyKD";
        let ours = peer_id(&peer("").peer_public_key).expect("a key").to_string();
        assert_eq!(ours.len(), id.len());
        for (address, expected) in [
            ("10.0.0.1:7000", "/ip4/10.0.0.1/tcp/7000/p2p/"),
            ("[::1]:7000", "/ip6/::1/tcp/7000/p2p/"),
            ("node.hospital.example:7000", "/dns/node.hospital.example/tcp/7000/p2p/"),
        ] {
            let found = peer_multiaddr(&peer(address)).expect("valid").to_string();
            assert_eq!(found, format!("{expected}{ours}"));
        }
        for bad in ["", "host", "host:", ":7000", "host:70000", "a/b:1", "a:b:1"] {
            assert!(matches!(peer_multiaddr(&peer(bad)), Err(PeerError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn a_port_that_someone_listens_on_is_in_use() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        assert_eq!(check_port(address).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        check_port(address).expect("free again");
    }

    #[test]
    fn both_sides_derive_the_same_identity() {
        let key = SigningKey::from_seed(&[7; 32]);
        let pair = keypair(&key).expect("a key");
        assert_eq!(Some(pair.public().to_peer_id()), peer_id(&key.public_key()));
    }
}
