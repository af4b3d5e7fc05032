//! Which cipher encrypts what goes between netkit boxes: the one that takes the least time. All that TLS 1.3 has are as
//! strong as the keys, or stronger: P-256 gives 128 bits (NIST SP 800-57, part 1, table 2).

use rustls::CipherSuite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256};
use rustls::SupportedCipherSuite;

/// Whether this processor has instructions for AES. Without them ChaCha20 takes a fraction of the time.
pub(super) fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Puts the fastest first; the others keep their order.
pub(super) fn order(suites: &mut [SupportedCipherSuite], has_aes: bool) {
    let first = if has_aes { TLS13_AES_128_GCM_SHA256 } else { TLS13_CHACHA20_POLY1305_SHA256 };
    suites.sort_by_key(|suite| suite.suite() != first);
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, tls};
    use super::*;
    use rustls::{ClientConnection, ServerConnection};
    use std::sync::Arc;

    #[test]
    fn the_fastest_comes_first_and_none_is_lost() {
        for (has_aes, first) in [(true, TLS13_AES_128_GCM_SHA256), (false, TLS13_CHACHA20_POLY1305_SHA256)] {
            let mut suites = rustls::crypto::ring::default_provider().cipher_suites;
            let count = suites.len();
            order(&mut suites, has_aes);
            assert_eq!((suites[0].suite(), suites.len()), (first, count));
        }
    }

    /// What two boxes agree on.
    fn agreed(client_has_aes: bool, server_has_aes: bool) -> rustls::CipherSuite {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(dir.path(), None).unwrap();
        let client = tls::client_config_for(&identity, b"x", client_has_aes).unwrap();
        let server = tls::server_config_for(&identity, b"x", server_has_aes).unwrap();
        let mut client =
            ClientConnection::new(Arc::new(client), tls::SERVER_NAME.try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        client.negotiated_cipher_suite().unwrap().suite()
    }

    #[test]
    fn one_that_lacks_the_instructions_decides_for_both() {
        assert_eq!(agreed(true, true), TLS13_AES_128_GCM_SHA256);
        for (client, server) in [(true, false), (false, true), (false, false)] {
            assert_eq!(agreed(client, server), TLS13_CHACHA20_POLY1305_SHA256);
        }
    }
}
