//! `netkitctl wire` at a terminal: the line editor, its commands, what arrives while one types, and how it ends.

use crate::harness::{DEADLINE, wire_command};
use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{PtySession, spawn_command};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

fn at_terminal(args: &[&str]) -> PtySession {
    let mut command = wire_command(args);
    command.env("TERM", "xterm").stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(DEADLINE.as_millis().try_into().unwrap())).unwrap()
}

#[track_caller]
fn ends_with(terminal: &mut PtySession, code: i32) {
    terminal.exp_eof().unwrap();
    let ended = terminal.process().wait().unwrap();
    assert!(matches!(ended, WaitStatus::Exited(_, ended) if ended == code), "{ended:?}, not {code}");
}

fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[track_caller]
fn hears(stream: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, expected);
}

#[test]
fn what_arrives_stands_above_what_is_typed() {
    let (listener, address) = server();
    let mut terminal = at_terminal(&["tcp", "connect", &address, "--append", "crlf"]);
    let prompt = format!("tcp {address}> ");
    terminal.exp_string(&prompt).unwrap();
    let mut peer = accept(&listener);
    terminal.send("half a li").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("half a li").unwrap();
    peer.write_all(b"interrupting\x1b[2J").unwrap();
    terminal.exp_string("16 bytes: interrupting\\u{1b}[2J").unwrap();
    terminal.exp_string("half a li").unwrap(); // the prompt is drawn again, with what was typed
    terminal.send_line("ne").unwrap();
    hears(&mut peer, b"half a line\r\n");
    terminal.send_line("/hex 01 ff").unwrap();
    hears(&mut peer, b"\x01\xff\r\n");
    terminal.send_line("/as both").unwrap();
    terminal.send_line("/nonsense").unwrap();
    terminal.exp_string("/nonsense is no command").unwrap();
    peer.write_all(b"\x00\xffAB").unwrap();
    terminal.exp_string("00 ff 41 42").unwrap();
    terminal.exp_string("|..AB|").unwrap();
    terminal.send_line("/quit").unwrap();
    terminal.exp_string("received 2 messages").unwrap();
    ends_with(&mut terminal, 0);
}

#[test]
fn several_clients_are_answered_each_on_its_own() {
    let mut terminal = at_terminal(&["tcp", "listen", "127.0.0.1:0"]);
    terminal.exp_string("listening on tcp 127.0.0.1:").unwrap();
    let (_, port) = terminal.exp_regex("[0-9]+\r\n").unwrap();
    let address = format!("127.0.0.1:{}", port.trim_end());
    terminal.exp_string("> ").unwrap();
    terminal.send_line("too early").unwrap();
    terminal.exp_string("nobody is there").unwrap();
    let mut clients: Vec<TcpStream> = (1..=3)
        .map(|number| {
            let stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            terminal.exp_string(&format!("#{number} {} is here", stream.local_addr().unwrap())).unwrap();
            stream
        })
        .collect();
    clients[0].write_all(b"ask").unwrap();
    terminal.exp_string("3 bytes: ask").unwrap();
    for line in ["to the last", "/2 to two", "/all to all", "/to 3", "to three"] {
        terminal.send_line(line).unwrap();
    }
    hears(&mut clients[0], b"to the lastto all");
    hears(&mut clients[1], b"to twoto all");
    hears(&mut clients[2], b"to allto three");
    terminal.send_line("/peers").unwrap();
    terminal.exp_string("*#3").unwrap();
    terminal.exp_string("sent 2 messages, 14 bytes").unwrap();
    terminal.send_line("/close 2").unwrap();
    let mut rest = Vec::new();
    clients[1].read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    terminal.send_line("/quit").unwrap();
    ends_with(&mut terminal, 0);
}

#[test]
fn it_ends_by_key_by_signal_and_with_its_peer() {
    let (listener, address) = server();
    for (end, code) in [("d", 0), ("c", 130), ("signal", 130), ("peer", 0)] {
        let mut terminal = at_terminal(&["tcp", "connect", &address]);
        terminal.exp_string(&format!("tcp {address}> ")).unwrap();
        let mut peer = accept(&listener);
        // The editor is there once it has echoed.
        terminal.send_line("hi").unwrap();
        hears(&mut peer, b"hi");
        terminal.exp_string("hi\r\n").unwrap();
        terminal.exp_string(&format!("tcp {address}> ")).unwrap();
        match end {
            "signal" => terminal.process_mut().signal(Signal::SIGINT).unwrap(),
            "peer" => drop(peer),
            key => terminal.send_control(key.chars().next().unwrap()).unwrap(),
        }
        ends_with(&mut terminal, code);
    }
}

#[test]
fn pasted_lines_go_one_by_one() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = peer.local_addr().unwrap().to_string();
    let mut terminal = at_terminal(&["udp", "connect", &address]);
    terminal.exp_string(&format!("udp {address}> ")).unwrap();
    let lines: Vec<String> = (0..50).map(|n| format!("pasted {n}")).collect();
    terminal.send(&(lines.join("\n") + "\n")).unwrap();
    terminal.flush().unwrap();
    for line in &lines {
        let mut buffer = [0; 64];
        let length = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], line.as_bytes());
    }
    terminal.send_line("/quit").unwrap();
    ends_with(&mut terminal, 0);
}

#[test]
fn raw_bytes_are_not_for_a_terminal() {
    let mut terminal = at_terminal(&["udp", "listen", "127.0.0.1:0", "-o", "raw"]);
    terminal.exp_string("raw bytes are not for a terminal").unwrap();
    ends_with(&mut terminal, 2);
}
