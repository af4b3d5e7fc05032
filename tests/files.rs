//! Files by HTTP and by bare name, whole and in parts, to clients of every kind.

use crate::harness::{
    Answer, Node, NodeBuilder, Running, command, connect, fetch_bare, has_program, http, may_skip, parse, raw,
};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// A directory to share.
pub fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("netkit-share-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// A box that shares a directory with anyone.
pub fn sharing(dir: &Path) -> Node {
    NodeBuilder::default().sections(&share("pub", dir, "access = \"public\"")).start()
}

pub fn share(name: &str, dir: &Path, more: &str) -> String {
    format!("[[share]]\nname = \"{name}\"\npath = \"{}\"\n{more}\n", dir.display())
}

/// Bytes that differ from each other, the same each time.
pub fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// What the tutorial's client gets.
pub fn bare(to: SocketAddr, name: impl AsRef<[u8]>) -> Vec<u8> {
    fetch_bare(connect(to), name).unwrap()
}

#[test]
fn files_of_every_size_come_byte_for_byte() {
    let dir = directory();
    let node = sharing(dir.path());
    let files = node.files();
    for size in [0, 1, 1023, 1024, (1 << 20) + 1, 30_000_000] {
        let bytes = content(size);
        std::fs::write(dir.path().join("file"), &bytes).unwrap();
        let answer = http(files, "GET /pub/file", &[]);
        assert_eq!((answer.status, answer.header("content-length")), (200, Some(size.to_string().as_str())));
        assert!(answer.body == bytes, "{size} bytes by HTTP");
        assert!(bare(files, "file") == bytes, "{size} bytes by bare name");
    }
    assert_eq!(node.status()["files"]["served"], 12);
}

#[test]
fn fifty_of_the_tutorials_clients_at_once() {
    let dir = directory();
    let bytes = content(300_000);
    std::fs::write(dir.path().join("\u{6587}\u{4ef6}.bin"), &bytes).unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    // They connect before they know what to ask for.
    let early: Vec<_> = (0..50).map(|_| connect(files)).collect();
    node.wait_for("/files/open", 50);
    let clients: Vec<_> = early
        .into_iter()
        .map(|stream| std::thread::spawn(move || fetch_bare(stream, "\u{6587}\u{4ef6}.bin").unwrap()))
        .collect();
    for client in clients {
        assert!(client.join().unwrap() == bytes);
    }
    assert_eq!(bare(files, "missing"), b"no_file");
    node.wait_for("/files/open", 0);
}

#[test]
fn a_bare_name_ends_in_every_way_it_can() {
    let dir = directory();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    for (name, text) in
        [("notes.txt", "notes"), ("GET", "named as a method"), ("sub/deep", "deep"), ("no", "no_file")]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    std::fs::write(dir.path().join("\u{7f51}\u{7edc}"), "gb").unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    for (request, answer) in [
        (&b"notes.txt"[..], &b"notes"[..]),
        (b"notes.txt\n", b"notes"),
        (b"notes.txt\r\n", b"notes"),
        (b"GET\n", b"named as a method"),
        (b"sub/deep\n", b"deep"),
        (b"\xcd\xf8\xc2\xe7", b"gb"),
        (b"no\n", b"no_file"),
        (b"sub\n", b"no_file"),
        (b"\n", b"no_file"),
        (b"../x\n", b"no_file"),
        (b"/etc/passwd\n", b"no_file"),
    ] {
        assert_eq!(bare(files, request), answer, "{request:?}");
    }
    // Half-closed, with what looks as if it could become HTTP.
    let mut stream = connect(files);
    stream.write_all(b"GET").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "named as a method");
    // More than a name behind the newline does not spoil the answer.
    assert_eq!(bare(files, [b"notes.txt\n".as_slice(), &[b'x'; 3000]].concat()), b"notes");
}

