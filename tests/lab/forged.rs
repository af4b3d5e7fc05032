//! A stranger that forges the address of a peer: the link of that peer goes on, and nothing that was forged is taken for
//! the peer's.

use super::{Speaker, befriend, events, heard, peer, python, text};
use crate::harness::{Lab, Node, Random, eventually, few_or_many, has_no_lab};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Prints the first packets of a host to another's chat port that are QUIC's, in hex.
const RECORD: &str = r#"
import socket, sys
ears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
ears.bind(("lan0", 0))
print("recording", flush=True)
packets = 0
while packets < 20:
    frame = ears.recv(65535)
    if frame[12:14] != b"\x08\x00" or frame[23] != 17:
        continue
    udp = frame[14 + 4 * (frame[14] & 15):]
    where = frame[26:34] == socket.inet_aton("10.77.0.2") + socket.inet_aton("10.77.0.1")
    if where and udp[2:4] == b"\x1e\xd2" and udp[8] & 0x40 and len(udp) <= 1480:
        print(udp[8:].hex(), flush=True)
        packets += 1
"#;

/// Sends anna what bob could have sent, as if it came from bob, and bob what anna could have sent, likewise: packets that
/// were recorded, packets of no sense, text. The recorded ones are sent from its own address, too.
const FORGE: &str = r#"
import os, random, select, socket, struct, sys
random.seed(int(sys.argv[1]))
recorded = []
for line in sys.stdin:
    if line == "\n":
        break
    recorded.append(bytes.fromhex(line))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("10.77.0.3", 7890))
anna, bob = "10.77.0.1", "10.77.0.2"
def forge(source, to, payload):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 17, 0) + socket.inet_aton(source) + socket.inet_aton(to)
    try:
        raw.sendto(head + struct.pack("!HHHH", 7890, 7890, 8 + len(payload), 0) + payload, (to, 0))
    except OSError:
        pass
def noise(first, least):
    return bytes([first | random.getrandbits(5)]) + random.randbytes(random.randint(least, 1200))
def damaged(packet):
    at = random.randrange(1, len(packet)) # the first byte tells that it is QUIC's
    return packet[:at] + bytes([packet[at] ^ (1 << random.randrange(8))]) + packet[at + 1:]
sent = 0
print("forging", flush=True)
while not select.select([sys.stdin], [], [], 0.002)[0]:
    packet = random.choice(recorded)
    for source, to in ((bob, anna), (anna, bob)):
        for payload in (
            packet,
            packet[:random.randrange(22, len(packet))] if len(packet) > 22 else packet,
            damaged(packet),
            packet[:9] + random.randbytes(random.randint(20, 1200)),
            noise(0x40, 40),
            bytes([0xc0 | random.getrandbits(5)]) + b"\0\0\0\1" + random.randbytes(1195),
            b"\xc0\0\0\0\1\x08" + packet[1:9] + b"\x08" + random.randbytes(1180),
            b"\xc0\0\0\0\0\x08" + packet[1:9] + b"\x08" + packet[1:9] + b"\0\0\0\1",
            b"\xff" * random.randint(1, 40),
            b"",
        ):
            forge(source, to, payload)
            sent += 1
        forge(source, to, b"forged text")
        forge(source, to, b"bye")
    try:
        own.sendto(packet, (anna, 7890))
        own.sendto(damaged(packet), (anna, 7890))
    except OSError:
        pass
print(sent)
"#;

#[test]
fn whoever_forges_a_peers_address_breaks_no_link_and_says_nothing_for_it() {
    let test = "whoever_forges_a_peers_address_breaks_no_link_and_says_nothing_for_it";
    if has_no_lab(test, &["python3"]) {
        return;
    }
    let mut random = Random::new(test);
    let lab = Lab::new();
    let (a, b, c) = (lab.host(1), lab.host(2), lab.host(3));
    let quiet = "[discovery]\nmdns = false\n";
    let (anna, bob) = (a.node("anna").sections(quiet).start(), b.node("bob").sections(quiet).start());
    befriend((&anna, "10.77.0.1"), (&bob, "10.77.0.2"));
    let linked =
        || [peer(&anna, "bob"), peer(&bob, "anna")].map(|peer| peer.unwrap()["linked_since"].clone());
    let before = linked();
    assert!(before.iter().all(Value::is_string), "{before:?}");
    let mut record = python(&b, RECORD, &[]);
    assert_eq!(record.line(), "recording");
    for n in 0..20 {
        bob.ctl(&["send", "--wait=50", "anna", &format!("recorded {n}")]).expect(0);
    }
    let mut forge = python(&c, FORGE, &[&random.number().to_string()]);
    let packets: Vec<String> = (0..20).map(|_| record.line()).collect();
    forge.write(format!("{}\n\n", packets.join("\n")).as_bytes());
    assert_eq!(forge.line(), "forging");
    for node in [&anna, &bob] {
        eventually("what is forged comes in", || {
            plain(node).contains(&"forged text".to_owned()).then_some(())
        });
    }
    let count = few_or_many(300, 5000);
    let speakers = [Speaker::new(&anna, "bob", count), Speaker::new(&bob, "anna", count)];
    std::thread::scope(|scope| {
        for speaker in &speakers {
            scope.spawn(|| speaker.run());
        }
    });
    speakers.iter().for_each(Speaker::wait_delivered);
    forge.write(b"\n");
    eprintln!("{} packets were forged", forge.line());
    let said = |to: &str| (0..count).map(|n| text(to, n)).collect::<Vec<_>>();
    assert_eq!(heard(&bob, "anna"), said("bob"));
    assert_eq!(heard(&anna, "bob")[20..], said("anna"));
    assert_eq!(linked(), before, "the links are still the same");
    for node in [&anna, &bob] {
        let plain = plain(node);
        let others: BTreeSet<&String> = plain.iter().filter(|text| text.len() > 2 * 40).collect();
        assert_eq!(others, BTreeSet::new(), "no packet that looks like QUIC's is a line");
    }
}

/// What a box heard of who proved nothing; fails where that is told to be a peer's.
#[track_caller]
fn plain(at: &Node) -> Vec<String> {
    let events = events(at, &json!({"topics": ["message.received"]}));
    let lines = events.iter().filter(|event| event["verified"] == false);
    let lines = lines.filter(|event| event["peer"] != "udp://10.77.0.3:7890"); // the stranger as itself
    let text = |event: &Value| {
        assert!(event["peer"].as_str().unwrap().starts_with("udp://10.77.0."), "{event}");
        assert!(event.get("id").is_none(), "{event}");
        event["text"].as_str().unwrap().to_owned()
    };
    lines.map(text).collect()
}
