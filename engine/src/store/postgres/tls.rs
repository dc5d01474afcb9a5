//! TLS to the server, whose certificate must be issued by the pinned ones.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Encrypted;

use super::dial::Socket;
use super::error::DatabaseError;

/// What a server's certificate is held against.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Pinned {
    /// A server of this name, whose certificate is issued by one of these. No other authority is trusted.
    pub(super) fn new(pem: &[u8], host: &str) -> Result<Self, DatabaseError> {
        let bad = |what: &str| DatabaseError::File { file: "`tls_root`".to_string(), what: what.to_string() };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| bad("it is no PEM file; give it certificates as PEM"))?;
            roots.add(certificate).map_err(|_| bad("it has a certificate that cannot be read; give it another"))?;
        }
        if roots.is_empty() {
            return Err(bad("it has no certificate; give it the one that the server's is issued by, as PEM"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| bad("TLS cannot be used here"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_string()).map_err(|_| DatabaseError::Certificate {
            why: "`url` names a host that no certificate can be for; correct it".to_string(),
        })?;
        Ok(Self { config: Arc::new(config), name })
    }
}

impl TlsConnect<Socket> for Pinned {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            TlsConnector::from(self.config).connect(self.name, socket).await.map(|stream| Stream(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(super) struct Stream(Box<Encrypted<Socket>>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        // The pinned certificate says who the server is.
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

/// What is wrong with a handshake, as far as it is about the certificate or TLS itself.
pub(super) fn refused(error: &io::Error) -> Option<DatabaseError> {
    let why = match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "it is not issued by any in `tls_root`; give that file the certificate of its issuer"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has expired; have the administrator renew it"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet; see that this machine's clock is right"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another host than `url` names; name the host as the certificate does"
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "it is not one for a server; have the administrator make another"
            }
            CertificateError::Other(_) => {
                "it cannot be used as a server's own, most often because it is an authority's at once (CA:TRUE); have the \
                 administrator make one that is not"
            }
            _ => "it cannot be read or checked; have the administrator make another",
        },
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => {
            "the server wants another version of TLS, or a certificate of ours; it must speak TLS 1.2 or 1.3 without one"
        }
        _ => return None,
    };
    Some(DatabaseError::Certificate { why: why.to_string() })
}
