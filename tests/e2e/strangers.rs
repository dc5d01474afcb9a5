//! Who is not on the ledger gets nothing.

use consilium::net::client::{ClientError, Node, channel};
use consilium::net::tls::{self, Identity};
use consilium_protocol::ids::ContentHash;
use consilium_protocol::wire::peer_client::PeerClient;
use consilium_protocol::wire::{BlobKind, BlobRequest, GossipRequest};

use crate::support::{QUICK, World, alone};

#[test]
fn a_peer_whose_key_is_not_on_the_ledger_is_refused() {
    alone(async || {
        let mut world = World::found(20, QUICK)?;
        world.start(&[0, 1, 2]).await?;
        let member = world.consortium.hospitals[0].member.clone();

        // A certificate that no member has: the handshake itself fails.
        let (certificate, key) = tls::generate("stranger")?;
        let stranger = Identity::from_pem(&certificate, &key)?;
        let config = tls::client(Some(&stranger), member.tls_certificate)?;
        let mut peer = PeerClient::new(channel(&member.address, config)?);
        let refused = peer.gossip(GossipRequest { txs: vec![] }).await;
        assert!(refused.is_err(), "a stranger was let in");

        // No certificate at all: members' services are closed.
        let config = tls::client(None, member.tls_certificate)?;
        let mut nobody = PeerClient::new(channel(&member.address, config)?);
        let refused = nobody.gossip(GossipRequest { txs: vec![] }).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let kind = BlobKind::Contribution.into();
        let request = BlobRequest { kind, study: vec![0; 32], round: 0, hash: vec![0; 32] };
        assert_eq!(nobody.blob(request).await.unwrap_err().code(), tonic::Code::Unauthenticated);

        // A member's own certificate opens them.
        let home = consilium::home::Home::open(&world.consortium.hospitals[1].home)?;
        let identity = consilium::cli::identity(&home)?;
        let config = tls::client(Some(&identity), member.tls_certificate)?;
        PeerClient::new(channel(&member.address, config)?).gossip(GossipRequest { txs: vec![] }).await?;

        // A server with another certificate than the genesis file says is not the member.
        let mut other = member.clone();
        other.tls_certificate = ContentHash::from_bytes([1; 32]);
        let refused = Node::connect(&world.consortium.genesis.ledger(), &other, None).await;
        assert!(matches!(refused, Err(ClientError::NotTheMember { .. })), "{refused:?}");
        Ok(())
    });
}
