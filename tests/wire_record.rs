//! What `netkitctl wire` records and replays: pcapng as Wireshark's tshark reads it, and JSON lines.

use crate::harness::{
    DEADLINE, FAMILIES, command, every_byte, free, has_program, hex, listening, may_skip, wire, wire_command,
    wiring,
};
use rustix::process::Signal;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Instant;

/// A conversation of 256 bytes one way and five back, recorded by the side that connects.
fn record(family: &str, dir: &Path, record: &str) {
    let at = free(family, dir, family);
    let (_device, address) = listening(&[family, "listen", &at, "--reply", "hex:00 01 => there"]);
    let ask = [family, "connect", &address, "--hex", &hex(&every_byte()), "--expect", "there", "-W", "60"];
    wire(&[&ask[..], &["--record", record]].concat()).expect(0);
}

/// Fields of the packets of a capture, one packet a line, as tshark reads them with every checksum checked.
fn tshark(path: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut args = vec!["-r", path, "-T", "fields", "-E", "separator=;"];
    let checks = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"];
    args.extend(checks.into_iter().flat_map(|check| ["-o", check]));
    args.extend(fields.iter().flat_map(|field| ["-e", field]));
    let output = command("tshark", &args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

#[test]
fn a_record_is_what_wireshark_expects() {
    if may_skip(has_program("tshark"), "a_record_is_what_wireshark_expects", "tshark") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = hex(&every_byte()).replace(' ', "");
    for family in FAMILIES {
        let path = dir.path().join(format!("{family}.pcapng")).display().to_string();
        record(family, dir.path(), &path);
        let is_stream = matches!(family, "tcp" | "unix");
        let transport = if is_stream { "tcp" } else { "udp" };
        let status = format!("{transport}.checksum.status");
        let payload = format!("{transport}.payload");
        let fields =
            ["ip.checksum.status", &status, "frame.packet_flags_direction", &payload, "_ws.expert.message"];
        let packets = tshark(&path, &fields);
        assert!(
            packets.iter().all(|p| p[0] == "1" && p[1] == "1"),
            "checksums are good: {family} {packets:?}"
        );
        assert!(
            packets.iter().all(|p| !p[4].contains("Malformed") && !p[4].contains("unseen")),
            "{packets:?}"
        );
        let data: Vec<_> =
            packets.iter().filter(|p| !p[3].is_empty()).map(|p| (p[2].as_str(), p[3].as_str())).collect();
        // 2 is outbound, 1 inbound.
        let direction = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let data: Vec<_> = data.into_iter().map(|(d, bytes)| (direction(d), bytes)).collect();
        assert_eq!(data, [(2, bytes.as_str()), (1, "7468657265")], "{family}");
        if is_stream {
            let packets = tshark(&path, &["tcp.seq", "tcp.ack", "tcp.len", "tcp.analysis.flags"]);
            let numbers: Vec<_> = packets.iter().map(|p| p[..3].join(" ")).collect();
            assert_eq!(numbers, ["0 0 0", "0 1 0", "1 1 0", "1 1 256", "1 257 5"], "{family}");
            assert!(packets.iter().all(|p| p[3].is_empty()), "nothing seems lost or sent twice: {packets:?}");
        }
        let comments = tshark(&path, &["frame.comment"]);
        let is_told = comments.iter().any(|c| c[0].contains(&free(family, dir.path(), family)));
        assert_eq!(is_told, family.starts_with("unix"), "{comments:?}");
    }
}

#[test]
fn a_listener_of_ipv6_records_each_client_as_a_stream() {
    let has_all = has_program("tshark") && UdpSocket::bind("[::1]:0").is_ok();
    if may_skip(has_all, "a_listener_of_ipv6_records_each_client_as_a_stream", "tshark and IPv6") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.pcapng").display().to_string();
    let args = ["tcp", "listen", "[::1]:0", "--reply", "^hi => ho", "--hang-up", "--record", &path];
    let (mut listener, address) = listening(&args);
    for _ in 0..3 {
        assert_eq!(wire(&["tcp", "connect", &address, "--send", "hi"]).expect(0).stdout, "ho\n");
        listener.stderr_with("has left");
    }
    listener.signal(Signal::INT);
    listener.end().expect(130);
    let packets =
        tshark(&path, &["tcp.stream", "tcp.checksum.status", "tcp.flags.fin", "tcp.analysis.flags"]);
    assert!(packets.iter().all(|p| p[1] == "1" && p[3].is_empty()), "{packets:?}");
    for stream in ["0", "1", "2"] {
        let ends = packets.iter().filter(|p| p[0] == stream && p[2] == "1").count();
        assert_eq!(ends, 2, "stream {stream} is closed by both: {packets:?}");
    }
}

#[test]
fn a_record_is_sent_again_by_every_family() {
    let dir = tempfile::tempdir().unwrap();
    for (from, name) in
        [("tcp", "r.pcapng"), ("unix", "s.pcapng"), ("udp", "r.jsonl"), ("unix-dgram", "s.jsonl")]
    {
        let path = dir.path().join(name).display().to_string();
        record(from, dir.path(), &path);
        let sent = hex(&every_byte());
        for family in FAMILIES {
            let at = free(family, dir.path(), "again");
            let (mut listener, address) = listening(&[family, "listen", &at, "-o", "hex", "-C", "2"]);
            wire(&["replay", &path, family, "connect", &address, "-W", "0", "-q"]).expect(0);
            assert!(listener.line().ends_with(&format!(" 256 bytes: {sent}")), "{name} {family}");
            wire(&["replay", &path, family, "connect", &address, "-W", "0", "-q", "--side", "received"])
                .expect(0);
            assert!(listener.line().ends_with(&format!(" 5 bytes: {}", hex(b"there"))), "{name} {family}");
            listener.end().expect(0);
        }
    }
}

#[test]
fn a_replay_keeps_the_pace_or_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl").display().to_string();
    let line = |at: &str, text: &str| {
        format!("{{\"at\":\"2026-11-23T08:00:{at}Z\",\"kind\":\"sent\",\"hex\":\"{text}\"}}\n")
    };
    std::fs::write(&path, line("00", "61") + &line("01.2", "62") + &line("02.4", "63")).unwrap();
    let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
    ear.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = ear.local_addr().unwrap().to_string();
    for (speed, least) in [("4", 600), ("0", 0)] {
        let start = Instant::now();
        let replay = wiring(&["replay", &path, "udp", "connect", &address, "--speed", speed]);
        let mut buffer = [0; 8];
        let mut heard = Vec::new();
        for _ in 0..3 {
            let length = ear.recv(&mut buffer).unwrap();
            heard.extend_from_slice(&buffer[..length]);
        }
        let took = start.elapsed().as_millis();
        assert_eq!(heard, b"abc");
        assert!(took >= least, "{took} ms at speed {speed}");
        replay.end().expect(0);
    }
    let nothing = wire(&["replay", &path, "udp", "connect", &address, "--side", "received"]).expect(1);
    assert!(nothing.stderr.contains("nothing to send again"), "{}", nothing.stderr);
    std::fs::write(&path, line("00", "6")).unwrap();
    let broken = wire(&["replay", &path, "udp", "connect", &address]).expect(1);
    assert!(broken.stderr.contains("line 1"), "{}", broken.stderr);
}

#[test]
fn json_lines_tell_all_and_what_is_printed_is_what_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.ndjson");
    let at = free("unix", dir.path(), "s");
    let args =
        ["unix", "listen", &at, "--json", "-r", "ping => pong", "--once", "--record", path.to_str().unwrap()];
    let (listener, address) = listening(&args);
    wire(&["unix", "connect", &address, "--send", "ping", "-E", "pong", "-W", "60"]).expect(0);
    let printed = listener.end().expect(0).json();
    let recorded = std::fs::read_to_string(&path).unwrap();
    let recorded: Vec<serde_json::Value> =
        recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = printed.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["listening", "opened", "received", "sent", "closed", "totals"]);
    assert_eq!(recorded, printed[1..5]);
    let received = &recorded[1];
    assert_eq!((&received["family"], &received["local"]), (&"unix".into(), &address.as_str().into()));
    assert_eq!(
        (&received["text"], &received["bytes"], &received["hex"]),
        (&"ping".into(), &4.into(), &"70696e67".into())
    );
}

