//! Who this box is: a key and a self-signed certificate, made at the first start and kept in the state directory, and the
//! machine that they were made on beside them. `run` loads it; the edges prove themselves with it ([`tls`]). It says nothing
//! of who others are allowed to be: the hub decides that.
//!
//! The certificate is an envelope for the key (RFC 5280); its names and dates mean nothing, since a box may have no clock and
//! no name. What follows from the key by HKDF (RFC 5869) is the same after each start.

mod ciphers;
mod keep;
mod machine;
pub mod tls;

pub use machine::MachineId;

use keep::Kept;
use netkit_proto::ids::PeerId;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::{hkdf, hmac};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KEY: &str = "identity.key";
const CERTIFICATE: &str = "identity.crt";
const MACHINE: &str = "identity.machine";

/// Why this box can't say who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The state directory was copied from another box.
    #[error(
        "{key} was made on another machine (/etc/machine-id differs from what {machine} tells): two boxes must not \
         be one peer; if this box is a copy, delete {key}, {certificate} and {machine}, and the next start makes a \
         new identity; if it is still the same box, delete {machine} alone",
        key = .0.join(KEY).display(), certificate = .0.join(CERTIFICATE).display(), machine = .0.join(MACHINE).display()
    )]
    Cloned(PathBuf),
    /// Others may read or change a file that must be private.
    #[error(
        "others may use {0} (its mode is {1:03o}): chmod 600 it; where somebody may have read it, delete all \
         identity.* files beside it, and the next start makes a new identity"
    )]
    Exposed(PathBuf, u32),
    /// Another user's file.
    #[error("{0} belongs to the user {1}, not to the one that netkitd runs as")]
    NotOurs(PathBuf, u32),
    /// A symbolic link, a directory or the like.
    #[error("{0} is no regular file")]
    NotAFile(PathBuf),
    /// The certificate is there without its key.
    #[error("{0} is missing beside its certificate: put it back, or delete {1} for a new identity")]
    KeyMissing(PathBuf, PathBuf),
    /// What is in a file can't be used.
    #[error("{path} can't be used: {reason}; {remedy}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The cryptography failed.
    #[error("can't make an identity: {0}")]
    Crypto(String),
    /// Anything that the system says.
    #[error("can't {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// See the module.
pub struct Identity {
    id: PeerId,
    key: Arc<CertifiedKey>,
    /// What other keys are derived from.
    secret: hkdf::Prk,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity kept in this directory, which must be nobody else's at this time; where there is none, a new one.
    /// `machine` is what it is tied to; `None` where that can't be told: then it is tied to nothing, or not looked at.
    ///
    /// # Errors
    /// See [`IdentityError`]; each says what to do.
    pub fn load_or_create(dir: &Path, machine: Option<&MachineId>) -> Result<Identity, IdentityError> {
        let kept = Kept::new(dir);
        let key = kept.read(KEY)?;
        let certificate = kept.read(CERTIFICATE)?;
        let made_on = kept.read(MACHINE)?;
        let key = match key {
            Some(key) => {
                // Looked at before anything else is: a copy must not even mend its files.
                if let (Some(made_on), Some(machine)) = (&made_on, machine)
                    && !machine.is(made_on)
                {
                    return Err(IdentityError::Cloned(dir.to_owned()));
                }
                key
            }
            None if certificate.is_some() => {
                return Err(IdentityError::KeyMissing(dir.join(KEY), dir.join(CERTIFICATE)));
            }
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(crypto)?.serialize_der();
                // A key with another machine's name beside it would be refused: the name goes first.
                kept.remove(MACHINE)?;
                kept.write(KEY, &key)?;
                key
            }
        };
        let certificate = match certificate {
            Some(certificate) => certificate,
            None => {
                let certificate = issue(&key).map_err(|reason| unusable_key(dir, reason))?;
                kept.write(CERTIFICATE, &certificate)?;
                certificate
            }
        };
        let identity = Identity::from_der(key, certificate, dir)?;
        if let Some(machine) = machine
            && !made_on.is_some_and(|made_on| machine.is(&made_on))
        {
            kept.write(MACHINE, machine.text().as_bytes())?;
        }
        Ok(identity)
    }

    fn from_der(key: Vec<u8>, certificate: Vec<u8>, dir: &Path) -> Result<Identity, IdentityError> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"netkit identity").extract(&key);
        let certificate = CertificateDer::from(certificate);
        let id = tls::peer_id(&certificate).map_err(|e| unusable_certificate(dir, e.to_string()))?;
        let provider = tls::provider();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| unusable_key(dir, error.to_string()))?;
        let key = CertifiedKey::new(vec![certificate], key);
        key.keys_match().map_err(|e| unusable_certificate(dir, e.to_string()))?;
        Ok(Identity { id, key: Arc::new(key), secret })
    }

    /// Who we are.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The key and the certificate, for TLS.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }

    /// The key that our QUIC connection ids can be told by, also those of an earlier start (RFC 9000, section 5.1).
    ///
    /// # Errors
    /// None that are known.
    pub fn cid_key(&self) -> Result<u64, IdentityError> {
        let bytes = self.derive("connection ids")?;
        Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// The key of our stateless resets, also for connections of an earlier start (RFC 9000, section 10.3).
    ///
    /// # Errors
    /// None that are known.
    pub fn reset_key(&self) -> Result<hmac::Key, IdentityError> {
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &self.derive("stateless reset")?))
    }

    /// A key that follows from ours.
    fn derive(&self, purpose: &str) -> Result<[u8; 32], IdentityError> {
        let mut key = [0; 32];
        let info = [purpose.as_bytes()];
        let expanded = self.secret.expand(&info, hkdf::HKDF_SHA256);
        expanded.and_then(|okm| okm.fill(&mut key)).map_err(crypto)?;
        Ok(key)
    }
}

/// A certificate for this key, signed with it.
fn issue(key: &[u8]) -> Result<Vec<u8>, String> {
    let say = |error: rcgen::Error| error.to_string();
    let key = PrivatePkcs8KeyDer::from(key);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).map_err(say)?;
    let mut params = CertificateParams::default(); // valid from 1975 to 4096
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "netkit");
    Ok(params.self_signed(&key).map_err(say)?.der().to_vec())
}

fn crypto(error: impl std::fmt::Display) -> IdentityError {
    IdentityError::Crypto(error.to_string())
}

fn unusable_key(dir: &Path, reason: String) -> IdentityError {
    let remedy = "put back a copy, or delete all identity.* files beside it for a new identity";
    IdentityError::Unusable { path: dir.join(KEY), reason, remedy }
}

fn unusable_certificate(dir: &Path, reason: String) -> IdentityError {
    let remedy = "delete it, and the next start makes it again from the key";
    IdentityError::Unusable { path: dir.join(CERTIFICATE), reason, remedy }
}

#[cfg(test)]
mod tests;
