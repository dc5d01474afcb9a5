//! TLS 1.3 without an outside authority: a certificate is trusted because its hash stands in the genesis file.
//!
//! A member's server shows its self-signed certificate; callers compare it with the one hash they expect. A caller may
//! show a certificate, too: then it must be a member's, or the handshake fails. Callers without one are people's
//! programs, and can use only what is open to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use consilium_protocol::hash;
use consilium_protocol::ids::ContentHash;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme, version,
};

/// A TLS identity that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No key or certificate could be made.
    #[error("no TLS certificate could be made; try again, and report it if it happens twice")]
    Generate,
    /// The stored key or certificate cannot be read.
    #[error("the TLS key or certificate of this home is damaged; restore secrets/tls.key and tls.crt from your backup")]
    Malformed,
}

/// A member's certificate and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// A new identity as PEM: certificate and key.
///
/// # Errors
/// [`TlsError::Generate`].
pub fn generate(name: &str) -> Result<(String, String), TlsError> {
    let mut params = rcgen::CertificateParams::new(vec!["consilium".to_string()]).map_err(|_| TlsError::Generate)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2999, 12, 31);
    let key = rcgen::KeyPair::generate().map_err(|_| TlsError::Generate)?;
    let certificate = params.self_signed(&key).map_err(|_| TlsError::Generate)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

impl Identity {
    /// Reads an identity from PEM.
    ///
    /// # Errors
    /// [`TlsError::Malformed`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, TlsError> {
        let certificate =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| TlsError::Malformed)?.into_owned();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| TlsError::Malformed)?;
        Ok(Self { certificate, key })
    }

    /// What stands in the genesis file.
    pub fn fingerprint(&self) -> ContentHash {
        hash::content(&self.certificate)
    }
}

/// The fingerprint of a certificate in DER.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> ContentHash {
    hash::content(certificate)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Server side: shows `identity`; accepts callers without a certificate, and with one of `members`.
///
/// # Errors
/// [`TlsError::Malformed`] when key and certificate do not fit.
pub fn server(identity: &Identity, members: BTreeSet<ContentHash>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let verifier = Arc::new(Pinned { trusted: members, provider: provider.clone() });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|_| TlsError::Malformed)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(|_| TlsError::Malformed)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Client side: expects exactly the certificate `expected`; shows `identity` if there is one.
///
/// # Errors
/// [`TlsError::Malformed`] when key and certificate do not fit.
pub fn client(identity: Option<&Identity>, expected: ContentHash) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let verifier = Arc::new(Pinned { trusted: BTreeSet::from([expected]), provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|_| TlsError::Malformed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
            .map_err(|_| TlsError::Malformed)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Trusts the certificates with these hashes and no other, whatever name or validity they state. The handshake's
/// signature is checked as ever, so a copied certificate without its key is worthless.
#[derive(Debug)]
struct Pinned {
    trusted: BTreeSet<ContentHash>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if self.trusted.contains(&fingerprint(certificate)) {
            Ok(())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
