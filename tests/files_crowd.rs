//! Files under load: slow clients, silent ones, many of them, files that change.

use crate::files::{content, directory, share, sharing};
use crate::harness::{Node, NodeBuilder, connect, eventually, fetch_bare, http, raw};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Lets this process open as many files as it may; netkitd does so by itself.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Resident memory of a box's netkitd in MiB.
pub fn resident(node: &mut Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.daemon().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn ask(to: SocketAddr, text: &str) -> TcpStream {
    let mut stream = connect(to);
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

#[test]
fn clients_that_read_nothing_hold_up_nobody_and_cost_little() {
    raise_limit();
    let dir = directory();
    std::fs::write(dir.path().join("big"), content(30 << 20)).unwrap();
    std::fs::write(dir.path().join("small"), "small").unwrap();
    let mut node = sharing(dir.path());
    let files = node.files();
    let stuck: Vec<TcpStream> = (0..300)
        .map(|n| ask(files, if n % 2 == 0 { "big\n" } else { "GET /pub/big HTTP/1.1\r\nHost: box\r\n\r\n" }))
        .collect();
    node.wait_for("/files/open", 300);
    for _ in 0..20 {
        assert_eq!(http(files, "GET /pub/small", &[]).body, b"small");
        assert_eq!(fetch_bare(connect(files), "small\n").unwrap(), b"small");
    }
    let memory = resident(&mut node);
    assert!(memory <= 64, "{memory} MiB");
    // And they hold up no stop.
    node.stop();
    drop(stuck);
}

#[test]
fn silent_connections_make_room_for_who_comes() {
    raise_limit();
    let dir = directory();
    std::fs::write(dir.path().join("f"), "served").unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    let mut silent: Vec<TcpStream> = (0..5000).map(|_| connect(files)).collect();
    node.wait_for("/files/refused/silent", 5000 - 4096);
    assert_eq!(fetch_bare(connect(files), "f").unwrap(), b"served");
    assert_eq!(http(files, "GET /pub/f", &[]).body, b"served");
    // The oldest went; the newest may still ask.
    assert_eq!(silent[0].read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(fetch_bare(silent.pop().unwrap(), "f").unwrap(), b"served");
}

#[test]
fn one_address_gets_half_of_all_permits_and_another_finds_room() {
    raise_limit();
    let dir = directory();
    std::fs::write(dir.path().join("f"), "served").unwrap();
    let node = NodeBuilder::default().sections(&share("pub", dir.path(), "access = \"public\"")).start();
    let files = node.files();
    // One that reads nothing of what it is sent holds its permit; those beyond the share are refused.
    std::fs::write(dir.path().join("big"), content(8 << 20)).unwrap();
    let holding: Vec<TcpStream> = (0..2048 + 16).map(|_| ask(files, "big\n")).collect();
    node.wait_for("/files/refused/busy", 16);
    let long = "x".repeat(2000); // a head that does not come in one piece is answered all the same
    let request = format!("GET /pub/f HTTP/1.1\r\nHost: box\r\nX-Long: {long}\r\nConnection: close\r\n\r\n");
    let request = request.as_bytes();
    assert_eq!(raw(files, request).status, 503);
    let refused = fetch_bare(connect(files), "f\n").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset, "a clean end would be an empty file");
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    other.connect(&files.into()).unwrap();
    assert_eq!(fetch_bare(other.into(), "f\n").unwrap(), b"served");
    drop(holding);
    eventually("what is given back can be had", || (raw(files, request).status == 200).then_some(()));
}

#[test]
fn a_file_that_changes_while_it_is_served_ends_in_a_reset() {
    let dir = directory();
    let path = dir.path().join("f");
    for request in ["f\n", "GET /pub/f HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n"] {
        for change in ["truncate", "grow", "rewrite"] {
            let size = 64 << 20;
            std::fs::write(&path, content(size)).unwrap();
            let node = sharing(dir.path());
            let mut stream = ask(node.files(), request);
            let mut piece = vec![0; 1 << 16];
            stream.read_exact(&mut piece).unwrap();
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            match change {
                "truncate" => file.set_len(1 << 20).unwrap(),
                "grow" => file.write_all(b"more").unwrap(),
                _ => std::fs::write(&path, vec![0; size]).unwrap(),
            }
            let ended = loop {
                match stream.read(&mut piece) {
                    Ok(0) => break Ok(()),
                    Ok(_) => {}
                    Err(e) => break Err(e.kind()),
                }
            };
            assert_eq!(ended, Err(ErrorKind::ConnectionReset), "{change}, asked by {request:?}");
        }
    }
}

#[test]
fn an_end_in_the_middle_is_a_reset_however_netkitd_ends() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), content(64 << 20)).unwrap();
    for request in ["f\n", "GET /pub/f HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n"] {
        for how in [Node::kill, |node: &mut Node| drop(node.stop())] {
            let mut node = sharing(dir.path());
            let mut stream = ask(node.files(), request);
            let mut piece = vec![0; 1 << 16];
            stream.read_exact(&mut piece).unwrap();
            how(&mut node);
            let mut got = piece.len();
            let ended = loop {
                match stream.read(&mut piece) {
                    Ok(0) => break Ok(()),
                    Ok(len) => got += len,
                    Err(e) => break Err(e.kind()),
                }
            };
            // By HTTP the length tells, too: a killed process can't say more.
            let is_told = ended == Err(ErrorKind::ConnectionReset) || (request != "f\n" && got < 64 << 20);
            assert!(is_told, "{request:?} ended as {ended:?} after {got} bytes");
        }
    }
}

#[test]
fn listings_that_nobody_reads_cost_little() {
    raise_limit();
    let dir = directory();
    for n in 0..10_000 {
        std::fs::write(dir.path().join(format!("{n:0>200}")), "").unwrap();
    }
    let mut node = sharing(dir.path());
    let files = node.files();
    let request = "GET /pub/ HTTP/1.1\r\nHost: box\r\n\r\n";
    let stuck: Vec<TcpStream> = (0..150).map(|_| ask(files, request)).collect();
    eventually("the first ones are answered", || {
        let mut first = [0; 1];
        (stuck[0].peek(&mut first).unwrap() == 1).then_some(())
    });
    assert!(resident(&mut node) <= 128, "{} MiB", resident(&mut node));
    drop(stuck);
    eventually("and give their places back", || (http(files, "GET /pub/", &[]).status == 200).then_some(()));
    assert!(http(files, "GET /pub/", &[]).text().contains("There is more than a page can show"));
}

#[test]
fn a_thousand_clients_are_served_at_once() {
    raise_limit();
    let dir = directory();
    let bytes = content(1 << 20);
    std::fs::write(dir.path().join("f"), &bytes).unwrap();
    let mut node = sharing(dir.path());
    let files = node.files();
    let clients: Vec<TcpStream> = (0..1000).map(|_| ask(files, "f\n")).collect();
    let memory = resident(&mut node);
    assert!(memory <= 64, "{memory} MiB");
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut stream| {
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    let (mut piece, mut all) = (vec![0; 16 << 10], Vec::new());
                    loop {
                        match stream.read(&mut piece).unwrap() {
                            0 => return all,
                            len => all.extend_from_slice(&piece[..len]),
                        }
                    }
                })
                .unwrap()
        })
        .collect();
    for reader in readers {
        assert!(reader.join().unwrap() == bytes);
    }
    node.wait_for("/files/served", 1000);
}
