//! What members' nodes offer to each other. The caller's certificate was checked against the genesis file when the
//! connection was made; here it must be there at all.

use std::sync::Arc;

use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::SignedTx;
use consilium_protocol::wire::peer_server::Peer;
use consilium_protocol::wire::{Chunk, ContributionRequest, GossipReply, GossipRequest};
use tokio::net::TcpStream;
use tokio_stream::Stream;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status};

use super::super::Shared;
use super::super::metrics::count;
use super::super::rounds::Piece;
use super::super::submit::{self, Origin};
use crate::net::tls;

/// The service.
pub(super) struct PeerService {
    pub(super) shared: Arc<Shared>,
}

/// Who calls: the member whose certificate the connection shows.
fn caller<T>(request: &Request<T>, shared: &Shared) -> Result<HospitalId, Status> {
    let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = info.and_then(TlsConnectInfo::peer_certs);
    let fingerprint = certificates.and_then(|certs| certs.first().map(tls::fingerprint));
    let member = fingerprint.and_then(|f| shared.genesis.member.iter().find(|m| m.tls_certificate == f));
    member
        .map(|m| m.id)
        .ok_or_else(|| Status::unauthenticated("this is for members' nodes; connect with a member's certificate"))
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn gossip(&self, request: Request<GossipRequest>) -> Result<Response<GossipReply>, Status> {
        caller(&request, &self.shared)?;
        for bytes in request.into_inner().txs {
            let Ok(tx) = SignedTx::from_bytes(&bytes) else { continue };
            count(&self.shared.counters.gossiped);
            // What is not acceptable here is not kept; its signer hears of it where it was handed in.
            let _ = submit::accept(&self.shared, tx, Origin::Member);
        }
        Ok(Response::new(GossipReply {}))
    }

    type ContributionStream = std::pin::Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn contribution(
        &self,
        request: Request<ContributionRequest>,
    ) -> Result<Response<Self::ContributionStream>, Status> {
        let caller = caller(&request, &self.shared)?;
        let request = request.into_inner();
        let malformed = |_| Status::invalid_argument("the request's fields have the wrong length");
        let study = StudyId::try_from(&request.study[..]).map_err(malformed)?;
        let wanted = ContentHash::try_from(&request.hash[..]).map_err(malformed)?;
        let round = RoundNumber::new(request.round);
        // Only to the roster, and only what stands on the ledger.
        let committed = self.shared.chain.read(|state| {
            let study = state.study(&study)?;
            let round = study.course.round(round).filter(|round| round.has(&caller))?;
            round.contributions.get(&self.shared.hospital).map(|c| c.hash)
        });
        let committed = committed.map_err(|_| Status::internal("the ledger cannot be read"))?;
        if committed != Some(wanted) {
            return Err(Status::permission_denied("this contribution is for the roster of its round alone"));
        }
        let kept = self.shared.rounds.get(&study, round, Piece::Contribution);
        let bytes = kept
            .map_err(|_| Status::internal("the contribution cannot be read"))?
            .filter(|bytes| hash::content(bytes) == wanted)
            .ok_or_else(|| Status::not_found("the contribution is not kept here any more"))?;
        Ok(Response::new(Box::pin(super::chunks(bytes))))
    }
}

// The connection's type is fixed where it is accepted.
const _: fn() = || {
    fn is_connected<T: tonic::transport::server::Connected<ConnectInfo = TlsConnectInfo<TcpConnectInfo>>>() {}
    is_connected::<tokio_rustls::server::TlsStream<TcpStream>>();
};