#[test]
fn ranges_and_conditions_are_http() {
    let dir = directory();
    let bytes = content(10_000);
    std::fs::write(dir.path().join("f.txt"), &bytes).unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    let get = |headers: &[&str]| http(files, "GET /pub/f.txt", headers);
    let whole = get(&[]);
    let (tag, date) =
        (whole.header("etag").unwrap().to_owned(), whole.header("last-modified").unwrap().to_owned());
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let part = get(&["Range: bytes=100-199"]);
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 100-199/10000")));
    assert_eq!(part.body, bytes[100..200]);
    assert_eq!(get(&["Range: bytes=-1"]).body, bytes[9999..]);
    let beyond = get(&["Range: bytes=10000-"]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10000")));
    assert_eq!(get(&["Range: bytes=0-1,4-5"]).status, 200);
    assert_eq!(get(&["Range: bytes=0-1", &format!("If-Range: {tag}")]).status, 206);
    assert_eq!(get(&["Range: bytes=0-1", "If-Range: \"other\""]).status, 200);
    let unchanged = get(&[&format!("If-None-Match: {tag}")]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(get(&[&format!("If-Modified-Since: {date}")]).status, 304);
    let head = http(files, "HEAD /pub/f.txt", &[]);
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10000"), 0));
    let refused = http(files, "POST /pub/f.txt", &[]);
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    let upload = [
        b"PUT /pub/f.txt HTTP/1.1\r\nHost: box\r\nContent-Length: 5000000\r\n\r\n".as_slice(),
        &content(5_000_000),
    ];
    let mut stream = connect(files);
    let _ = stream.write_all(&upload.concat()); // it may be told before it is done
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 405, "the answer is not lost to a reset");
    std::fs::write(dir.path().join("empty"), "").unwrap();
    assert_eq!(http(files, "GET /pub/empty", &["Range: bytes=0-"]).status, 416);
    // Changed: another tag.
    std::fs::write(dir.path().join("f.txt"), "other").unwrap();
    assert_eq!(get(&[&format!("If-None-Match: {tag}")]).status, 200);
}

#[test]
fn a_connection_takes_many_requests_also_at_once() {
    let dir = directory();
    std::fs::write(dir.path().join("a"), "first").unwrap();
    std::fs::write(dir.path().join("b"), "second").unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    let mut stream = connect(files);
    let get = |name: &str, close: &str| format!("GET /pub/{name} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
    stream
        .write_all((get("a", "") + &get("b", "") + &get("missing", "Connection: close\r\n")).as_bytes())
        .unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let text = String::from_utf8(all).unwrap();
    let (first, second, third) =
        (text.find("first"), text.find("second"), text.find("there is nothing here"));
    assert!(first.is_some() && first < second && second < third, "{text}");
}

#[test]
fn a_request_cut_at_any_byte_is_answered() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "content").unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    let request = b"GET /pub/f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for cut in 1..request.len() {
        let mut stream = connect(files);
        stream.set_nodelay(true).unwrap();
        stream.write_all(&request[..cut]).unwrap();
        stream.write_all(&request[cut..]).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(parse(&answer).body, b"content", "cut at {cut}");
    }
}

