//! What others see of a link: an independent program decodes QUIC, and nobody reads the messages.

use crate::harness::pair::{box_of, builder};
use crate::harness::{Running, command, eventually, has_program, is_root, may_skip};
use std::path::Path;

/// A capture of all that goes over the loopback interface to or from these ports, under way.
fn capture(file: &Path, ports: &[u16]) -> Running {
    let ports: Vec<String> = ports.iter().map(|port| format!("udp port {port}")).collect();
    let file = file.display().to_string();
    let args = ["-i", "lo", "-q", "-w", &file, "-f", &ports.join(" or ")];
    let mut running = Running::start(command("tshark", &args));
    running.stderr_with("Capturing on");
    running
}

/// What tshark prints of a capture's packets.
fn decode(file: &Path, port: u16, args: &[&str]) -> String {
    let file = file.display().to_string();
    let as_quic = format!("udp.port=={port},quic");
    let words = [&["-r", &file, "-d", &as_quic], args].concat();
    Running::to_end(command("tshark", &words), b"").expect(0).stdout
}

#[test]
fn tshark_sees_quic_and_no_text() {
    let test = "tshark_sees_quic_and_no_text";
    if may_skip(is_root() && has_program("tshark"), test, "root and tshark") {
        return;
    }
    let (alice, bob) = (box_of(builder("alice")), box_of(builder("bob")));
    let port = bob.chat().port();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wire.pcapng");
    let capturing = capture(&file, &[port, alice.chat().port()]);
    // What is captured is written when it likes: the first line in the open tells that it has begun.
    let bytes = || std::fs::read(&file).unwrap_or_default();
    let has = |text: &str| bytes().windows(text.len()).any(|window| window == text.as_bytes());
    eventually("the capture has begun", || {
        alice.ctl(&["send", &bob.url(), "in the open: begin"]).expect(0);
        has("in the open: begin").then_some(())
    });
    alice.add(&bob);
    for n in 0..50 {
        alice.ctl(&["send", "--wait", "bob", &format!("SECRET-TO-BOB {n}")]).expect(0);
        bob.ctl(&["send", "--wait", "alice", &format!("SECRET-TO-ALICE {n}")]).expect(0);
    }
    let room = "rooms.join";
    alice.session().call(room, serde_json::json!({"room": "secret-room"})).unwrap();
    alice.ctl(&["send", "--wait", "bob", "SECRET-TO-BOB last"]).expect(0);
    eventually("the capture has all", || {
        alice.ctl(&["send", &bob.url(), "in the open: end"]).expect(0);
        has("in the open: end").then_some(())
    });
    capturing.signal(rustix::process::Signal::INT);
    capturing.end();

    // Independently decoded: a version 1 handshake, the ClientHello of TLS 1.3 in it with our protocol, then 1-RTT packets.
    let initials =
        decode(&file, port, &["-Y", "quic.long.packet_type==0", "-T", "fields", "-e", "quic.version"]);
    assert!(initials.contains("0x00000001"), "{initials}");
    let hello = decode(
        &file,
        port,
        &["-Y", "tls.handshake.type==1", "-T", "fields", "-e", "tls.handshake.extensions_alpn_str"],
    );
    assert!(hello.contains("netkit/1"), "{hello}");
    let handshakes = decode(&file, port, &["-Y", "quic.long.packet_type==2"]);
    assert!(handshakes.lines().count() >= 2, "both sides: {handshakes}");
    let short = decode(&file, port, &["-Y", "quic.header_form==0"]);
    assert!(short.lines().count() > 100, "{} packets", short.lines().count());
    for text in ["SECRET-TO", "secret-room", "alice", "\"say\"", "sent_at"] {
        assert!(!has(text), "{text:?} can be read on the wire");
    }
}
