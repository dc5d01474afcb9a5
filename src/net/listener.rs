//! Accepts TLS connections and hands those that completed their handshake to the gRPC server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tracing::debug;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes may be under way at once; further callers wait in the operating system's queue.
const HANDSHAKES: usize = 64;

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; another program may use the port, see `ss -ltnp`, or change [listen]")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The operating system's reason.
    pub source: io::Error,
}

/// Binds an address.
///
/// # Errors
/// [`BindError`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// The connections that complete their handshake, as tonic wants them.
pub fn accept(listener: TcpListener, config: Arc<ServerConfig>) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (sender, receiver) = mpsc::channel(16);
    let acceptor = TlsAcceptor::from(config);
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    tokio::spawn(async move {
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                () = sender.closed() => break,
            };
            let Ok((stream, peer)) = connection else {
                // Out of file descriptors, most likely: wait for connections to end.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let _ = sender.send(Ok(stream)).await;
                    }
                    Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake was refused"),
                    Err(_) => debug!(%peer, "a TLS handshake took too long"),
                }
                drop(permit);
            });
        }
    });
    ReceiverStream::new(receiver)
}
