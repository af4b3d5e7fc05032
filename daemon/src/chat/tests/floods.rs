//! A flood in one language does not silence the other.

use super::*;
use quinn_proto::{ConnectionIdGenerator as _, HashedConnectionIdGenerator};
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;

/// Packets sent at once: less than the socket's buffer holds, so that what is lost is not lost to the machine's load.
const BURST: usize = 300;
/// How long it pauses then: with packets of 1200 bytes that is the rate of a gigabit, and more.
const PAUSE: Duration = Duration::from_millis(2);

/// Sends packets to an address in bursts until this is dropped.
struct Flood {
    goes_on: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Flood {
    /// Has begun when this returns.
    fn new(to: SocketAddr, packets: Vec<Vec<u8>>) -> Flood {
        let goes_on = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&goes_on);
        let (begun, begins) = std::sync::mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut count = 0;
            while flag.load(Relaxed) {
                count += packets
                    .iter()
                    .cycle()
                    .take(BURST)
                    .filter(|packet| socket.send_to(packet, to).is_ok())
                    .count();
                let _ = begun.try_send(());
                thread::park_timeout(PAUSE);
            }
            count
        });
        begins.recv().unwrap();
        Flood { goes_on, thread: Some(thread) }
    }

    fn end(mut self) -> usize {
        self.goes_on.store(false, Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.goes_on.store(false, Relaxed);
    }
}

#[tokio::test]
async fn a_flood_of_lines_leaves_links_alive() {
    let (mut a, mut b, at_a, at_b) = linked().await;
    let flood = Flood::new(b.address, vec![b"a line of a flood".to_vec()]);
    // Its hub takes lines all the while.
    let mut lines = std::mem::replace(&mut b.lines, mpsc::channel(1).1);
    let taker = tokio::spawn(async move {
        let mut count = 0;
        while let Some(input) = lines.recv().await {
            count += input.lines.len();
        }
        count
    });
    for n in 1..=300 {
        a.order(LinkOrder::Say(at_a, vec![say(n, "x")])).await;
        assert_eq!(b.said(1).await, [n]);
        b.order(LinkOrder::Stored(at_b, n)).await;
        assert!(matches!(a.report().await, LinkReport::Stored(_, stored) if stored == n));
    }
    // Nor does it keep out who calls.
    let mut c = Station::new("c");
    link(&mut c, &mut b).await;
    assert!(flood.end() >= BURST);
    b.stop.cancel();
    ended(b.thread).await.unwrap().unwrap();
    assert!(soon("the last line", taker).await.unwrap() > 100);
}

#[tokio::test]
async fn a_flood_of_quic_leaves_lines_and_links_alive() {
    let (mut a, mut b, at_a, at_b) = linked().await;
    let identity = Identity::load_or_create(b.dir.path(), None).unwrap();
    let id = HashedConnectionIdGenerator::from_key(identity.cid_key().unwrap()).generate_cid();
    let initial = [&b"\xC3\x00\x00\x00\x01\x08abcdefgh\x08abcdefgh\x00\x44\x80"[..], &[7; 1178]].concat();
    let short = [&b"\x4A"[..], &id, &[0xFF; 40]].concat();
    let flood = Flood::new(b.address, vec![initial, short]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 1..=300 {
        // One line may be lost to a full buffer, as any datagram: it is said until it is heard.
        let text = format!("line {n}");
        loop {
            socket.send_to(text.as_bytes(), b.address).unwrap();
            let heard = timeout(Duration::from_millis(100), b.lines.recv()).await;
            let lines = heard.map_or(Vec::new(), |input| input.unwrap().lines);
            if lines.iter().any(|arrived| arrived.line.text == text) {
                break;
            }
        }
        a.order(LinkOrder::Say(at_a, vec![say(n, "x")])).await;
        assert_eq!(b.said(1).await, [n]);
        b.order(LinkOrder::Stored(at_b, n)).await;
        assert!(matches!(a.report().await, LinkReport::Stored(_, stored) if stored == n));
    }
    assert!(flood.end() >= BURST);
}

/// So many first packets of callers, each of a connection of its own.
async fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let deaf = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(dir.path(), None).unwrap();
    let client = crate::identity::tls::client_config(&identity, netkit_proto::chat::frame::ALPN).unwrap();
    let client = quinn::crypto::rustls::QuicClientConfig::try_from(client).unwrap();
    let client = quinn::ClientConfig::new(Arc::new(client));
    let (mut packets, mut buffer) = (std::collections::HashMap::new(), [0; 2048]);
    while packets.len() < count {
        let to = deaf.local_addr().unwrap();
        let calling = endpoint.connect_with(client.clone(), to, crate::identity::tls::SERVER_NAME).unwrap();
        let (len, _) = soon("the first packet", deaf.recv_from(&mut buffer)).await.unwrap();
        packets.insert(buffer[6..14].to_vec(), buffer[..len].to_vec()); // by the connection's id
        drop(calling);
    }
    packets.into_values().collect()
}

#[tokio::test]
async fn callers_that_forge_their_addresses_keep_nobody_out() {
    let at = |listen| Station::at("b", Arc::new(tempfile::tempdir().unwrap()), listen, "");
    let mut b = at("0.0.0.0:0");
    b.address.set_ip([127, 0, 0, 1].into());
    let mut a = Station::new("a");
    let (at_a, _) = link(&mut a, &mut b).await;
    let packets = first_packets(4 * limits::GREETINGS_UNPROVEN).await;
    for (n, packet) in packets.iter().enumerate() {
        let forged =
            UdpSocket::bind((Ipv4Addr::new(127, 1, (n / 250) as u8, (n % 250) as u8 + 1), 0)).unwrap();
        forged.send_to(packet, b.address).unwrap();
    }
    a.order(LinkOrder::Say(at_a, vec![say(1, "x")])).await;
    assert_eq!(b.said(1).await, [1]);
    // Who shows that its address is its own comes in, by a way that costs nothing here.
    let mut c = at("127.0.0.2:0");
    link(&mut c, &mut b).await;
    assert_eq!(b.counters.quic_refused.load(Relaxed), 0);
}
