//! A flood in one language does not silence the other.

use super::*;
use quinn_proto::{ConnectionIdGenerator as _, HashedConnectionIdGenerator};
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
