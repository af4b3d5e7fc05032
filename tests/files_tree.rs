//! All that is beneath a directory, as it is told to whoever fetches it: the list, and the small files in one archive.

use crate::files::{content, directory, share, sharing};
use crate::harness::{
    Answer, NodeBuilder, Running, blake3, command, connect, has_program, http, may_skip, raw,
};
use netkit_proto::files::listing::{EntryKind, TreeEntry, TreeLine};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The entries of a list, which must be whole.
#[track_caller]
fn entries(answer: &Answer) -> Vec<TreeEntry> {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let lines = answer.body.strip_suffix(b"\n").unwrap().split(|&b| b == b'\n');
    let mut lines: Vec<TreeLine> = lines.map(|line| TreeLine::parse(line).unwrap()).collect();
    let Some(TreeLine::End(end)) = lines.pop() else { panic!("no end") };
    let entry = |line| match line {
        TreeLine::Entry(entry) => entry,
        TreeLine::End(_) => panic!("an end in the middle"),
    };
    let entries: Vec<TreeEntry> = lines.into_iter().map(entry).collect();
    assert_eq!((end.end, end.truncated, end.entries), (true, false, entries.len() as u64));
    entries
}

fn tree(files: SocketAddr, target: &str) -> Vec<TreeEntry> {
    entries(&http(files, &format!("GET {target}?tree"), &[]))
}

/// A directory with what is awkward: names, times, rights, links.
fn awkward(dir: &Path) {
    let at = |name: &[u8]| dir.join(OsStr::from_bytes(name));
    let long = [b"a/b/".as_slice(), "\u{957f}".repeat(80).as_bytes()].concat();
    for directory in ["a/b/c", "a.d", "empty/inner", "z", ".hidden"] {
        std::fs::create_dir_all(at(directory.as_bytes())).unwrap();
    }
    let names: [&[u8]; 12] = [
        b"a-b",
        b"a/x",
        b"a0",
        b"a/b/c/1",
        b"a.d/new\nline",
        b"z/%41 b",
        b"z/quote\"'",
        b"broken \xff\xfe",
        &long,
        b".dot",
        b".hidden/x",
        b"z/.netkit-1.part",
    ];
    for name in names {
        std::fs::write(at(name), name).unwrap();
    }
    std::fs::write(at(b"large"), content(300_000)).unwrap();
    std::fs::write(at(b"nothing"), "").unwrap();
    std::fs::set_permissions(at(b"a/x"), PermissionsExt::from_mode(0o755)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::options().write(true).open(at(b"a/x")).unwrap().set_modified(time).unwrap();
    symlink("a/x", at(b"link")).unwrap();
    symlink("a", at(b"loop")).unwrap();
    symlink("/etc", at(b"out")).unwrap();
}

#[test]
fn a_tree_is_told_in_order_and_to_its_end() {
    let dir = directory();
    awkward(dir.path());
    let node = sharing(dir.path());
    let files = node.files();
    let all = tree(files, "/pub/");
    let paths: Vec<Vec<u8>> = all.iter().map(TreeEntry::path_bytes).collect();
    let mut sorted = paths.clone();
    sorted.sort();
    assert_eq!(paths, sorted);
    assert_eq!(paths.len(), 7 + 12, "directories and files, links to files, nothing hidden: {all:#?}");
    for (entry, path) in all.iter().zip(&paths) {
        let stat = std::fs::metadata(dir.path().join(OsStr::from_bytes(path))).unwrap();
        assert_eq!(
            (entry.kind == EntryKind::Dir, entry.kind == EntryKind::File),
            (stat.is_dir(), stat.is_file())
        );
        assert_eq!(entry.size, stat.is_file().then_some(stat.len()));
        assert_eq!(entry.executable, path == b"a/x" || path == b"link");
        assert_eq!(entry.href.is_some(), std::str::from_utf8(path).is_err());
        assert_eq!(
            entry.modified.map(|at| at.0),
            Some(stat.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64)
        );
    }
    let beneath: Vec<String> = tree(files, "/pub/a/").into_iter().map(|entry| entry.path).collect();
    assert_eq!(beneath, ["b", "b/c", "b/c/1", &format!("b/{}", "\u{957f}".repeat(80)), "x"]);
    assert_eq!(tree(files, "/pub/empty/inner/"), []);
    for target in ["/pub/?tree", "/pub/a/?tar&small=100"] {
        let head = http(files, &format!("HEAD {target}"), &[]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(raw(files, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).status, 505);
    }
    for target in
        ["/pub/a/x/?tree", "/pub/nope/?tree", "/pub/?tar&small=x", "/.hidden/?tree", "/pub/.hidden/?tree"]
    {
        assert_eq!(http(files, &format!("GET {target}"), &[]).status, 404, "{target}");
    }
    // Dot files are told where the share shows them.
    let dots = NodeBuilder::default()
        .sections(&share("pub", dir.path(), "access = \"public\"\ndot_files = true"))
        .start();
    assert_eq!(tree(dots.files(), "/pub/").len(), all.len() + 3);
}

#[test]
fn a_tree_has_the_hashes_that_are_known() {
    let dir = directory();
    std::fs::write(dir.path().join("known"), "x").unwrap();
    std::fs::write(dir.path().join("unknown"), "x").unwrap();
    let node = sharing(dir.path());
    crate::harness::eventually("it is known", || {
        http(node.files(), "GET /.netkit/v1/manifest/pub/known", &[]);
        let hashes: Vec<_> = tree(node.files(), "/pub/").into_iter().map(|entry| entry.blake3).collect();
        (hashes == [Some(blake3(b"x")), None]).then_some(())
    });
}

/// A file of an archive.
#[derive(Debug, PartialEq)]
struct Packed {
    content: Vec<u8>,
    mode: u32,
    hash: String,
    time: String,
}

#[track_caller]
fn unpack(bytes: &[u8]) -> Vec<(Vec<u8>, Packed)> {
    let mut archive = tar::Archive::new(bytes);
    let entry = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        assert!(entry.header().entry_type().is_file());
        let extensions = entry.pax_extensions().unwrap().expect("records of pax").map(Result::unwrap);
        let records: BTreeMap<String, String> =
            extensions.map(|e| (e.key().unwrap().to_owned(), e.value().unwrap().to_owned())).collect();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let mode = entry.header().mode().unwrap();
        let (hash, time) = (records["NETKIT.blake3"].clone(), records["mtime"].clone());
        (entry.path_bytes().into_owned(), Packed { content, mode, hash, time })
    };
    archive.entries().unwrap().map(entry).collect()
}

#[test]
fn small_files_come_in_one_archive_from_any_path_on() {
    let dir = directory();
    awkward(dir.path());
    let node = sharing(dir.path());
    let files = node.files();
    let answer = http(files, "GET /pub/?tar&small=100000", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-tar")));
    let all = unpack(&answer.body);
    let is_small = |entry: &TreeEntry| entry.size.is_some_and(|size| size <= 100_000);
    let expected: Vec<Vec<u8>> =
        tree(files, "/pub/").iter().filter(|entry| is_small(entry)).map(TreeEntry::path_bytes).collect();
    assert_eq!(
        all.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(),
        expected,
        "as the tree has them"
    );
    for (path, packed) in &all {
        let expected = match path.as_slice() {
            b"nothing" => &b""[..],
            b"link" => &b"a/x"[..],
            own => own,
        };
        assert_eq!((packed.content.as_slice(), &packed.hash), (expected, &blake3(expected)));
        assert_eq!(packed.mode, if expected == b"a/x" { 0o755 } else { 0o644 });
    }
    let (_, exact) = all.iter().find(|(path, _)| path == b"a/x").unwrap();
    assert_eq!(exact.time, "1000000000.123456789");
    for (at, path) in expected.iter().enumerate() {
        let after = netkit_proto::files::listing::percent_encoded(path);
        let rest = unpack(&http(files, &format!("GET /pub/?tar&small=100000&after={after}"), &[]).body);
        assert_eq!(rest, all[at + 1..], "after {after}");
    }
    assert_eq!(unpack(&http(files, "GET /pub/a/b/?tar&small=100", &[]).body)[0].0, b"c/1");
    assert_eq!(unpack(&http(files, "GET /pub/?tar&small=0", &[]).body).len(), 1);
    // As large as is held in memory, whatever is asked for.
    std::fs::write(dir.path().join("larger"), content((1 << 20) + 1)).unwrap();
    let most = unpack(&http(files, "GET /pub/?tar&small=99999999999", &[]).body);
    assert_eq!(most.len(), all.len() + 1, "with the large one, not with the larger one");
    // Others read it, too.
    if may_skip(has_program("tar"), "small_files_come_in_one_archive_from_any_path_on", "tar") {
        return;
    }
    let out = directory();
    Running::to_end(command("tar", &["xf", "-", "-C", out.path().to_str().unwrap()]), &answer.body).expect(0);
    assert_eq!(std::fs::read(out.path().join("a/b/c/1")).unwrap(), b"a/b/c/1");
    let time = out.path().join("a/x").metadata().unwrap().modified().unwrap();
    assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789));
}

