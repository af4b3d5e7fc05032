//! The file port within TLS: who sees what, for how long, and what is not let in.

use crate::files::{content, directory, share};
use crate::files_crowd::resident;
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{Caller, Node, connect, curl, has_program, head, http, may_skip, openssl};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// One share for each audience, all of the same directory.
fn shares(dir: &Path) -> String {
    let list = format!("access = {}", json!(["bob", "carol", "dave", "mallory"]));
    share("pub", dir, "access = \"public\"")
        + &share("priv", dir, "access = \"trusted\"")
        + &share("some", dir, &list)
}

fn needs_no(test: &str, programs: &[&str]) -> bool {
    may_skip(programs.iter().all(|program| has_program(program)), test, &programs.join(" and "))
}

#[test]
fn each_peer_sees_the_shares_that_are_for_it() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "content").unwrap();
    let alice = box_of(builder_with("alice", &shares(dir.path())));
    let [bob, carol, dave, mallory, erin] =
        ["bob", "carol", "dave", "mallory", "erin"].map(|name| box_of(builder(name)));
    for peer in [&bob, &dave, &mallory, &erin] {
        peer.add(&alice);
    }
    alice.add(&carol);
    alice.tell("peers.trust", &bob.id());
    alice.tell("peers.trust", &erin.id());
    alice.tell("peers.block", &mallory.id());
    let files = alice.files();
    let all = ["pub", "priv", "some"];
    for (who, caller, seen) in [
        ("a trusted peer of the list", Caller::of(&bob), &all[..]),
        ("another trusted one", Caller::of(&erin), &["pub", "priv"]),
        ("a known one of the list", Caller::of(&carol), &["pub"]),
        ("a new one of the list", Caller::of(&dave), &["pub"]),
        ("one that was never seen", Caller::stranger(), &["pub"]),
    ] {
        let listing = caller.http(files, "GET /", &["Accept: application/json"]);
        let listing: serde_json::Value = serde_json::from_slice(&listing.body).unwrap();
        let names: Vec<_> = listing["entries"].as_array().unwrap().iter().map(|e| &e["name"]).collect();
        assert_eq!(names, seen, "{who}");
        for name in all {
            let (file, dir) = (format!("GET /{name}/f"), format!("GET /{name}/"));
            let status = if seen.contains(&name) { 200 } else { 404 };
            assert_eq!(caller.http(files, &file, &[]).status, status, "{who}: {name}");
            assert_eq!(caller.http(files, &dir, &[]).status, status, "{who}: {name}/");
        }
    }
    for target in ["/", "/pub/f", "/priv/f", "/some/f", "/nope"] {
        assert_eq!(Caller::of(&mallory).http(files, &format!("GET {target}"), &[]).status, 403, "{target}");
    }
    for (target, status) in [("/pub/f", 200), ("/priv/f", 404), ("/some/f", 404)] {
        assert_eq!(http(files, &format!("GET {target}"), &[]).status, status, "who proves nothing: {target}");
    }
}

#[test]
fn curl_is_served_within_tls_what_is_public() {
    let test = "curl_is_served_within_tls_what_is_public";
    if needs_no(test, &["curl"]) {
        return;
    }
    let dir = directory();
    std::fs::write(dir.path().join("big"), content(40_000_000)).unwrap();
    let alice = box_of(builder_with("alice", &shares(dir.path())));
    let files = alice.files();
    let out = directory();
    let target = out.path().join("big").display().to_string();
    curl(files, &["-f", "-o", &target, "/pub/big"]).expect(0);
    assert!(std::fs::read(&target).unwrap() == content(40_000_000));
    let part = curl(files, &["-f", "-r", "7-1000006", "-o", &target, "/pub/big"]);
    part.expect(0);
    assert!(std::fs::read(&target).unwrap() == content(40_000_000)[7..1_000_007]);
    for target in ["/priv/big", "/some/", "/pub/../priv/big"] {
        let status = curl(files, &["-o", "/dev/null", "-w", "%{http_code}", target]).expect(0).stdout;
        assert_eq!(status.trim_end(), "404", "{target}");
    }
    let listing = curl(files, &["-H", "Accept: application/json", "/"]).expect(0).stdout;
    assert!(listing.contains("\"pub\"") && !listing.contains("priv"), "{listing}");
}

#[test]
fn openssl_with_a_boxs_key_is_that_box() {
    let test = "openssl_with_a_boxs_key_is_that_box";
    if needs_no(test, &["openssl"]) {
        return;
    }
    let dir = directory();
    std::fs::write(dir.path().join("f"), "for trusted peers").unwrap();
    let (alice, bob) = (box_of(builder_with("alice", &shares(dir.path()))), box_of(builder("bob")));
    befriend(&bob, &alice);
    let request = "GET /priv/f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let at = |name: &str| bob.path("state").join(name).display().to_string();
    let (certificate, key) = (at("identity.crt"), at("identity.key"));
    let proof = ["-cert", &certificate, "-certform", "DER", "-key", &key, "-keyform", "DER"];
    let files = alice.files();
    let as_bob = openssl(files, &[&["-alpn", "netkit/1"], &proof[..]].concat(), request);
    assert!(as_bob.stdout.trim_end().ends_with("for trusted peers"), "{as_bob:?}");
    // A key is asked for of netkit boxes alone, and of those it is demanded.
    let not_asked = openssl(files, &proof, request);
    assert!(not_asked.stdout.contains("404 Not Found"), "{not_asked:?}");
    let none = openssl(files, &["-alpn", "netkit/1"], request);
    assert!(!none.stdout.contains("HTTP/1.1") && none.stderr.contains("alert"), "{none:?}");
    let old = openssl(files, &["-tls1_2"], request);
    assert!(!old.stdout.contains("HTTP/1.1") && old.stderr.contains("alert protocol version"), "{old:?}");
}

