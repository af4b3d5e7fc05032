//! The identity on disk: made once, private, tied to its machine, mended where nothing is lost by it; and what TLS makes
//! of it.

use super::*;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, ServerConnection};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tempfile::TempDir;

fn machine(digit: char) -> MachineId {
    MachineId::from_text(&digit.to_string().repeat(32)).unwrap()
}

fn load(dir: &TempDir) -> Result<Identity, IdentityError> {
    Identity::load_or_create(dir.path(), Some(&machine('a')))
}

fn made() -> (TempDir, Identity) {
    let dir = tempfile::tempdir().unwrap();
    let identity = load(&dir).unwrap();
    (dir, identity)
}

#[test]
fn an_identity_is_made_once_and_is_private() {
    let (dir, first) = made();
    let again = load(&dir).unwrap();
    assert_eq!(again.id(), first.id());
    assert_eq!(again.cid_key().unwrap(), first.cid_key().unwrap());
    let signed = hmac::sign(&first.reset_key().unwrap(), b"x");
    hmac::verify(&again.reset_key().unwrap(), b"x", signed.as_ref()).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, [CERTIFICATE, KEY, MACHINE], "and nothing half-made is left");
    assert_ne!(made().1.id(), first.id());
    assert_ne!(made().1.cid_key().unwrap(), first.cid_key().unwrap());
}

#[test]
fn a_copy_on_another_machine_is_refused_until_somebody_says_what_it_is() {
    let (dir, first) = made();
    let other = || Identity::load_or_create(dir.path(), Some(&machine('b')));
    let error = other().unwrap_err();
    assert!(matches!(error, IdentityError::Cloned(_)));
    let text = error.to_string();
    for name in [KEY, CERTIFICATE, MACHINE] {
        assert!(text.contains(dir.path().join(name).to_str().unwrap()), "{text}");
    }
    assert_eq!(load(&dir).unwrap().id(), first.id(), "the refusal changed nothing");

    fs::remove_file(dir.path().join(MACHINE)).unwrap();
    assert_eq!(other().unwrap().id(), first.id(), "it is the same box, somebody said");
    assert!(matches!(load(&dir), Err(IdentityError::Cloned(_))));

    for name in [KEY, CERTIFICATE, MACHINE] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    assert_ne!(load(&dir).unwrap().id(), first.id());
}

#[test]
fn a_machine_without_an_id_asks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::load_or_create(dir.path(), None).unwrap();
    assert!(!dir.path().join(MACHINE).exists());
    assert_eq!(load(&dir).unwrap().id(), first.id(), "tied from now on");
    assert!(dir.path().join(MACHINE).exists());
    assert_eq!(Identity::load_or_create(dir.path(), None).unwrap().id(), first.id());
    for none in ["", "uninitialized\n", "xyz", &"g".repeat(32), &"a".repeat(31)] {
        assert_eq!(MachineId::from_text(none), None, "{none}");
    }
    let text = MachineId::from_text(&format!("{}\n", "A".repeat(32))).unwrap();
    assert_eq!(text, machine('a'));
    assert!(!text.text().contains("aaaa"), "it is hashed");
}

#[test]
fn a_key_that_others_may_use_is_refused() {
    let (dir, _) = made();
    let path = dir.path().join(KEY);
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = load(&dir).unwrap_err();
        assert!(matches!(&error, IdentityError::Exposed(p, m) if *p == path && *m == mode), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    load(&dir).unwrap();
}

#[test]
fn what_is_no_file_of_ours_is_refused() {
    let (dir, _) = made();
    let path = dir.path().join(KEY);
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), &path).unwrap();
    assert!(matches!(load(&dir), Err(IdentityError::NotAFile(p)) if p == path));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(load(&dir), Err(IdentityError::NotAFile(p)) if p == path));
}

#[test]
fn what_can_be_made_again_is_and_what_can_not_is_refused() {
    let (dir, first) = made();
    let (key, certificate) = (dir.path().join(KEY), dir.path().join(CERTIFICATE));
    fs::remove_file(&certificate).unwrap();
    assert_eq!(load(&dir).unwrap().id(), first.id(), "a new certificate, the same key");

    fs::write(dir.path().join(".identity.crt.new"), "cut off").unwrap();
    fs::remove_file(&certificate).unwrap();
    load(&dir).unwrap();

    let (other, _) = made();
    fs::copy(other.path().join(CERTIFICATE), &certificate).unwrap();
    assert!(matches!(load(&dir), Err(IdentityError::Unusable { path, .. }) if path == certificate));
    for bad in [&b""[..], b"no certificate"] {
        fs::write(&certificate, bad).unwrap();
        assert!(matches!(load(&dir), Err(IdentityError::Unusable { path, .. }) if path == certificate));
    }
    fs::remove_file(&certificate).unwrap();
    let good = fs::read(&key).unwrap();
    for bad in [&b""[..], b"no key", &good[..good.len() / 2]] {
        fs::write(&key, bad).unwrap();
        assert!(matches!(load(&dir), Err(IdentityError::Unusable { path, .. }) if path == key));
    }
    fs::write(&key, good).unwrap();
    assert_eq!(load(&dir).unwrap().id(), first.id());
    fs::remove_file(&key).unwrap();
    assert!(matches!(load(&dir), Err(IdentityError::KeyMissing(p, _)) if p == key));
}