#[test]
fn a_directory_is_an_archive_when_asked() {
    if may_skip(has_program("tar"), "a_directory_is_an_archive_when_asked", "tar") {
        return;
    }
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("sub/empty")).unwrap();
    let long = format!("sub/{}", "n".repeat(200));
    for name in ["plain", "sub/\u{4f60}\u{597d}", &long, ".hidden", "sub/.netkit-1.part"] {
        std::fs::write(at(name), name).unwrap();
    }
    std::fs::write(at("big"), content(3_000_000)).unwrap();
    std::fs::set_permissions(at("plain"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    symlink("plain", at("link")).unwrap();
    symlink(".", at("loop")).unwrap();
    let node = sharing(dir.path());
    let answer = http(node.files(), "GET /pub/?tar", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-tar")));
    assert!(answer.header("content-disposition").unwrap().contains("filename=\"pub.tar\""));
    let out = directory();
    let mut unpack = command("tar", &["xf", "-", "-C", out.path().to_str().unwrap()]);
    unpack.env("LC_ALL", "C.UTF-8");
    Running::to_end(unpack, &answer.body).expect(0);
    let got = |name: &str| std::fs::read(out.path().join("pub").join(name));
    for name in ["plain", "sub/\u{4f60}\u{597d}", &long] {
        assert_eq!(got(name).unwrap(), name.as_bytes());
    }
    assert!(got("big").unwrap() == content(3_000_000));
    assert!(out.path().join("pub/sub/empty").is_dir());
    assert_eq!(got("link").unwrap(), b"plain");
    for name in [".hidden", "sub/.netkit-1.part", "loop"] {
        assert!(!out.path().join("pub").join(name).exists(), "{name}");
    }
    let mode = out.path().join("pub/plain").metadata().unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o111, 0o111);
    assert_eq!(http(node.files(), "HEAD /pub/?tar", &[]).body, b"");
    let old = raw(node.files(), b"GET /pub/?tar HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 505, "its end would not tell whether it is whole");
}

#[test]
fn curl_wget_and_aria2_are_clients() {
    let test = "curl_wget_and_aria2_are_clients";
    let programs = ["curl", "wget", "aria2c"];
    if may_skip(programs.iter().all(|p| has_program(p)), test, "curl, wget and aria2c (aria2)") {
        return;
    }
    let dir = directory();
    let bytes = content(300 << 20);
    std::fs::write(dir.path().join("big file"), &bytes).unwrap();
    let node = sharing(dir.path());
    let url = format!("http://{}/pub/big%20file", node.files());
    let out = directory();
    let target = |name: &str| out.path().join(name).display().to_string();
    let same = |name: &str| assert!(std::fs::read(target(name)).unwrap() == bytes, "{name}");
    Running::to_end(command("curl", &["-sSf", "-o", &target("curl"), &url]), b"").expect(0);
    same("curl");
    Running::to_end(command("curl", &["-sSf", "-r", "1000-1999", "-o", &target("part"), &url]), b"")
        .expect(0);
    assert!(std::fs::read(target("part")).unwrap() == bytes[1000..2000]);
    // wget goes on where it was cut off.
    std::fs::write(target("wget"), &bytes[..100_000_001]).unwrap();
    Running::to_end(command("wget", &["-q", "-c", "-O", &target("wget"), &url]), b"").expect(0);
    same("wget");
    let aria =
        ["-q", "-x4", "-s4", "-k1M", "--no-conf", "-d", out.path().to_str().unwrap(), "-o", "aria2", &url];
    Running::to_end(command("aria2c", &aria), b"").expect(0);
    same("aria2");
}

#[test]
fn a_sparse_file_of_50_gib_is_served_from_both_ends() {
    let dir = directory();
    let size = 50_u64 << 30;
    let mut file = std::fs::File::create(dir.path().join("sparse")).unwrap();
    file.set_len(size).unwrap();
    file.seek(SeekFrom::End(-4)).unwrap();
    file.write_all(b"last").unwrap();
    let node = sharing(dir.path());
    let files = node.files();
    assert_eq!(
        http(files, "HEAD /pub/sparse", &[]).header("content-length"),
        Some(size.to_string().as_str())
    );
    assert_eq!(http(files, "GET /pub/sparse", &["Range: bytes=-4"]).body, b"last");
    assert_eq!(http(files, "GET /pub/sparse", &["Range: bytes=0-9"]).body, [0; 10]);
    // A bare name has no ranges: the first bytes come at once, whatever the size.
    let mut stream = connect(files);
    stream.write_all(b"sparse").unwrap();
    let mut first = [1; 1024];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [0; 1024]);
    let Answer { status, .. } = http(files, "GET /pub/", &[]);
    assert_eq!(status, 200);
}
