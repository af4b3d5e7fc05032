//! What files hash to: manifests that are sent while they are made, files by their content, and hashes in listings.

use crate::files::{content, directory, share, sharing};
use crate::files_crowd::resident;
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{
    Answer, Caller, Node, Running, assert_same, command, connect, eventually, has_program, http, may_skip,
};
use netkit_proto::files::manifest::{BLOCK, BlockHasher, ManifestReader, encoded_len, to_hex};
use serde_json::Value;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

const MIB: usize = BLOCK as usize;

/// What `b3sum` says of a file.
fn b3sum(path: &Path) -> String {
    let ended = Running::to_end(command("b3sum", &["--no-names", path.to_str().unwrap()]), b"").expect(0);
    ended.stdout.trim_end().to_owned()
}

/// What a manifest says.
#[track_caller]
fn read(answer: &Answer) -> ManifestReader {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/vnd.netkit.manifest"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let mut reader = ManifestReader::default();
    reader.update(&answer.body).unwrap();
    assert!(reader.root().is_some());
    reader
}

fn listed(node: &Node, target: &str) -> Value {
    let answer = http(node.files(), &format!("GET {target}"), &["Accept: application/json"]);
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn a_manifest_agrees_with_b3sum_and_is_kept() {
    if may_skip(has_program("b3sum"), "a_manifest_agrees_with_b3sum_and_is_kept", "b3sum") {
        return;
    }
    let dir = directory();
    let sizes = [0, 1, MIB, MIB + 1, 2 * MIB, 11 * MIB / 2 + 3];
    for size in sizes {
        std::fs::write(dir.path().join(format!("f{size}")), content(size)).unwrap();
    }
    let mut node = sharing(dir.path());
    let get = |node: &Node, size: usize, headers: &[&str]| {
        http(node.files(), &format!("GET /.netkit/v1/manifest/pub/f{size}"), headers)
    };
    for size in sizes {
        let (path, content) = (dir.path().join(format!("f{size}")), content(size));
        let first = get(&node, size, &[]);
        assert_eq!(first.body.len() as u64, encoded_len(size as u64));
        let reader = read(&first);
        assert_eq!(to_hex(&reader.root().unwrap()), b3sum(&path), "{size} bytes");
        for (block, bytes) in content.chunks(MIB).enumerate() {
            let mut hasher = BlockHasher::new(block as u64);
            hasher.update(bytes);
            assert_eq!(reader.block(block as u64), Some(hasher.finish(size <= MIB)));
        }
        let file = http(node.files(), &format!("HEAD /pub/f{size}"), &[]);
        let tag = file.header("etag").unwrap();
        assert_eq!(first.header("etag"), Some(tag), "the file's own");
        assert_eq!(get(&node, size, &[&format!("If-Match: {tag}")]).body, first.body);
        assert_eq!(get(&node, size, &["If-Match: \"other\""]).status, 412);
        assert_eq!(get(&node, size, &[&format!("If-None-Match: {tag}")]).status, 304);
        let head = http(node.files(), &format!("HEAD /.netkit/v1/manifest/pub/f{size}"), &[]);
        assert_eq!((head.header("content-length"), head.body.len()), (first.header("content-length"), 0));
        // Until it is kept, which takes a moment where the file is new.
        eventually("its hash is listed", || {
            get(&node, size, &[]);
            let listing = listed(&node, "/pub/");
            let name = format!("f{size}");
            let entry = listing["entries"].as_array().unwrap().iter().find(|e| e["name"] == name.as_str());
            (entry.unwrap()["blake3"] == to_hex(&reader.root().unwrap()).as_str()).then_some(())
        });
    }
    node.restart();
    let listing = listed(&node, "/pub/");
    assert!(listing["entries"].as_array().unwrap().iter().all(|e| e["blake3"].is_string()), "{listing}");
    for size in sizes {
        read(&get(&node, size, &[]));
    }
    // Changed: not what it hashed to before.
    std::fs::write(dir.path().join("f1"), "2").unwrap();
    let entries = listed(&node, "/pub/")["entries"].clone();
    assert_eq!(entries.as_array().unwrap().iter().filter(|e| e["blake3"].is_null()).count(), 1);
    assert_eq!(to_hex(&read(&get(&node, 1, &[])).root().unwrap()), b3sum(&dir.path().join("f1")));
    for target in ["pub", "pub/", "pub/missing", "nope/f1", "pub/../x", "pub/f1/"] {
        let answer = http(node.files(), &format!("GET /.netkit/v1/manifest/{target}"), &[]);
        assert_eq!(answer.status, 404, "{target}");
    }
}

/// A file of zeros that takes no space.
fn sparse(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// Asks for something and reads the head of the answer and so many bytes of its body.
fn begin(node: &Node, target: &str, bytes: usize) -> (TcpStream, Vec<u8>) {
    let mut stream = connect(node.files());
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).unwrap();
    (stream, body)
}

#[test]
fn nobody_waits_for_the_hash_of_50_gib() {
    let dir = directory();
    let size = 50 << 30;
    sparse(&dir.path().join("sparse"), size);
    let mut node = sharing(dir.path());
    begin(&node, "/pub/", 1);
    let before = resident(&mut node);
    let began = Instant::now();
    let (mut manifest, first) = begin(&node, "/.netkit/v1/manifest/pub/sparse", 8 + 32);
    let first_value = began.elapsed();
    let began = Instant::now();
    let (data, byte) = begin(&node, "/pub/sparse", 1);
    let first_byte = began.elapsed();
    let mut hasher = BlockHasher::new(0);
    hasher.update(&vec![0; MIB]);
    assert_eq!((&first[..8], &first[8..]), (&size.to_be_bytes()[..], &hasher.finish(false)[..]));
    assert_eq!(byte, [0]);
    // Far below what 50 GiB take, far above what a loaded machine takes.
    let soon = Duration::from_secs(2);
    assert!(first_value < soon && first_byte < soon, "{first_value:?}, {first_byte:?}");
    manifest.read_exact(&mut vec![0; 32 * 1000]).unwrap(); // a GB on
    let grown = resident(&mut node).saturating_sub(before);
    assert!(grown <= 24, "{grown} MiB more");
    drop((manifest, data));
    node.wait_for("/files/open", 0);
    // Nobody follows: nothing is hashed any more, and a stop does not wait for it.
    node.stop();
}

#[test]
fn a_file_that_changes_while_it_is_hashed_ends_in_a_reset() {
    let dir = directory();
    let path = dir.path().join("sparse");
    for change in ["grow", "truncate", "write"] {
        sparse(&path, 20 << 30);
        let node = sharing(dir.path());
        let (mut stream, _) = begin(&node, "/.netkit/v1/manifest/pub/sparse", 8 + 32);
        let mut file = File::options().write(true).open(&path).unwrap();
        match change {
            "grow" => file.set_len((20 << 30) + 1).unwrap(),
            "truncate" => file.set_len(1 << 20).unwrap(),
            _ => file.write_all(b"x").unwrap(),
        }
        let ended = std::io::copy(&mut stream, &mut std::io::sink()).map_err(|e| e.kind());
        assert_eq!(ended, Err(ErrorKind::ConnectionReset), "{change}");
    }
}

#[test]
fn who_asks_while_a_file_is_hashed_follows() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), content(300 * MIB)).unwrap();
    let node = sharing(dir.path());
    let (mut first, begun) = begin(&node, "/.netkit/v1/manifest/pub/f", 8 + 32);
    let (files, target) = (node.files(), "GET /.netkit/v1/manifest/pub/f");
    let bodies: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(|| http(files, target, &[]).body)).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let mut rest = vec![0; encoded_len(300 << 20) as usize - begun.len()];
    first.read_exact(&mut rest).unwrap();
    let all = [begun, rest].concat();
    let mut reader = ManifestReader::default();
    reader.update(&all).unwrap();
    assert!(reader.root().is_some());
    for body in bodies {
        assert_same(&body, &all, "the same to each");
    }
}

