//! `netkitctl wire` with every family against programs that know nothing of it; many clients; how it ends.

use crate::harness::{
    DEADLINE, FAMILIES, Running, bytes_of, command, every_byte, free, has_program, hex, listening, may_skip,
    wire, wire_command, wire_with, wiring,
};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

/// Sends what is on stdin over a family's socket, prints the first 256 bytes that come back.
const PYTHON_CLIENT: &str = r"
import socket, sys, tempfile
family, address = sys.argv[1:]
inet, stream = family in ('udp', 'tcp'), family in ('tcp', 'unix')
s = socket.socket(socket.AF_INET if inet else socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
if family == 'unix-dgram':
    s.bind(tempfile.mkdtemp() + '/s')
s.connect((address.rsplit(':', 1)[0], int(address.rsplit(':', 1)[1])) if inet else address)
s.sendall(sys.stdin.buffer.read())
got = b''
while len(got) < 256:
    got += s.recv(65536)
sys.stdout.buffer.write(got)
";

/// Says where it listens, and sends back what comes.
const PYTHON_ECHO: &str = r"
import socket, sys
family, path = sys.argv[1:]
inet, stream = family in ('udp', 'tcp'), family in ('tcp', 'unix')
s = socket.socket(socket.AF_INET if inet else socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 0) if inet else path)
if stream:
    s.listen()
print('127.0.0.1:%d' % s.getsockname()[1] if inet else path, flush=True)
c = s.accept()[0] if stream else s
while True:
    data, peer = c.recvfrom(65536)
    if stream and not data:
        break
    c.sendall(data) if stream else s.sendto(data, peer)
";

fn has_peers(test: &str) -> bool {
    let there = ["python3", "socat", "nc"].into_iter().all(has_program);
    !may_skip(there, test, "python3, socat and nc")
}

#[test]
fn every_family_listens_to_programs_that_know_nothing_of_it() {
    if !has_peers("every_family_listens_to_programs_that_know_nothing_of_it") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let back: Vec<u8> = every_byte().into_iter().rev().collect();
    std::fs::write(dir.path().join("back"), &back).unwrap();
    let rule = format!("hex:00 01 => file:{}", dir.path().join("back").display());
    for family in FAMILIES {
        let at = free(family, dir.path(), family);
        let (mut listener, address) = listening(&[family, "listen", &at, "-o", "hex", "--reply", &rule]);
        let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
        let socat = match family {
            "udp" => format!("UDP:{address}"),
            "tcp" => format!("TCP:{address}"),
            "unix" => format!("UNIX-CONNECT:{address}"),
            _ => format!("UNIX-SENDTO:{address},bind={}", dir.path().join("socat").display()),
        };
        let nc = match family {
            "udp" => vec!["-u", "-w1", host, port],
            "tcp" => vec!["-N", host, port],
            "unix" => vec!["-N", "-U", &address],
            _ => vec!["-u", "-w1", "-U", &address],
        };
        let python = ["-c", PYTHON_CLIENT, family, &address];
        for (program, args) in
            [("python3", &python[..]), ("socat", &["-t1", "-", &socat][..]), ("nc", &nc[..])]
        {
            let got = bytes_of(program, args, &every_byte());
            assert_eq!(hex(&got), hex(&back), "{program} {family}");
            let line = listener.line();
            assert!(
                line.ends_with(&format!(" 256 bytes: {}", hex(&every_byte()))),
                "{program} {family}: {line}"
            );
        }
        listener.signal(Signal::TERM);
        listener.end().expect(143);
        assert!(!Path::new(&address).exists(), "the socket's file is removed");
    }
}

