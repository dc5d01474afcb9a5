//! Who may connect: the members, each by a libp2p key of its own that the genesis file or the ledger names.

use std::net::SocketAddr;

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

/// Where libp2p listens.
pub(super) fn listen_multiaddr(address: SocketAddr) -> Multiaddr {
    multiaddr(address, "").expect("an address is a multiaddr")
}

/// Where libp2p finds a member, and with which key.
pub(super) fn peer_multiaddr(address: SocketAddr, peer: &Peer) -> Result<Multiaddr, PeerError> {
    let wrong_key = || PeerError::Key { address: peer.address.clone() };
    let id = peer_id(&peer.peer_public_key).ok_or_else(wrong_key)?;
    multiaddr(address, &format!("/p2p/{id}")).ok_or_else(wrong_key)
}

/// Whether a peer's address is `host:port`; whether the host exists shows when it is dialled.
pub(super) fn check_address(peer: &Peer) -> Result<(), PeerError> {
    let address = peer.address.as_str();
    let fits = address.parse::<SocketAddr>().is_ok()
        || address.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && !host.is_empty() && !host.contains([':', '/', '['])
        });
    if fits { Ok(()) } else { Err(PeerError::Address { address: peer.address.clone() }) }
}

fn multiaddr(address: SocketAddr, rest: &str) -> Option<Multiaddr> {
    let (ip, port) = (address.ip(), address.port());
    let kind = if ip.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{kind}/{ip}/tcp/{port}{rest}").parse().ok()
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
    fn addresses_name_host_and_port() {
        for good in ["10.0.0.1:7000", "[::1]:7000", "node.hospital.example:7000"] {
            assert_eq!(check_address(&peer(good)), Ok(()), "{good}");
        }
        for bad in ["", "host", "host:", ":7000", "host:70000", "a/b:1", "a:b:1", "::1:7000x"] {
            assert!(matches!(check_address(&peer(bad)), Err(PeerError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn libp2p_is_told_address_and_key() {
        let ours = peer("host:1");
        let id = peer_id(&ours.peer_public_key).expect("a key");
        let address = peer_multiaddr(SocketAddr::from(([127, 0, 0, 1], 7000)), &ours).expect("a multiaddr");
        assert_eq!(address.to_string(), format!("/ip4/127.0.0.1/tcp/7000/p2p/{id}"));
    }

    #[test]
    fn both_sides_derive_the_same_identity() {
        let key = SigningKey::from_seed(&[7; 32]);
        let pair = keypair(&key).expect("a key");
        assert_eq!(Some(pair.public().to_peer_id()), peer_id(&key.public_key()));
    }
}