#[test]
fn what_is_too_large_to_be_hashed_is_told() {
    let dir = directory();
    sparse(&dir.path().join("huge"), (1 << 40) + 1);
    let node = sharing(dir.path());
    let answer = http(node.files(), "GET /.netkit/v1/manifest/pub/huge", &[]);
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("more than 1 TiB"), "{answer:?}");
}

#[test]
fn a_hash_names_the_files_that_the_caller_may_see() {
    let (open, closed) = (directory(), directory());
    let bytes = content(3 * MIB);
    std::fs::write(open.path().join("a"), "public").unwrap();
    std::fs::write(closed.path().join("b"), &bytes).unwrap();
    let shares = share("pub", open.path(), "access = \"public\"")
        + &share("priv", closed.path(), "access = \"trusted\"");
    let (alice, bob) = (box_of(builder_with("alice", &shares)), box_of(builder("bob")));
    befriend(&bob, &alice);
    let (files, as_bob) = (alice.files(), Caller::of(&bob));
    let blob = |bytes: &[u8]| format!("GET /.netkit/v1/blob/{}", crate::harness::blake3(bytes));
    let private = blob(&bytes);
    assert_eq!(as_bob.http(files, &private, &[]).status, 404, "nobody has hashed it");
    // Until it is kept, which takes a moment where the file is new.
    let hashed = |path: &str, blob: &str| {
        eventually("it is known", || {
            as_bob.http(files, &format!("GET /.netkit/v1/manifest/{path}"), &[]);
            Some(as_bob.http(files, blob, &[])).filter(|answer| answer.status == 200)
        })
    };
    assert!(hashed("priv/b", &private).body == bytes);
    let part = as_bob.http(files, &private, &["Range: bytes=1048576-1048586"]);
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[MIB..MIB + 11]));
    let whole = as_bob.http(files, &private, &[]);
    assert_eq!(whole.header("etag"), as_bob.http(files, "GET /priv/b", &[]).header("etag"));
    assert_eq!(Caller::stranger().http(files, &private, &[]).status, 404);
    assert_eq!(http(files, &private, &[]).status, 404);
    let public = blob(b"public");
    hashed("pub/a", &public);
    assert_eq!(http(files, &public, &[]).body, b"public");
    assert_eq!(
        Caller::stranger()
            .http(files, &public.to_uppercase().replace("/.NETKIT/V1/BLOB", "/.netkit/v1/blob"), &[])
            .body,
        b"public"
    );
    for bad in ["", "x", &"0".repeat(64), &"0".repeat(63), &format!("{}/", "0".repeat(64))] {
        assert_eq!(http(files, &format!("GET /.netkit/v1/blob/{bad}"), &[]).status, 404, "{bad}");
    }
    // What is not the same any more is not there.
    std::fs::write(open.path().join("a"), "another").unwrap();
    assert_eq!(http(files, &public, &[]).status, 404);
    alice.tell("peers.block", &bob.id());
    assert_eq!(as_bob.http(files, &private, &[]).status, 403);
}