#[test]
fn the_id_is_the_hash_of_the_key_and_not_of_the_certificate() {
    let (dir, identity) = made();
    let old = fs::read(dir.path().join(CERTIFICATE)).unwrap();
    fs::remove_file(dir.path().join(CERTIFICATE)).unwrap();
    load(&dir).unwrap();
    let new = fs::read(dir.path().join(CERTIFICATE)).unwrap();
    assert_ne!(old, new, "ECDSA draws a new number for each signature");
    for certificate in [old, new] {
        assert_eq!(tls::peer_id(&CertificateDer::from(certificate)).unwrap(), identity.id());
    }
    assert!(tls::peer_id(&CertificateDer::from(vec![0x30, 0])).is_err());
}

/// A handshake in memory; whom each side saw.
fn handshake(client: ClientConfig, server: &Identity) -> Result<(PeerId, PeerId), rustls::Error> {
    let server = tls::server_config(server, b"x").unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), tls::SERVER_NAME.try_into().unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() {
            let taken = server.read_tls(&mut bytes.as_slice()).unwrap();
            bytes.drain(..taken);
            server.process_new_packets()?;
        }
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() {
            let taken = client.read_tls(&mut bytes.as_slice()).unwrap();
            bytes.drain(..taken);
            client.process_new_packets()?;
        }
    }
    let seen = |certificates: Option<&[CertificateDer<'_>]>| tls::peer_id(&certificates.unwrap()[0]).unwrap();
    Ok((seen(client.peer_certificates()), seen(server.peer_certificates())))
}

#[test]
fn both_sides_prove_who_they_are() {
    let ((_, ours), (_, theirs)) = (made(), made());
    let client = tls::client_config(&ours, b"x").unwrap();
    assert_eq!(handshake(client, &theirs), Ok((theirs.id(), ours.id())));
}

#[test]
fn dates_mean_nothing() {
    let (dir, first) = made();
    let key = KeyPair::try_from(fs::read(dir.path().join(KEY)).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(1980, 1, 1);
    params.not_after = rcgen::date_time_ymd(1980, 1, 2);
    fs::write(dir.path().join(CERTIFICATE), params.self_signed(&key).unwrap().der()).unwrap();
    let expired = load(&dir).unwrap();
    assert_eq!(expired.id(), first.id());
    let (_, other) = made();
    let client = tls::client_config(&expired, b"x").unwrap();
    assert_eq!(handshake(client, &other), Ok((other.id(), first.id())));
    let client = tls::client_config(&other, b"x").unwrap();
    assert_eq!(handshake(client, &expired), Ok((first.id(), other.id())));
}

#[test]
fn anothers_certificate_proves_nothing() {
    let ((_, thief), (_, victim), (_, server)) = (made(), made(), made());
    let stolen =
        CertifiedKey::new(victim.certified_key().cert.clone(), Arc::clone(&thief.certified_key().key));
    let resolver = Arc::new(SingleCertAndKey::from(stolen));
    let mut client = tls::client_config(&thief, b"x").unwrap();
    client.client_auth_cert_resolver = Arc::<SingleCertAndKey>::clone(&resolver);
    handshake(client, &server).unwrap_err();
    let honest = tls::client_config(&server, b"x").unwrap();
    let mut lying = tls::server_config(&thief, b"x").unwrap();
    lying.cert_resolver = resolver;
    let mut lying = ServerConnection::new(Arc::new(lying)).unwrap();
    let mut honest = ClientConnection::new(Arc::new(honest), tls::SERVER_NAME.try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    honest.write_tls(&mut bytes).unwrap();
    lying.read_tls(&mut bytes.as_slice()).unwrap();
    lying.process_new_packets().unwrap();
    bytes.clear();
    while lying.wants_write() {
        lying.write_tls(&mut bytes).unwrap();
    }
    honest.read_tls(&mut bytes.as_slice()).unwrap();
    honest.process_new_packets().unwrap_err();
}
