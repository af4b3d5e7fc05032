//! Peers that do not keep to the protocol, and bytes that are none: each costs its own connection and nothing else, and the
//! hub never hears of them.

use super::*;
use crate::identity::tls;
use netkit_proto::chat::frame::{ALPN, Decoder, Frame, Hello, encode};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// Has no certificate.
#[derive(Debug)]
struct Anonymous;

impl ResolvesClientCert for Anonymous {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A peer made of quinn alone.
struct Stranger {
    endpoint: Endpoint,
    identity: Identity,
}

impl Stranger {
    fn new() -> Stranger {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(dir.path(), None).unwrap();
        Stranger { endpoint: Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap(), identity }
    }

    async fn connect(
        &self,
        to: &Station,
        config: rustls::ClientConfig,
    ) -> Result<Connection, ConnectionError> {
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        let connecting = self.endpoint.connect_with(config, to.address, tls::SERVER_NAME).unwrap();
        soon("a handshake", connecting).await
    }

    async fn streams(&self, to: &Station) -> (Connection, SendStream, RecvStream) {
        let config = tls::client_config(&self.identity, ALPN).unwrap();
        let connection = self.connect(to, config).await.unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        (connection, send, receive)
    }
}

fn hello() -> Frame {
    Frame::Hello(Hello {
        name: "stranger".parse().unwrap(),
        version: 1,
        features: vec![],
        instance: 1,
        file_port: None,
        rooms: vec![],
        epoch: Epoch(1),
    })
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| encode(frame, &mut bytes));
    bytes
}