#[test]
fn of_shares_that_overlap_each_shows_what_the_other_one_was_hashed_for() {
    let dir = directory();
    std::fs::create_dir_all(dir.path().join("sub/deep")).unwrap();
    std::fs::write(dir.path().join("sub/deep/f"), "shared twice").unwrap();
    std::fs::write(dir.path().join("f"), "hidden").unwrap();
    let shares = share("all", dir.path(), "access = \"trusted\"")
        + &share("sub", &dir.path().join("sub"), "access = \"public\"");
    let (alice, bob) = (box_of(builder_with("alice", &shares)), box_of(builder("bob")));
    befriend(&bob, &alice);
    let (files, as_bob) = (alice.files(), Caller::of(&bob));
    let blob = |content: &str| format!("GET /.netkit/v1/blob/{}", crate::harness::blake3(content.as_bytes()));
    for (path, content) in [("all/sub/deep/f", "shared twice"), ("all/f", "hidden")] {
        eventually("it is known", || {
            as_bob.http(files, &format!("GET /.netkit/v1/manifest/{path}"), &[]);
            Some(()).filter(|()| as_bob.http(files, &blob(content), &[]).status == 200)
        });
    }
    assert_eq!(http(files, &blob("shared twice"), &[]).body, b"shared twice");
    assert_eq!(http(files, &blob("hidden"), &[]).status, 404);
    // Known for the one share, and then the only one left.
    alice.edit_config("access = \"trusted\"", "access = []");
    alice.ctl(&["rpc", "node.reload"]).expect(0);
    eventually("all is closed to bob", || {
        Some(()).filter(|()| as_bob.http(files, "GET /all/f", &[]).status == 404)
    });
    assert_eq!(as_bob.http(files, &blob("shared twice"), &[]).body, b"shared twice");
    assert_eq!(as_bob.http(files, &blob("hidden"), &[]).status, 404);
}

