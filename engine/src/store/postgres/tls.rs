//! TLS to the server, whose certificate must be issued by the pinned ones.

use std::future::Future;
use std::io;
use std::net::IpAddr;
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
            why: "the URL names a host that no certificate can be for; correct it".to_string(),
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
pub(super) fn refused(error: &io::Error, host: &str) -> Option<DatabaseError> {
    let why = match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(error) => of_certificate(error, host),
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => {
            "the server wants another version of TLS, or a certificate of ours; it must speak TLS 1.2 or 1.3 without one"
                .to_string()
        }
        _ => return None,
    };
    Some(DatabaseError::Certificate { why })
}

/// What is wrong with a server's certificate, and what to do.
fn of_certificate(error: &CertificateError, host: &str) -> String {
    let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
    let needed = format!(
        "it needs X.509 version 3 with subjectAltName = {kind}:{host}, and CA:FALSE; docs/postgres.md has the commands"
    );
    let why = match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is not issued by any in `tls_root`; give that file the certificate of its issuer"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; have the administrator renew it"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; see that this machine's clock is right"
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = names(presented);
            if names.is_empty() {
                return format!("it names no host by subjectAltName, and its CN does not count; {needed}");
            }
            let names = names.join(", ");
            return format!(
                "it is for another host than the URL names, for {names}; write the host as it does, or have the administrator make \
                 another: {needed}"
            );
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not one for a server; have the administrator make another, without extendedKeyUsage or with serverAuth"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its key or signature is of a kind that is not taken; have the administrator make another, of RSA with 2048 bits or \
             more, ECDSA with P-256 or P-384, or Ed25519, signed with SHA-256 or longer"
        }
        // Of a type that is the library's own; its words for it are fixed.
        CertificateError::Other(other) => match other.to_string().as_str() {
            "UnsupportedCertVersion" => {
                return format!("it is of X.509 version 1, as `openssl x509` makes it without extensions; {needed}");
            }
            "CaUsedAsEndEntity" => {
                return format!(
                    "it is an authority's (CA:TRUE), as `openssl req -x509` makes it, and cannot be a server's own; {needed}"
                );
            }
            _ => return format!("it cannot be used as a server's own; have the administrator make another: {needed}"),
        },
        _ => return format!("it cannot be read or checked; have the administrator make another: {needed}"),
    };
    why.to_string()
}

/// The hosts that a certificate is for, out of what the library presents: the first few, of those that look like hosts.
fn names(presented: &[String]) -> Vec<&str> {
    let is_host = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._*:".contains(&b));
    let hosts = presented.iter().filter_map(|name| {
        let dns = name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
        dns.or_else(|| name.strip_prefix("IpAddress(")?.strip_suffix(')'))
    });
    hosts.filter(is_host).take(3).collect()
}