#[test]
fn ctrl_c_leaves_a_whole_record_and_a_full_one_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    let (mut listener, address) =
        listening(&["udp", "listen", "127.0.0.1:0", "-o", "text", "--record", path.to_str().unwrap()]);
    wire(&["udp", "connect", &address, "--send", "kept", "-W", "0"]).expect(0);
    listener.line();
    listener.signal(Signal::INT);
    let ended = listener.end().expect(130);
    assert!(ended.stderr.contains("received 1 message, 4 bytes"), "{}", ended.stderr);
    let recorded = std::fs::read_to_string(&path).unwrap();
    assert!(recorded.ends_with('\n') && recorded.contains("\"text\":\"kept\""), "{recorded}");

    let args = ["udp", "listen", "127.0.0.1:0", "-o", "text", "--force", "--record-limit", "300"];
    let (mut listener, address) = listening(&[&args[..], &["--record", path.to_str().unwrap()]].concat());
    for _ in 0..3 {
        wire(&["udp", "connect", &address, "--send", "more", "-W", "0"]).expect(0);
        listener.line();
    }
    listener.stderr_with("is full");
    assert!(std::fs::metadata(&path).unwrap().len() <= 300);
    // A disk that is full is a failure of its own.
    let full = wire_command(&["udp", "listen", "127.0.0.1:0", "--force", "--record", "/dev/full"]);
    crate::harness::Running::to_end(full, b"").expect(8);
}