#[test]
fn links_to_a_share_or_in_it_make_no_other_place_of_a_file() {
    let (dir, links) = (directory(), directory());
    std::fs::write(dir.path().join("f"), "linked").unwrap();
    symlink(".", dir.path().join("again")).unwrap();
    symlink(dir.path(), links.path().join("to")).unwrap();
    let shares = share("priv", dir.path(), "access = \"trusted\"")
        + &share("pub", &links.path().join("to"), "access = \"public\"");
    let (alice, bob) = (box_of(builder_with("alice", &shares)), box_of(builder("bob")));
    befriend(&bob, &alice);
    let (files, as_bob) = (alice.files(), Caller::of(&bob));
    let blob = format!("GET /.netkit/v1/blob/{}", crate::harness::blake3(b"linked"));
    eventually("it is known", || {
        as_bob.http(files, "GET /.netkit/v1/manifest/priv/again/again/f", &[]);
        Some(()).filter(|()| as_bob.http(files, &blob, &[]).status == 200)
    });
    assert_eq!(
        http(files, &blob, &[]).body,
        b"linked",
        "through the other share, without a question of its own"
    );
}

#[test]
fn a_file_that_is_rewritten_with_its_time_restored_is_hashed_again() {
    let dir = directory();
    let path = dir.path().join("f");
    let (old, new) = (vec![1; 2 * MIB + 7], vec![2; 2 * MIB + 7]);
    std::fs::write(&path, &old).unwrap();
    let node = sharing(dir.path());
    let manifest = || http(node.files(), "GET /.netkit/v1/manifest/pub/f", &[]);
    let blob = |content: &[u8]| {
        http(node.files(), &format!("GET /.netkit/v1/blob/{}", crate::harness::blake3(content)), &[]).status
    };
    let is_kept = |content: &[u8]| {
        eventually("its hash is kept", || {
            assert_eq!(to_hex(&read(&manifest()).root().unwrap()), crate::harness::blake3(content));
            (blob(content) == 200).then_some(())
        });
    };
    is_kept(&old);
    let (before, tag) = (path.metadata().unwrap(), manifest().header("etag").unwrap().to_owned());
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(&new).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    drop(file);
    let after = path.metadata().unwrap();
    let seen = |metadata: &Metadata| (metadata.ino(), metadata.len(), metadata.modified().unwrap());
    assert_eq!(seen(&after), seen(&before), "only the time of its last change of any kind tells");
    assert!(listed(&node, "/pub/")["entries"][0]["blake3"].is_null());
    assert_eq!(blob(&old), 404);
    assert_ne!(manifest().header("etag").unwrap(), tag);
    is_kept(&new);
}
