//! What `netkitctl wire` sends by itself: appended, repeated, by rules; and what it waits for.

use crate::harness::{DEADLINE, listening, wire, wire_with, wiring};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

/// A peer that hears datagrams.
fn ear() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

fn hear(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn what_is_appended_is_what_the_standards_say() {
    let (ear, address) = ear();
    for (args, expected) in [
        // The example frame of the Modbus specification.
        (&["--hex", "01 03 00 00 00 0A", "--append", "crc16-modbus"][..], &b"\x01\x03\0\0\0\x0a\xc5\xcd"[..]),
        // The check values of the CRC RevEng catalogue.
        (&["--send", "123456789", "--append", "crc16-modbus"], b"123456789\x37\x4b"),
        (&["--send", "123456789", "--append", "crc32"], b"123456789\x26\x39\xf4\xcb"),
        (&["--send", "123456789", "--append", "crc32-be"], b"123456789\xcb\xf4\x39\x26"),
        (&["--send", "123456789", "--append", "sum8"], b"123456789\xdd"),
        (&["--send", "123456789", "--append", "xor8"], b"123456789\x31"),
        (&["--send", "AT", "--append", "xor8,crlf"], b"AT\x15\r\n"),
        (&["--send", r"a\x00\e\u{4f60}", "--append", "lf"], b"a\0\x1b\xe4\xbd\xa0\n"),
        (&["--send", ""], b""),
    ] {
        wire(&[&["udp", "connect", &address, "-W", "0"], args].concat()).expect(0);
        assert_eq!(hear(&ear), expected, "{args:?}");
    }
    wire_with(&["udp", "connect", &address, "-i", "hex", "-a", "sum8"], b"01 02\n\nff ff\n").expect(0);
    assert_eq!((hear(&ear), hear(&ear), hear(&ear)), (vec![1, 2, 3], vec![0], vec![255, 255, 254]));
}

#[test]
fn a_payload_is_repeated_so_often_and_so_far_apart() {
    let (ear, address) = ear();
    let start = Instant::now();
    let sender = wiring(&["udp", "connect", &address, "--send", "tick", "--interval", "0.1", "--count", "4"]);
    for _ in 0..4 {
        assert_eq!(hear(&ear), b"tick");
    }
    assert!(start.elapsed().as_millis() >= 300, "{:?}", start.elapsed());
    let ended = sender.end().expect(0);
    assert!(ended.stderr.contains("sent 4 messages, 16 bytes"), "{}", ended.stderr);

    // Without a count until it is ended; nobody need be there at first.
    let (_listener, address) =
        listening(&["tcp", "listen", "127.0.0.1:0", "--send", "beat", "--interval", "0.01", "--to", "all"]);
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut beats = [0; 40];
    client.read_exact(&mut beats).unwrap();
    assert_eq!(beats, *b"beatbeatbeatbeatbeatbeatbeatbeatbeatbeat");
}

#[test]
fn rules_make_a_device() {
    let (_device, address) = listening(&[
        "tcp",
        "listen",
        "127.0.0.1:0",
        "--reply",
        r"^\*IDN\?$ => ACME,$1",
        "--reply",
        r"^SET (\w+)=(\d+)\r?$ => OK $2 in ${1}!",
        "--reply",
        r"hex:01 03 ?? ?? 00 01 => hex:01 03 02 00 2A",
        "--append",
        "crlf",
    ]);
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut ask = |pieces: &[&[u8]], expected: &[u8]| {
        for piece in pieces {
            client.write_all(piece).unwrap();
        }
        let mut answer = vec![0; expected.len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, expected);
    };
    ask(&[b"*ID", b"N?\n"], b"ACME,\r\n");
    ask(&[b"SET volt=12\r\nSET amp=3\r\n"], b"OK 12 in volt!\r\nOK 3 in amp!\r\n");
    ask(&[b"\x01\x03\x00\x10\x00\x01"], b"\x01\x03\x02\x00\x2a\r\n");
}

#[test]
fn a_device_with_a_crc_is_asked_in_one_line() {
    let rule = "hex:01 03 00 00 00 0A C5 CD => hex:01 03 02 00 2A";
    let (_device, address) =
        listening(&["udp", "listen", "127.0.0.1:0", "-r", rule, "--append", "crc16-modbus"]);
    let ask = [
        "udp",
        "connect",
        &address,
        "--hex",
        "0103 0000 000A",
        "-a",
        "crc16-modbus",
        "-o",
        "hex",
        "-W",
        "60",
    ];
    let ended = wire(&[&ask[..], &["--expect", "hex:01 03 02 ?? 2a"]].concat()).expect(0);
    assert!(ended.stdout.ends_with(" 7 bytes: 01 03 02 00 2a 39 9b\n"), "{}", ended.stdout);
}

#[test]
fn what_is_expected_comes_or_not_in_time() {
    let (_device, address) = listening(&["tcp", "listen", "127.0.0.1:0", "-r", r"\? => status: READY\n"]);
    let ask = |pattern: &str, within: &str| {
        wire(&["tcp", "connect", &address, "--send", "?", "--expect", pattern, "-W", within])
    };
    ask("READY|OK", "60").expect(0);
    ask("hex:52 45 41 44 59", "60").expect(0);
    let late = ask("BUSY", "2").expect(6);
    assert!(late.stderr.contains("did not come within"), "{}", late.stderr);
    assert_eq!(late.stdout, "status: READY\n", "what came is printed all the same");

    // What could not be sent tells at the end, whatever was answered, unless what was expected came.
    for (args, code) in [(&[][..], 1), (&["-C", "1"], 1), (&["-W", "60", "-E", "READY"], 0)] {
        let asking = [&["tcp", "connect", &address, "-i", "hex"], args].concat();
        let ended = wire_with(&asking, b"3f\nno hex\n").expect(code);
        assert_eq!(ended.stdout, "status: READY\n", "{args:?}");
    }

    // The far end may leave first, or say it in pieces.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    for (expect, code) in [("whole", 0), ("nothing", 6)] {
        let asking = wiring(&["tcp", "connect", &address, "-i", "none", "-E", expect]);
        let (mut stream, _) = server.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in ["wh", "ol", "e"] {
            let _ = stream.write_all(piece.as_bytes()); // it may have heard enough
        }
        let _ = stream.shutdown(Shutdown::Write);
        let ended = asking.end().expect(code);
        assert_eq!(ended.stderr.contains("ended before"), code == 6, "{}", ended.stderr);
    }
    let (mut listener, address) = listening(&["udp", "listen", "127.0.0.1:0", "-C", "2", "-o", "text"]);
    // Who listens has enough after two: by the third nobody may be there any more.
    let sent = wire_with(&["udp", "connect", &address], b"a\nb\nc\nd\n");
    assert!([0, 5].contains(&sent.code()), "{sent:?}");
    assert!(listener.line().ends_with("1 byte: a") && listener.line().ends_with("1 byte: b"));
    assert_eq!(listener.end().expect(0).stdout, "", "two and no more");
}