/// Reads until the end, which is a reset.
fn is_cut_off(mut stream: impl Read) -> bool {
    let mut piece = vec![0; 1 << 16];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn trust_withdrawn_midway_ends_the_answer() {
    let dir = directory();
    std::fs::write(dir.path().join("big"), content(64 << 20)).unwrap();
    let alice = box_of(builder_with("alice", &shares(dir.path())));
    let start = |caller: &Caller, target: &str| {
        let mut channel = caller.ask(alice.files(), &format!("GET {target}"), &[]);
        assert_eq!(head(&mut channel).status, 200, "{target}");
        channel
    };
    let [bob, carol] = ["bob", "carol"].map(|name| box_of(builder(name)));
    for peer in [&bob, &carol] {
        peer.add(&alice);
        alice.tell("peers.trust", &peer.id());
    }
    let (as_bob, as_carol) = (Caller::of(&bob), Caller::of(&carol));
    let (private, public) = (start(&as_bob, "/priv/big"), start(&as_bob, "/pub/big"));
    let untouched = start(&as_carol, "/some/big");
    alice.tell("peers.block", &bob.id());
    assert!(is_cut_off(private) && is_cut_off(public), "blocked: nothing more of anything");
    // Forgotten: a stranger again, who may have what is public.
    let (private, mut public) = (start(&as_carol, "/priv/big"), start(&as_carol, "/pub/big"));
    alice.tell("peers.remove", &carol.id());
    assert!(is_cut_off(private) && is_cut_off(untouched));
    let mut rest = Vec::new();
    public.read_to_end(&mut rest).unwrap();
    assert!(rest == content(64 << 20));
    assert_eq!(as_carol.http(alice.files(), "GET /priv/big", &[]).status, 404);
}

#[test]
fn a_share_that_is_closed_midway_ends_the_answer() {
    let dir = directory();
    std::fs::write(dir.path().join("big"), content(64 << 20)).unwrap();
    let alice = box_of(builder_with("alice", &share("pub", dir.path(), "access = \"public\"")));
    let plain =
        ["GET /pub/big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "big\n"].map(|request| {
            let mut plain = connect(alice.files());
            plain.write_all(request.as_bytes()).unwrap();
            plain.read_exact(&mut [0; 16]).unwrap();
            plain
        });
    let mut secure = Caller::stranger().ask(alice.files(), "GET /pub/big", &[]);
    assert_eq!(head(&mut secure).status, 200);
    alice.edit_config("access = \"public\"", "access = \"trusted\"");
    alice.ctl(&["rpc", "node.reload"]).expect(0);
    assert!(plain.into_iter().all(is_cut_off) && is_cut_off(secure));
}

#[test]
fn what_is_no_handshake_ends_soon_and_hurts_nobody() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let node: Node = box_of(builder_with("alice", &shares(dir.path())));
    let hello = [0x16, 3, 1, 0, 4, 1, 0, 0, 0];
    for bytes in [&[0x16][..], &[0x16; 5000], &hello, &[&hello[..], &[0; 100]].concat(), &content(70_000)] {
        let bytes = [&[0x16, 3, 1][..], bytes].concat();
        let mut stream = connect(node.files());
        let _ = stream.write_all(&bytes); // it may be told before it is done
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // an alert, or a reset
        assert!(answer.len() < 100, "{answer:?}");
    }
    node.wait_for("/files/open", 0);
    assert_eq!(Caller::stranger().http(node.files(), "GET /pub/f", &[]).body, b"x");
}

#[test]
fn netkit_boxes_are_served_where_http_is_off() {
    let test = "netkit_boxes_are_served_where_http_is_off";
    if needs_no(test, &["curl"]) {
        return;
    }
    let dir = directory();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let node = box_of(builder_with("alice", &shares(dir.path())).files("http = false"));
    assert_eq!(Caller::stranger().http(node.files(), "GET /pub/f", &[]).body, b"x");
    let curl = curl(node.files(), &["/pub/f"]);
    assert!(curl.code() == 35 && curl.stdout.is_empty(), "no handshake: {curl:?}");
}

#[test]
fn callers_that_read_nothing_cost_little_and_hold_up_no_stop() {
    let dir = directory();
    std::fs::write(dir.path().join("big"), content(30 << 20)).unwrap();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let mut node = box_of(builder_with("alice", &shares(dir.path())));
    let (files, stranger) = (node.files(), Caller::stranger());
    let stuck: Vec<_> = (0..100).map(|_| stranger.ask(files, "GET /pub/big", &[])).collect();
    let silent: Vec<_> = (0..50).map(|_| connect(files)).collect();
    for mut stream in &silent {
        stream.write_all(&[0x16, 3]).unwrap(); // and never the rest of a handshake
    }
    node.wait_for("/files/open", 150);
    for _ in 0..20 {
        assert_eq!(stranger.http(files, "GET /pub/f", &[]).body, b"x");
    }
    let memory = resident(&mut node);
    assert!(memory <= 96, "{memory} MiB");
    node.stop();
    drop((stuck, silent));
}
