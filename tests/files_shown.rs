//! What of a share is shown, under which names and to whom; and what nobody is served.

use crate::files::{bare, directory, share, sharing};
use crate::harness::{Node, NodeBuilder, Running, command, connect, http, is_root, may_skip, raw};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

#[test]
fn names_of_every_kind_are_listed_and_fetched() {
    let dir = directory();
    let long = "\u{957f}".repeat(85);
    let names: Vec<Vec<u8>> = [
        "\u{4f60}\u{597d}.txt",
        "with space",
        "new\nline",
        "quote\"'",
        "<script>alert(1)<script>",
        "%2e%2e",
        "x..",
        "a&b=c?d#e",
        "back\\slash",
        &long,
        "+",
        "\u{1b}[2J",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .chain([b"invalid \xff\xfe".to_vec()])
    .collect();
    for name in &names {
        std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let node = sharing(dir.path());
    let files = node.files();
    let listing: Value =
        serde_json::from_slice(&http(files, "GET /pub/", &["Accept: application/json"]).body).unwrap();
    let entries = listing["entries"].as_array().unwrap();
    assert_eq!(entries.len(), names.len());
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in entries {
        let answer = http(files, &format!("GET /pub/{}", entry["href"].as_str().unwrap()), &[]);
        assert_eq!(answer.status, 200, "{entry}");
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.contains("filename*=UTF-8\'\'"), "{disposition}");
        found.push(answer.body);
    }
    found.sort();
    let mut expected = names.clone();
    expected.sort();
    assert_eq!(found, expected, "each file has its own name as its content");
    std::fs::write(dir.path().join("page.html"), "<script>").unwrap();
    let active = http(files, "GET /pub/page.html", &[]);
    assert_eq!(
        active.header("content-security-policy"),
        Some("sandbox"),
        "what a browser would run may do nothing"
    );
    std::fs::remove_file(dir.path().join("page.html")).unwrap();
    let page = http(files, "GET /pub/", &["Accept: text/html"]);
    assert!(!page.text().contains("<script"), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let shown = node.ctl(&["ls", "pub"]).expect(0).stdout;
    assert!(!shown.contains('\u{1b}') && shown.lines().count() == names.len(), "{shown}");
}

#[test]
fn what_may_not_be_seen_does_not_exist() {
    let (dir, outside) = (directory(), directory());
    let at = |name: &str| dir.path().join(name);
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::fs::create_dir(at("sub")).unwrap();
    std::fs::write(at("sub/inside"), "inside").unwrap();
    for name in [".dot", ".netkit-7.part", "plain"] {
        std::fs::write(at(name), "x").unwrap();
    }
    symlink(outside.path().join("secret"), at("out")).unwrap();
    symlink(outside.path(), at("outdir")).unwrap();
    symlink("sub/inside", at("in")).unwrap();
    symlink("/dev/zero", at("zero")).unwrap();
    Running::to_end(command("mkfifo", &[at("fifo")]), b"").expect(0);
    let sections = share("pub", dir.path(), "access = \"public\"")
        + &share("priv", outside.path(), "access = \"trusted\"")
        + &share("some", outside.path(), "access = [\"bob\"]");
    let node = NodeBuilder::default().sections(&sections).start();
    let files = node.files();
    assert_eq!(http(files, "GET /pub/in", &[]).body, b"inside", "a link that stays within");
    for target in [
        "/pub/out",
        "/pub/outdir/",
        "/pub/outdir/secret",
        "/pub/zero",
        "/pub/fifo",
        "/pub/.dot",
        "/pub/.netkit-7.part",
        "/pub/../priv/secret",
        "/pub/%2e%2e/x",
        "/pub/%2e%2e%2f",
        "/pub/..%2f..%2fetc%2fpasswd",
        "/pub//etc/passwd",
        "/pub/sub%00",
        "/pub/plain/",
        "/pub/plain/x",
        "/priv/",
        "/priv/secret",
        "/some/secret",
        "/nope/",
        "/.netkit/v1/x",
    ] {
        assert_eq!(http(files, &format!("GET {target}"), &[]).status, 404, "{target}");
    }
    for name in ["out", "outdir/secret", "zero", "fifo", ".dot", ".netkit-7.part", "secret", "sub", "../x"] {
        assert_eq!(bare(files, format!("{name}\n")), b"no_file", "{name}");
    }
    let listing = |path: &str| -> Vec<String> {
        let answer = http(files, &format!("GET {path}"), &["Accept: application/json"]);
        let listing: Value = serde_json::from_slice(&answer.body).unwrap();
        listing["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listing("/"), ["pub"]);
    assert_eq!(listing("/pub/"), ["sub", "in", "plain"]);
    // Dot files are shown by a share that says so; downloads under way by none.
    node.edit_config("access = \"public\"", "access = \"public\"\ndot_files = true");
    node.ctl(&["rpc", "node.reload"]).expect(0);
    assert_eq!(listing("/pub/"), ["sub", ".dot", "in", "plain"]);
    // A device is not opened, whoever asks.
    if !may_skip(is_root(), "what_may_not_be_seen_does_not_exist", "root, to make a device") {
        Running::to_end(
            command("mknod", &[at("device").as_os_str(), "c".as_ref(), "1".as_ref(), "5".as_ref()]),
            b"",
        )
        .expect(0);
        assert_eq!(http(files, "GET /pub/device", &[]).status, 404);
    }
}

#[test]
fn a_rename_race_leads_nowhere() {
    let (dir, outside) = (directory(), directory());
    std::fs::write(outside.path().join("file"), "secret").unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/file"), "public").unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The directory and a link out of the share change places all the time.
            let at = |name: &str| dir.path().join(name);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (from, to) in [("d", "t"), ("link", "d"), ("d", "link"), ("t", "d")] {
                    std::fs::rename(at(from), at(to)).unwrap();
                }
            }
        });
        let mut seen = 0;
        for _ in 0..1000 {
            let answer = http(files, "GET /pub/d/file", &[]);
            assert!(!answer.text().contains("secret"), "{answer:?}");
            seen += usize::from(answer.status == 200);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(seen > 0, "the file was there at times");
    });
}