#[test]
fn a_stream_of_any_length_goes_through_with_its_end() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, &bytes).unwrap();
    let rule = format!("^get$ => file:{}", path.display());
    let (_server, address) = listening(&["tcp", "listen", "127.0.0.1:0", "--hang-up", "--reply", &rule]);
    let (one, two) = (address.clone(), address);
    // A client that asks and reads slowly, and wire itself, each to the end.
    let slow = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(one).unwrap();
        stream.write_all(b"get\n").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let copy = dir.path().join("copy");
    let shell = format!("exec \"$0\" wire tcp connect {two} --send get -q > {}", copy.display());
    let ended =
        crate::harness::command("sh", &["-c", &shell, env!("CARGO_BIN_EXE_netkitctl")]).status().unwrap();
    assert!(ended.success());
    assert!(std::fs::read(&copy).unwrap() == bytes);
    assert!(slow.join().unwrap() == bytes);

    // What is piped in raw arrives as it is, and its end is told.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let bytes: Vec<u8> = bytes.iter().copied().cycle().take(50_000_000).collect();
    let expected = bytes.clone();
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(b"thanks").unwrap();
        all == expected
    });
    let ended = wire_with(&["tcp", "connect", &address, "--input", "raw"], &bytes).expect(0);
    assert_eq!(ended.stdout, "thanks\n");
    assert!(reader.join().unwrap());
}