#[test]
fn every_family_connects_to_programs_that_know_nothing_of_it() {
    if !has_peers("every_family_connects_to_programs_that_know_nothing_of_it") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ask = |family: &str, address: &str| {
        let bytes = hex(&every_byte());
        let ended = wire(&[family, "connect", address, "--hex", &bytes, "-o", "hex", "-C", "1", "-W", "60"])
            .expect(0);
        assert!(ended.stdout.ends_with(&format!(" 256 bytes: {bytes}\n")), "{family}: {ended:?}");
    };
    for family in FAMILIES {
        let at = free(family, dir.path(), family);
        let mut echo = Running::start(command("python3", &["-c", PYTHON_ECHO, family, &at]));
        ask(family, &echo.line());
    }
    for (family, listen) in [
        ("tcp", "TCP-LISTEN:0,bind=127.0.0.1"),
        ("unix", "UNIX-LISTEN:socat-s"),
        ("unix-dgram", "UNIX-RECVFROM:socat-d"),
    ] {
        let mut socat = command("socat", &["-d", "-d", listen, "EXEC:cat"]);
        let mut socat = Running::start({
            socat.current_dir(dir.path());
            socat
        });
        let address = match family {
            "tcp" => socat.stderr_with("listening on").rsplit(' ').next().unwrap().to_owned(),
            "unix" => {
                socat.stderr_with("listening on");
                dir.path().join("socat-s").display().to_string()
            }
            _ => {
                socat.stderr_with("receiving on");
                dir.path().join("socat-d").display().to_string()
            }
        };
        ask(family, &address);
    }
    // netcat sends what is on its stdin to whom it heard.
    let mut nc = Running::start(command("nc", &["-lv", "127.0.0.1", "0"]));
    let port = nc.stderr_with("Listening on").rsplit(' ').next().unwrap().to_owned();
    nc.write(b"from netcat\n");
    let wire = wiring(&["tcp", "connect", &format!("127.0.0.1:{port}"), "--send", r"to netcat\n"]);
    assert_eq!(nc.line(), "to netcat");
    nc.close_stdin();
    drop(nc);
    assert_eq!(wire.end().expect(0).stdout, "from netcat\n");
}

#[test]
fn every_family_talks_with_itself_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let at = free(family, dir.path(), family);
        let (mut one, address) = listening(&[family, "listen", &at, "--json"]);
        assert_eq!(one.json()["kind"], "listening");
        let mut two = wiring(&[family, "connect", &address, "--json"]);
        two.write("你好\n".as_bytes());
        let sent = loop {
            let line = two.json();
            if line["kind"] == "sent" {
                break line;
            }
        };
        assert_eq!((&sent["text"], &sent["bytes"]), (&"你好".into(), &6.into()));
        let mut arrived = one.json();
        assert_eq!((&arrived["kind"], &arrived["number"]), (&"opened".into(), &1.into()));
        arrived = one.json();
        assert_eq!((&arrived["kind"], &arrived["hex"]), (&"received".into(), &"e4bda0e5a5bd".into()));
        one.write(b"answer\n");
        assert_eq!(one.json()["kind"], "sent");
        let answer = two.json();
        assert_eq!((&answer["kind"], &answer["text"]), (&"received".into(), &"answer".into()));
        two.signal(Signal::INT);
        let totals = two.end().expect(130).json().pop().unwrap();
        assert_eq!(totals["kind"], "totals");
        assert_eq!(totals["received"], serde_json::json!({"messages": 1, "bytes": 6}));
        if matches!(family, "tcp" | "unix") {
            assert_eq!(one.json()["kind"], "closed");
        }
    }
}

#[test]
fn a_hundred_clients_are_heard_and_answered_at_once() {
    let (mut listener, address) =
        listening(&["tcp", "listen", "127.0.0.1:0", "--json", "--to", "all", "--commands"]);
    assert_eq!(listener.json()["kind"], "listening");
    let mut clients: Vec<(String, TcpStream)> = (0..100)
        .map(|_| {
            let stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            (stream.local_addr().unwrap().to_string(), stream)
        })
        .collect();
    for (name, stream) in &mut clients {
        stream.write_all(format!("I am {name}").as_bytes()).unwrap();
    }
    let mut numbers = std::collections::BTreeMap::new();
    while numbers.len() < 100 {
        let line = listener.json();
        let name = line["peer"].as_str().unwrap().to_owned();
        if line["kind"] == "received" {
            assert_eq!(line["text"], format!("I am {name}"));
            numbers.insert(name, line["number"].as_u64().unwrap());
        }
    }
    let mut orders = String::from("to everybody\n");
    for (name, number) in &numbers {
        orders.push_str(&format!("/{number} only for {name}\n"));
    }
    listener.write(orders.as_bytes());
    listener.write(b"//end\n/close all\n");
    for (name, stream) in clients {
        let mut heard = String::new();
        BufReader::new(stream).read_line(&mut heard).unwrap();
        assert_eq!(heard, format!("to everybodyonly for {name}/end"));
    }
    let mut closed = 0;
    while closed < 100 {
        closed += usize::from(listener.json()["kind"] == "closed");
    }
}