#[test]
fn ten_thousand_files_are_told_and_packed() {
    // In memory, where there is such a place: some disks take minutes to delete so many.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { directory() };
    for n in 0..10_000 {
        let at = dir.path().join(format!("{}", n % 100));
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join(n.to_string()), n.to_string()).unwrap();
    }
    let node = sharing(dir.path());
    assert_eq!(tree(node.files(), "/pub/").len(), 10_100);
    assert_eq!(unpack(&http(node.files(), "GET /pub/?tar&small=4096", &[]).body).len(), 10_000);
}

#[test]
fn who_leaves_in_the_middle_holds_up_nobody() {
    let dir = directory();
    for n in 0..200 {
        std::fs::write(dir.path().join(format!("{n}")), content(100_000)).unwrap();
    }
    let mut node = sharing(dir.path());
    let files = node.files();
    // More than are made at once: each gives its place back when it leaves.
    for _ in 0..20 {
        let mut stream = connect(files);
        stream.write_all(b"GET /pub/?tar&small=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        drop(stream);
        crate::harness::eventually("there is a place", || {
            (http(files, "HEAD /pub/?tree", &[]).status == 200).then_some(())
        });
    }
    // Those that stay and read nothing do not hold up a stop, and what was not sent is cut off.
    let mut stuck: Vec<_> = (0..3).map(|_| connect(files)).collect();
    for stream in &mut stuck {
        stream.write_all(b"GET /pub/?tar&small=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    node.stop();
    let ended = std::io::copy(&mut stuck[0], &mut std::io::sink()).map_err(|error| error.kind());
    assert!(ended == Err(ErrorKind::ConnectionReset) || ended.is_ok_and(|len| len < 20_000_000), "{ended:?}");
}