#[test]
fn hosts_of_other_sites_are_refused() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let node = NodeBuilder::default()
        .files("hosts = [\"files.example\"]")
        .sections(&share("pub", dir.path(), "access = \"public\""))
        .start();
    let files = node.files();
    for (host, status) in [
        ("127.0.0.1", 200),
        ("[::1]:7891", 200),
        ("localhost:7891", 200),
        ("box", 200),
        ("any.local", 200),
        ("files.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ] {
        assert_eq!(http(files, "GET /pub/f", &[&format!("Host: {host}")]).status, status, "{host}");
    }
    assert_eq!(raw(files, b"GET /pub/f HTTP/1.1\r\nConnection: close\r\n\r\n").status, 400);
    assert_eq!(
        raw(files, b"GET /pub/f HTTP/1.1\r\nHost: box\r\nHost: x\r\nConnection: close\r\n\r\n").status,
        400
    );
    assert_eq!(raw(files, b"GET /pub/f HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(
        raw(files, b"GET http://evil.example/pub/f HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n")
            .status,
        421
    );
    assert_eq!(raw(files, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505);
}

#[test]
fn each_face_can_be_switched_off() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let start = |lines: &str| {
        NodeBuilder::default().files(lines).sections(&share("pub", dir.path(), "access = \"public\"")).start()
    };
    let silence = |node: &Node, request: &str| {
        let mut stream = connect(node.files());
        let mut answer = Vec::new();
        // A reset, perhaps before the request was out: nothing is said.
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
        answer
    };
    let get = "GET /pub/f HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n";
    let node = start("http = false");
    assert_eq!((silence(&node, get), silence(&node, "f\n")), (vec![], b"x".to_vec()));
    let node = start("plain = false");
    assert_eq!((silence(&node, get).is_empty(), silence(&node, "f\n")), (false, vec![]));
    let node = start("allow = [\"10.0.0.0/8\"]");
    assert_eq!((silence(&node, get), silence(&node, "f\n")), (vec![], vec![]));
    assert_eq!(node.status()["files"]["refused"]["not_allowed"], 2);
    assert_eq!(silence(&node, "\u{16}\u{3}\u{1}"), b"");
}