#[test]
fn lines_wait_until_somebody_is_there() {
    let (mut listener, address) = listening(&["tcp", "listen", "127.0.0.1:0", "--append", "lf", "--once"]);
    listener.write(b"first\nsecond\n");
    listener.close_stdin();
    let mut client = BufReader::new(TcpStream::connect(&address).unwrap());
    for expected in ["first\n", "second\n"] {
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
    }
    client.get_mut().write_all(b"and back").unwrap();
    drop(client);
    assert_eq!(listener.end().expect(0).stdout, "and back\n", "--once ends with its client");
}

#[test]
fn multicast_and_broadcast_reach_this_box() {
    let (mut listener, address) =
        listening(&["udp", "listen", "239.77.1.2:0", "--interface", "lo", "--json"]);
    let to = format!("239.77.1.2:{}", address.rsplit(':').next().unwrap());
    let mut sender =
        wiring(&["udp", "connect", &to, "--interface", "lo", "--send", "who is here?", "-C", "1"]);
    while listener.json()["kind"] != "received" {}
    listener.write(b"me\n");
    assert_eq!(sender.line(), "me", "the answer comes from an address of its own");
    sender.end().expect(0);
    // The loopback interface routes no multicast of IPv6; joining a group is another matter.
    if UdpSocket::bind("[::1]:0").is_ok() {
        listening(&["udp", "listen", "[ff01::4e4b]:0", "--interface", "lo"]);
    }
    let (mut listener, address) = listening(&["udp", "listen", "0.0.0.0:0", "-o", "text"]);
    let to = format!("127.255.255.255:{}", address.rsplit(':').next().unwrap());
    let refused = wire(&["udp", "connect", &to, "--send", "x"]).expect(5);
    assert!(refused.stderr.contains("--broadcast"), "{}", refused.stderr);
    wire(&["udp", "connect", &to, "--broadcast", "--send", "to all", "-W", "0"]).expect(0);
    assert!(listener.line().ends_with("6 bytes: to all"));
}

#[test]
fn text_is_shown_in_its_encoding_and_never_acts_on_anything() {
    for (encoding, bytes, shown) in [
        ("utf-8", "你好\u{1b}[2J\u{202e}".as_bytes(), "你好\\u{1b}[2J\\u{202e}"),
        ("utf-8", b"a\xffb\r\n", "a\\xffb\\r\\n"),
        ("gb18030", b"\xc4\xe3\xba\xc3", "你好"),
        ("latin-1", b"caf\xe9\x9b", "café\\u{9b}"),
    ] {
        let (mut listener, address) =
            listening(&["udp", "listen", "127.0.0.1:0", "-o", "text", "-e", encoding]);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(DEADLINE)).unwrap();
        peer.send_to(bytes, &address).unwrap();
        let line = listener.line();
        assert!(line.ends_with(&format!(" {} bytes: {shown}", bytes.len())), "{line}");
        listener.write("é\n".as_bytes());
        let mut buffer = [0; 16];
        let length = peer.recv(&mut buffer).unwrap();
        let expected: &[u8] = match encoding {
            "utf-8" => b"\xc3\xa9",
            "gb18030" => b"\xa8\xa6",
            _ => b"\xe9",
        };
        assert_eq!(&buffer[..length], expected, "{encoding}");
    }
}

