//! Mutual TLS by bare keys: each side proves that it holds the Ed25519 key that the other expects, nothing else.
//!
//! TLS 1.3 with raw public keys (RFC 7250) in both directions: no certificates, no authorities, no names, no dates.
//! The protocol negotiated (ALPN, RFC 7301) names the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;

use consilium_protocol::ids::LedgerId;
use consilium_protocol::keys::SigningKey;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use zeroize::Zeroize as _;

/// What precedes an Ed25519 public key in its SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What precedes an Ed25519 seed in its PKCS #8 form (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

fn spki(public_key: &[u8; 32]) -> Vec<u8> {
    [&SPKI_PREFIX[..], public_key].concat()
}

/// The keys of those who may be at the other end, as they appear on the wire.
#[derive(Debug)]
struct Expected {
    keys: BTreeSet<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl Expected {
    fn check(&self, presented: &CertificateDer<'_>) -> Result<(), Error> {
        if self.keys.contains(presented.as_ref()) {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify(
        &self,
        message: &[u8],
        presented: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(presented.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_string()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Expected {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_string()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// This node's key, ready for handshakes.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    protocol: Vec<u8>,
}

impl Identity {
    pub(super) fn new(key: &SigningKey, ledger_id: &LedgerId) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let mut seed = key.seed();
        // Rustls erases its copy of a private key when dropped.
        let private = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &seed].concat());
        seed.zeroize();
        let signing = provider.key_provider.load_private_key(private.into())?;
        let public = CertificateDer::from(spki(&key.public_key()));
        let protocol = format!("consilium/{ledger_id}/1").into_bytes();
        Ok(Self { key: Arc::new(CertifiedKey::new(vec![public], signing)), provider, protocol })
    }

    fn expected(&self, keys: &[[u8; 32]]) -> Arc<Expected> {
        let keys = keys.iter().map(spki).collect();
        Arc::new(Expected { keys, provider: Arc::clone(&self.provider) })
    }

    /// For connections from any of these keys.
    pub(super) fn accepting(&self, keys: &[[u8; 32]]) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(self.expected(keys))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.key))));
        config.alpn_protocols = vec![self.protocol.clone()];
        // Every connection proves its key anew.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For connections to this key.
    pub(super) fn connecting(&self, key: [u8; 32]) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.expected(&[key]))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.key))));
        config.alpn_protocols = vec![self.protocol.clone()];
        config.enable_sni = false;
        Ok(config)
    }
}