/// Why it was closed.
async fn closed(connection: &Connection) -> (u64, String) {
    match soon("the end of a connection", connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => {
            (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_shows_no_certificate_or_speaks_another_protocol_is_turned_away() {
    let mut b = Station::new("b");
    let stranger = Stranger::new();
    let mut anonymous = tls::client_config(&stranger.identity, ALPN).unwrap();
    anonymous.client_auth_cert_resolver = Arc::new(Anonymous);
    let other = tls::client_config(&stranger.identity, b"h3").unwrap();
    for config in [anonymous, other] {
        // A client of TLS 1.3 is done before the server has seen its certificate.
        let refused = match stranger.connect(&b, config).await {
            Ok(connection) => soon("a refusal", connection.closed()).await,
            Err(error) => error,
        };
        assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "{refused:?}");
    }
    let mut a = Station::new("a");
    link(&mut a, &mut b).await;
}

#[tokio::test]
async fn who_does_not_begin_with_a_hello_is_turned_away() {
    let mut b = Station::new("b");
    let stranger = Stranger::new();
    let mut old = hello();
    if let Frame::Hello(hello) = &mut old {
        hello.version = 0;
    }
    let too_long = (netkit_proto::limits::FRAME as u32 + 1).to_be_bytes().to_vec();
    for wrong in [bytes(&[Frame::Stored { n: 1 }]), bytes(&[old]), too_long, b"\0\0\0\x04oops".to_vec()] {
        let (connection, mut send, _receive) = stranger.streams(&b).await;
        send.write_all(&wrong).await.unwrap();
        assert_eq!(closed(&connection).await.0, 4);
    }
    let (connection, mut send, _receive) = stranger.streams(&b).await;
    send.write_all(&bytes(&[hello()])[..9]).await.unwrap();
    send.finish().unwrap();
    assert_eq!(closed(&connection).await, (4, "the end before a hello".into()));
    let mut a = Station::new("a");
    link(&mut a, &mut b).await; // the first that its hub hears of
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_link_and_tells_why() {
    let mut b = Station::new("b");
    let stranger = Stranger::new();
    let text = format!(r#"{{"frame":"say","n":1,"text":"{}"}}"#, "x".repeat(100));
    let malformed = [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    for wrong in [bytes(&[hello()]), malformed, u32::MAX.to_be_bytes().to_vec()] {
        let (connection, mut send, mut receive) = stranger.streams(&b).await;
        send.write_all(&bytes(&[hello()])).await.unwrap();
        let mut decoder = Decoder::default();
        let answer = loop {
            if let Some(frame) = decoder.frame().unwrap() {
                break frame;
            }
            let chunk = soon("a hello", receive.read_chunk(1000, true)).await.unwrap().unwrap();
            decoder.push(&chunk.bytes);
        };
        assert!(matches!(answer, Frame::Hello(hello) if hello.name.as_str() == "b"));
        let said = Frame::Say(say(1, "x"));
        send.write_all(&[bytes(&[said]), wrong].concat()).await.unwrap();
        let (link, peer, _) = b.up().await;
        assert_eq!(peer, stranger.identity.id());
        assert_eq!(b.said(1).await, [1], "what came before counts");
        let (down, parting) = b.down().await;
        assert!(down == link && matches!(parting, Parting::Protocol(_)), "{parting:?}");
        let (code, reason) = closed(&connection).await;
        assert!(code == 4 && !reason.is_empty());
    }
    assert_eq!(b.counters.mistakes.load(Relaxed), 3);
}

#[tokio::test]
async fn what_a_newer_peer_says_is_passed_over() {
    let mut b = Station::new("b");
    let stranger = Stranger::new();
    let (_connection, mut send, _receive) = stranger.streams(&b).await;
    let dance = br#"{"frame":"dance"}"#;
    let dance = [&(dance.len() as u32).to_be_bytes()[..], dance].concat();
    let have = Frame::Have { hash: "ab".into() };
    let rest = bytes(&[have, Frame::Say(say(1, "x"))]);
    send.write_all(&[bytes(&[hello()]), dance, rest].concat()).await.unwrap();
    b.up().await;
    assert_eq!(b.said(1).await, [1]);
}

#[tokio::test]
async fn what_is_sought_is_told_to_the_hub_and_answered() {
    let mut b = Station::new("b");
    let stranger = Stranger::new();
    let (_connection, mut send, mut receive) = stranger.streams(&b).await;
    let (hash, no_hash) = ("AB".repeat(32), "ab".repeat(31));
    let frames = [hello(), Frame::Have { hash: no_hash }, Frame::Have { hash }];
    send.write_all(&bytes(&frames)).await.unwrap();
    let (link, ..) = b.up().await;
    assert!(matches!(b.report().await, LinkReport::Have(at, [0xAB, ..]) if at == link));
    b.order(LinkOrder::Has(link, [0xAB; 32], true)).await;
    b.order(LinkOrder::Has(link, [1; 32], false)).await;
    let mut decoder = Decoder::default();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        match decoder.frame().unwrap() {
            Some(Frame::Has { hash, has }) => answers.push((hash, has)),
            Some(_) => {}
            None => {
                let chunk = soon("an answer", receive.read_chunk(1000, true)).await.unwrap().unwrap();
                decoder.push(&chunk.bytes);
            }
        }
    }
    assert_eq!(answers, [("ab".repeat(32), true), ("01".repeat(32), false)]);
}

#[tokio::test]
async fn a_stranger_that_reads_nothing_is_given_up() {
    let mut b = Station::new("b");
    let stranger = Stranger::new();
    let (connection, mut send, _receive) = stranger.streams(&b).await;
    send.write_all(&bytes(&[hello()])).await.unwrap();
    let (link, ..) = b.up().await;
    let text = "x".repeat(netkit_proto::limits::TEXT);
    let mut n = 0;
    let parting = loop {
        n += 1;
        b.order(LinkOrder::Say(link, vec![say(n, text.clone())])).await;
        match b.reports.try_recv() {
            Ok(LinkReport::Down(_, parting)) => break parting,
            Ok(LinkReport::Pulse(..) | LinkReport::Silent(_)) | Err(_) => tokio::task::yield_now().await,
            Ok(other) => panic!("{other:?}"),
        }
        assert!(n < 1_000_000);
    };
    assert!(matches!(parting, Parting::Lost(_)), "{parting:?}");
    closed(&connection).await;
}

#[tokio::test]
async fn garbage_of_every_kind_changes_nothing() {
    let (mut a, mut b, at_a, _) = linked().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut state = seed;
    for round in 0..3000_usize {
        let mut packet = vec![0; 1 + round % 1472];
        for byte in &mut packet {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        let starts: [&[u8]; 4] =
            [b"\xC0\x00\x00\x00\x01\x08", b"\xF0\x00\x00\x00\x01\x14", b"\xC0\x00\x00\x00\x00\x08", b"\x40"];
        let start = starts[round % 4];
        let len = start.len().min(packet.len());
        packet[..len].copy_from_slice(&start[..len]);
        socket.send_to(&packet, b.address).unwrap();
        if round % 100 == 0 {
            // What came so far is dealt with.
            a.order(LinkOrder::Say(at_a, vec![say(round as u64, "x")])).await;
            assert_eq!(b.said(1).await, [round as u64], "seed {seed:#x}");
            while b.lines.try_recv().is_ok() {}
        }
    }
    let mut c = Station::new("c");
    link(&mut c, &mut b).await;
    drop(a.reports.try_recv());
}

#[tokio::test]
async fn callers_that_say_nothing_do_not_keep_others_out() {
    let dir = || Arc::new(tempfile::tempdir().unwrap());
    let mut b = Station::at("b", dir(), "0.0.0.0:0", "");
    b.address.set_ip([127, 0, 0, 1].into());
    let stranger = Stranger::new();
    let config = || tls::client_config(&stranger.identity, ALPN).unwrap();
    let mut silent = Vec::new();
    for _ in 0..limits::GREETINGS_PER_ADDRESS {
        silent.push(stranger.connect(&b, config()).await.unwrap()); // the later ones after a retry
    }
    let refused = stranger.connect(&b, config()).await.unwrap_err();
    assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "{refused:?}");
    assert_eq!(b.counters.quic_refused.load(Relaxed), 1);
    let challenged = b.counters.quic_challenged.load(Relaxed) as usize;
    assert!(challenged >= limits::GREETINGS_PER_ADDRESS / 2, "{challenged}");
    let mut c = Station::at("c", dir(), "127.0.0.2:0", "");
    link(&mut c, &mut b).await;
    drop(silent);
    // Those who leave make room.
    let mut a = Station::new("a");
    loop {
        a.dial(1, Some(b.id), &[b.address]).await;
        match a.report().await {
            LinkReport::Up { .. } => break,
            LinkReport::DialFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
