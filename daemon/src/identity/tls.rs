//! TLS 1.3 between netkit boxes (RFC 8446), mutual, with the identity as the only certificate. Used by the edges. A
//! certificate is looked at for its form, and the handshake for the proof that the peer has the key; whether that peer may
//! speak is decided afterwards, per connection, so that it can change while the connection lives. Hence no resumption and
//! no early data, which would pass by the verifier.

use super::{Identity, ciphers};
use netkit_proto::ids::PeerId;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, NoServerSessionStorage, ParsedCertificate};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What peers' keys may sign with: what netkit makes, and the one that it would most likely make next.
const SCHEMES: [SignatureScheme; 2] = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

/// The name that is asked for: the protocol wants one, no box has one that proves anything.
pub const SERVER_NAME: &str = "netkit";

/// The cryptography, the same for all of netkit.
pub(super) fn provider() -> Arc<CryptoProvider> {
    provider_for(ciphers::has_aes())
}

fn provider_for(has_aes: bool) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    ciphers::order(&mut provider.cipher_suites, has_aes);
    Arc::new(provider)
}

/// Whose certificate this is: the SHA-256 of its SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
///
/// # Errors
/// Where it is none.
pub fn peer_id(certificate: &CertificateDer<'_>) -> Result<PeerId, Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(PeerId(Sha256::digest(&key).into()))
}

/// For whoever is dialled: asks for a certificate and ends without one.
///
/// # Errors
/// None that are known.
pub fn server_config(identity: &Identity, alpn: &[u8]) -> Result<ServerConfig, Error> {
    server_config_for(identity, alpn, ciphers::has_aes())
}

pub(super) fn server_config_for(
    identity: &Identity,
    alpn: &[u8],
    has_aes: bool,
) -> Result<ServerConfig, Error> {
    serving(identity, alpn, Arc::new(AnyPeer(provider())), has_aes)
}

/// For whoever may be dialled by programs that know nothing of netkit: they are asked for nothing.
///
/// # Errors
/// None that are known.
pub fn public_server_config(identity: &Identity, alpn: &[u8]) -> Result<ServerConfig, Error> {
    serving(identity, alpn, Arc::new(NoClientAuth), ciphers::has_aes())
}

fn serving(
    identity: &Identity,
    alpn: &[u8],
    callers: Arc<dyn ClientCertVerifier>,
    has_aes: bool,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider_for(has_aes))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(callers)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.ignore_client_order = !has_aes; // else who dials would choose what is slow here
    config.max_early_data_size = 0;
    Ok(config)
}

/// For whoever dials.
///
/// # Errors
/// None that are known.
pub fn client_config(identity: &Identity, alpn: &[u8]) -> Result<ClientConfig, Error> {
    client_config_for(identity, alpn, ciphers::has_aes())
}

pub(super) fn client_config_for(
    identity: &Identity,
    alpn: &[u8],
    has_aes: bool,
) -> Result<ClientConfig, Error> {
    let provider = provider_for(has_aes);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyPeer(provider)))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// Takes every certificate that is one, from whoever proves to have its key.
#[derive(Debug)]
struct AnyPeer(Arc<CryptoProvider>);

impl AnyPeer {
    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !SCHEMES.contains(&signed.scheme) {
            return Err(Error::General("a signature scheme that was not offered".into()));
        }
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
}

fn no_tls12<T>() -> Result<T, Error> {
    Err(Error::General("only TLS 1.3 is spoken".into()))
}

impl ServerCertVerifier for AnyPeer {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        peer_id(certificate).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for AnyPeer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        peer_id(certificate).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
