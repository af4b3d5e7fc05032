//! `netkitctl port`: what it says of ports, who has them, and what comes of connecting to them. All on loopback.

use crate::harness::{Ended, Node, Running, command, is_root, may_skip};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener, UdpSocket};

fn ctl(args: &[&str]) -> Ended {
    Running::to_end(command(env!("CARGO_BIN_EXE_netkitctl"), args), b"")
}

/// A socket that has a port and does not listen, so that nobody else is given the port.
fn unheard() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

fn told(port: u16) -> Value {
    ctl(&["port", &port.to_string(), "--json"]).expect(0).json().remove(0)
}

#[test]
fn ports_have_names_and_ranges() {
    for (port, range, taught, privileged) in [
        (80, "system", "well-known", true),
        (1023, "system", "well-known", true),
        (8080, "user", "dynamic", false),
        (49_151, "user", "dynamic", false),
        (65_535, "dynamic", "dynamic", false),
    ] {
        let told = told(port);
        assert_eq!((&told["range"], &told["taught_as"]), (&json!(range), &json!(taught)), "{told}");
        let start = told["unprivileged_from"].as_u64().unwrap();
        assert_eq!(told["privileged"], u64::from(port) < start);
        assert!(start != 1024 || privileged == (told["privileged"] == true));
    }
    let http = ctl(&["port", "http", "--json"]).expect(0).json().remove(0);
    assert_eq!((&http["port"], &http["services"][0]["name"]), (&json!(80), &json!("http")));
    assert_eq!(ctl(&["port", "8000-8009", "--json"]).expect(0).json().len(), 10);
    assert_eq!(ctl(&["port", "8000-8009"]).expect(0).lines().len(), 10);
    // What is known is told, what is not fails.
    let some = ctl(&["port", "no-such-service", "80"]).expect(4);
    assert!(some.stdout.contains("http") && some.stderr.contains("no-such-service"), "{some:?}");
    for wrong in ["65536", "81-80", "-1", "\u{1b}[2J"] {
        assert!(!ctl(&["port", wrong]).expect(2).stderr.contains('\u{1b}'));
    }
}

#[test]
fn who_has_a_port_is_told() {
    let node = Node::new();
    let (chat, files) = (node.chat().port(), node.files().port());
    for (port, protocol, free) in [(chat, "udp", "udp4"), (files, "tcp", "tcp4")] {
        let told = told(port);
        let listener = &told["listeners"][0];
        assert_eq!((&listener["protocol"], &listener["address"]), (&json!(protocol), &json!("127.0.0.1")));
        assert_eq!(listener["processes"][0]["name"], "netkitd", "{told}");
        assert_eq!(told["free"][free], false, "{told}");
    }
    let all = ctl(&["port", "--json"]).expect(0).json();
    let ours = |found: &Value| found["processes"][0]["name"] == "netkitd" && found["port"] == chat;
    assert!(all.iter().any(ours));
    assert_eq!(all.last().unwrap()["kind"], "machine");
    assert!(ctl(&["port"]).expect(0).stdout.contains(&format!("udp 127.0.0.1:{chat}, netkitd (")));
}

#[test]
fn a_free_port_is_free() {
    // Another test may be given the port meanwhile: then the next.
    let held = (0..100).find_map(|_| {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let was_free = told(port)["free"]["udp4"] == true;
        UdpSocket::bind(("127.0.0.1", port)).ok().filter(|_| was_free)
    });
    let port = held.as_ref().unwrap().local_addr().unwrap().port();
    assert_eq!(told(port)["free"]["udp4"], false);
}

#[test]
fn a_stranger_is_told_what_can_not_be_seen() {
    if may_skip(is_root(), "a_stranger_is_told_what_can_not_be_seen", "root, to become another user") {
        return;
    }
    // From a directory of its own: where it was built may be closed to others.
    let node = Node::new();
    let program = node.path("netkitctl");
    std::fs::copy(env!("CARGO_BIN_EXE_netkitctl"), &program).unwrap();
    let (program, port) = (program.display().to_string(), node.chat().port().to_string());
    let words =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", &program, "port", "--json"];
    let as_nobody = |port: &str| {
        Running::to_end(command("setpriv", &[&words[..], &[port]].concat()), b"").expect(0).json().remove(0)
    };
    let told = as_nobody(&port);
    let listener = &told["listeners"][0];
    assert_eq!((&listener["user"], &listener["processes"]), (&json!("root"), &json!([])), "{told}");
    assert!(told["unseen"][0].as_str().unwrap().contains("root"), "{told}");
    let low = as_nobody("1");
    if low["privileged"] == true {
        assert_eq!((&low["may_bind"], &low["free"]["tcp4"]), (&json!(false), &json!(true)), "{low}");
    }
}

#[test]
fn check_tells_open_from_refused() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let closed = unheard();
    let closed = closed.local_addr().unwrap().as_socket().unwrap().port();
    let (open_text, closed_text) = (port.to_string(), closed.to_string());
    let found = ctl(&["port", "check", "127.0.0.1", &open_text, "--json"]).expect(0).json().remove(0);
    assert_eq!((&found["state"], &found["address"]), (&json!("open"), &json!("127.0.0.1")));
    assert!(found["took_ms"].as_f64().unwrap() < 60_000.0);
    let both = ctl(&["port", "check", "127.0.0.1", &closed_text, &open_text, "--json"]).expect(5).json();
    assert_eq!(
        [&both[0]["state"], &both[1]["state"]],
        [&json!("refused"), &json!("open")],
        "in the order asked"
    );
    assert!(ctl(&["port", "check", "127.0.0.1", &closed_text]).expect(5).stdout.contains("refused"));
    // A host with several addresses is open where one of them is.
    assert!(ctl(&["port", "check", "localhost", &open_text]).expect(0).stdout.contains("open"));
    ctl(&["port", "check", "127.0.0.1", "0"]).expect(2);
    ctl(&["port", "check", "127.0.0.1"]).expect(2);
    ctl(&["port", "check", "127.0.0.1", "no-such-service"]).expect(4);
    ctl(&["port", "check", "no-such-host.invalid", "80"]).expect(4);
}

#[test]
fn check_gives_up_in_time() {
    // A listener whose queue is full drops what comes: as a filter does.
    let full = unheard();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _waiting: Vec<Socket> = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address); // it is under way, or waits
            socket
        })
        .collect();
    let port = address.as_socket().unwrap().port().to_string();
    let found = ctl(&["port", "check", "-W", "0.3", "127.0.0.1", &port, "--json"]).expect(6).json().remove(0);
    assert_eq!(found["state"], "filtered");
    assert!(found["took_ms"].as_f64().unwrap() >= 300.0, "{found}");
}

#[test]
fn no_process_acts_on_the_terminal_by_its_name() {
    let script = "import ctypes, socket, sys\n\
                  ctypes.CDLL(None).prctl(15, b'\\x1b[2J\\nred', 0, 0, 0)\n\
                  s = socket.create_server(('127.0.0.1', 0))\n\
                  print(s.getsockname()[1], flush=True)\n\
                  sys.stdin.read()";
    let mut named = Running::start(command("python3", &["-c", script]));
    let port = named.line();
    let shown = ctl(&["port", &port]).expect(0).stdout;
    assert!(shown.contains("\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let program = env!("CARGO_BIN_EXE_netkitctl");
    let script = format!("set -o pipefail; {program} port 1-65535 --json | head -n 1");
    assert_eq!(Running::to_end(command("bash", &["-c", &script]), b"").expect(0).lines().len(), 1);
}