#[test]
fn what_can_not_be_is_said_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    for (line, code, said) in [
        ("tcp listen", 2, "ADDRESS"),
        ("tcp connect box", 2, "no address such as"),
        ("tcp connect 127.0.0.1:0", 2, "port 0"),
        ("udp connect 127.0.0.1:9 --hex 0", 2, "pairs of digits"),
        ("udp connect 127.0.0.1:9 --send x --hex 00", 2, "cannot be used with"),
        ("udp connect 127.0.0.1:9 --count 2", 2, "--interval"),
        ("udp listen 0 --bind 1", 2, "--bind"),
        ("tcp listen 0 --reply x", 2, "MATCH => ANSWER"),
        ("tcp listen 0 --expect (", 2, "regular expression"),
        ("tcp connect no-such-host.invalid:1", 4, "no-such-host.invalid"),
        ("unix connect /nonexistent/s", 4, "/nonexistent/s"),
        ("udp listen 239.77.1.2:0 --interface none9", 4, "none9"),
        ("udp listen 192.0.2.1:0", 1, "no interface of this box"),
        ("replay /nonexistent/r tcp connect 127.0.0.1:9", 4, "/nonexistent/r"),
        (&format!("replay {file} tcp connect 127.0.0.1:9"), 1, "pcapng"),
        (&format!("unix listen {file}"), 1, "another program"),
        (&format!("udp listen 127.0.0.1:0 --record {file}"), 1, "--force"),
        (&format!("udp connect 127.0.0.1:9 --file {file}x"), 1, "file"),
    ] {
        let ended = wire(&line.split(' ').collect::<Vec<_>>()).expect(code);
        assert!(ended.stderr.contains(said), "{line}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{line}");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "x", "nobody's file is replaced");

    // Ports that were somebody's a moment ago.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(wire(&["tcp", "connect", &gone]).expect(5).stderr.contains("nothing listens there"));
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(
        wire(&["udp", "connect", &gone, "--send", "x"]).expect(5).stderr.contains("nothing listens there")
    );
}

#[test]
fn a_reader_that_left_ends_it_and_a_dead_peer_is_told() {
    let (mut listener, address) = listening(&["tcp", "listen", "127.0.0.1:0", "-o", "text"]);
    let client = wire_command(&["tcp", "connect", &address, "--input", "none", "-o", "text"]);
    let mut shell = command("sh", &["-c", "\"$@\" | head -n 1", "sh"]);
    shell.arg(client.get_program()).args(client.get_args());
    let shell = Running::start(shell);
    listener.stderr_with("is here");
    listener.write(b"one\n");
    assert!(shell.end().expect(0).stdout.ends_with("3 bytes: one\n"));
    listener.stderr_with("has left");

    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let dying = wiring(&["tcp", "connect", &address, "--input", "none"]);
    let (stream, _) = server.accept().unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
    drop(stream); // with a reset
    assert!(dying.end().expect(1).stderr.contains("is lost: Connection reset"));
}

#[test]
fn a_datagram_that_is_too_long_is_told_and_the_rest_goes() {
    let (mut listener, address) = listening(&["udp", "listen", "127.0.0.1:0", "--json"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long");
    std::fs::write(&path, vec![b'x'; 65_508]).unwrap();
    let long = wire(&["udp", "connect", &address, "--file", path.to_str().unwrap()]).expect(1);
    assert!(long.stderr.contains("more than a datagram holds"), "{}", long.stderr);
    let lines = wire_with(&["udp", "connect", &address, "--input", "escaped"], b"\\q\nok\\x00\n").expect(0);
    assert!(lines.stderr.contains("is no escape"), "{}", lines.stderr);
    let arrived = std::iter::repeat_with(|| listener.json()).find(|line| line["kind"] == "received").unwrap();
    assert_eq!(arrived["hex"], "6f6b00");
    // It ends, too, where none of its lines could be sent.
    let none = wire_with(&["udp", "connect", &address], b"\xff\n").expect(1);
    assert!(none.stderr.contains("not UTF-8"), "{}", none.stderr);
    wire_with(&["udp", "connect", &address], b"\n").expect(0);
    let raw = vec![b'r'; 100_000];
    wire_with(&["udp", "connect", &address, "--input", "raw"], &raw).expect(0);
    let mut left = raw.len();
    while left > 0 {
        let arrived =
            std::iter::repeat_with(|| listener.json()).find(|line| line["kind"] == "received").unwrap();
        left -= usize::try_from(arrived["bytes"].as_u64().unwrap()).unwrap();
    }

    // What comes faster than it is read is lost, and counted.
    listener.signal(Signal::STOP);
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..4_000 {
        flood.send_to(&[b'x'; 8_000], &address).unwrap();
    }
    listener.signal(Signal::CONT);
    listener.signal(Signal::INT);
    let ended = listener.end().expect(130);
    assert!(ended.stderr.contains("came faster than they were read"), "{}", ended.stderr);
}
