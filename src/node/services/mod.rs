//! The gRPC services of a node.

mod ledger;
mod peer;
mod views;

use std::sync::Arc;

use consilium_protocol::wire::ledger_server::LedgerServer;
use consilium_protocol::wire::peer_server::PeerServer;
use consilium_protocol::wire::{CHUNK_BYTES, Chunk, DESCRIPTORS, MAX_MESSAGE_BYTES};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Server;

use super::Shared;
use super::health;
use crate::net::listener;

/// Serves until cancelled, then lets running calls end.
///
/// # Errors
/// When the services cannot be built or the server fails.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let reporting = tokio::spawn(health::report(shared.replica.clone(), reporter));
    let ledger = LedgerServer::new(ledger::LedgerService { shared: shared.clone(), stop: stop.clone() })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let peer = PeerServer::new(peer::PeerService { shared })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let mut server = Server::builder()
        .concurrency_limit_per_connection(256)
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(30)))
        .add_service(ledger)
        .add_service(peer)
        .add_service(health_service);
    match tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS).build_v1() {
        Ok(reflection) => server = server.add_service(reflection),
        Err(_) => tracing::warn!("gRPC reflection is not available"),
    }
    let served = server.serve_with_incoming_shutdown(listener::accept(listener, tls), stop.cancelled_owned()).await;
    reporting.abort();
    served
}

/// A longer content in pieces.
fn chunks(content: Vec<u8>) -> impl Stream<Item = Result<Chunk, Status>> {
    let pieces: Vec<_> = content.chunks(CHUNK_BYTES).map(|piece| Ok(Chunk { data: piece.to_vec() })).collect();
    tokio_stream::iter(pieces)
}