#[test]
fn a_record_ends_whole_where_no_more_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = ear.local_addr().unwrap().to_string();
    // A limit of the size of files stands for a full disk: both take a part of what is written.
    let script = "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\"";
    for name in ["r.jsonl", "r.pcapng"] {
        let path = dir.path().join(name);
        let record = path.to_str().unwrap();
        let args = ["udp", "connect", &address, "--send", "forty bytes that no block of 512 is made of"];
        let wire = wire_command(&[&args[..], &["--interval", "0.001", "--record", record]].concat());
        let mut limited = command("sh", &["-c", script]);
        limited.arg(wire.get_program()).args(wire.get_args());
        let ended = crate::harness::Running::to_end(limited, b"").expect(1);
        assert!(ended.stderr.contains("recording to"), "{}", ended.stderr);
        let file = std::fs::read(&path).unwrap();
        assert!(file.len() > 500, "{name} has {} bytes", file.len());
        if name == "r.jsonl" {
            let text = String::from_utf8(file).unwrap();
            assert!(text.ends_with('\n'), "{text}");
            assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
            continue;
        }
        let mut rest = &file[..];
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
            assert_eq!(rest[4..8], rest[length - 4..length]);
            rest = &rest[length..];
        }
    }
}

#[test]
fn what_another_program_captured_is_replayed_by_its_sender() {
    if may_skip(has_program("text2pcap"), "what_another_program_captured_is_replayed_by_its_sender", "tshark")
    {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("foreign.pcapng").display().to_string();
    // Two segments in Ethernet frames, in which nothing says which way they went.
    let made = crate::harness::bytes_of(
        "text2pcap",
        &["-q", "-4", "10.0.0.1,10.0.0.2", "-T", "4000,502", "-", &path],
        b"0000 01 03 00 00\n0000 00 0a\n",
    );
    assert!(made.is_empty());
    let (mut listener, address) = listening(&["tcp", "listen", "127.0.0.1:0", "-o", "hex", "--once"]);
    let ask = ["replay", &path, "tcp", "connect", &address, "--speed", "0"];
    let unsure = wire(&ask).expect(1);
    assert!(unsure.stderr.contains("--from"), "{}", unsure.stderr);
    wire(&[&ask[..], &["--from", "10.0.0.1:4000"]].concat()).expect(0);
    let mut heard = String::new();
    while heard.len() < "01 03 00 00 00 0a".len() {
        let line = listener.line();
        heard = format!("{heard} {}", line.rsplit(": ").next().unwrap()).trim().to_owned();
    }
    assert_eq!(heard, "01 03 00 00 00 0a");
}
