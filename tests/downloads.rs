//! What a download brings: the right bytes from every kind of server, checked.

use crate::harness::{
    Downloader, End, File, MIB, NodeBuilder, Reply, Running, Server, Source, assert_same, blake3, bytes,
    command, connect, fetch_bare, has_program, may_skip,
};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// None, and all around the size of a block.
const SIZES: [usize; 6] = [0, 1, MIB - 1, MIB, MIB + 1, 11 * MIB / 2];

/// Fetches a file of every size from `source`, which makes it from its name: `SIZE.bin`.
fn fetch_all_sizes(downloader: &mut Downloader, source: &Source, what: &str) {
    for size in SIZES {
        let what = format!("{size} bytes {what}");
        let name = format!("{size}.bin");
        let id = downloader.add(&source.url(&name));
        let shown = downloader.done(id);
        let content = bytes(size as u64, size);
        assert_same(&downloader.read(&name), &content, &what);
        assert_eq!(shown["path"], downloader.path(&name).display().to_string(), "{what}");
        assert_eq!((&shown["size"], &shown["bytes"]), (&json!(size), &json!(size)), "{what}");
        assert_eq!(shown["blake3"], blake3(&content), "{what}");
        assert_eq!(shown["verified"], false, "{what}");
        let mode = downloader.path(&name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640, "{what}");
        assert_eq!(downloader.words(id), ["queued", "active", "verifying", "done"], "{what}");
        let event = downloader.event(id, "done");
        assert_eq!((&event["bytes"], &event["blake3"]), (&json!(size), &shown["blake3"]), "{what}");
        assert_eq!((&event["path"], &event["source"]), (&shown["path"], &json!(source.url(&name))), "{what}");
        std::fs::remove_file(downloader.path(&name)).unwrap();
    }
    assert_eq!(downloader.names(), [""; 0], "nothing else is left");
}

/// The content of `…/SIZE.bin`.
fn of_size(path: &str) -> std::sync::Arc<[u8]> {
    let size: usize = path.rsplit('/').next().unwrap().trim_end_matches(".bin").parse().unwrap();
    bytes(size as u64, size)
}

#[test]
fn files_of_every_size_come_byte_for_byte_by_http() {
    let mut downloader = Downloader::new();
    let honest = Source::http(|request| File::new(&of_size(&request.path)).answer(request));
    fetch_all_sizes(&mut downloader, &honest, "with ranges");
    let plain = Source::http(|request| File::new(&of_size(&request.path)).without_ranges().answer(request));
    fetch_all_sizes(&mut downloader, &plain, "without ranges");
    let chunked = Source::http(|request| {
        File::new(&of_size(&request.path)).without_ranges().answer(request).chunked().pieces(10_007)
    });
    fetch_all_sizes(&mut downloader, &chunked, "of unknown length");
}

#[test]
fn several_connections_bring_the_same_bytes() {
    let mut downloader = Downloader::with("connections = 4");
    let honest = Source::http(|request| File::new(&of_size(&request.path)).answer(request));
    fetch_all_sizes(&mut downloader, &honest, "with ranges, by 4 connections");
    let plain = Source::http(|request| File::new(&of_size(&request.path)).without_ranges().answer(request));
    fetch_all_sizes(&mut downloader, &plain, "without ranges, by 4 connections");

    let content = bytes(1, 24 * MIB);
    let theirs = content.clone();
    let slow = Source::http(move |request| File::new(&theirs).answer(request).rate(4 * MIB as u64));
    let id = downloader.add(&slow.url("many"));
    downloader.done(id);
    assert_same(&downloader.read("many"), &content, "by 4 connections");
    assert!(slow.gets().iter().any(|request| request.at_once > 1), "{:?}", slow.gets());
    assert!(slow.sent() < content.len() + 8 * MIB, "{} bytes were sent", slow.sent());

    // A server that wants one connection at a time gets its way.
    let theirs = content.clone();
    let narrow = Source::http(move |request| match request.at_once {
        1 => File::new(&theirs).answer(request).rate(16 * MIB as u64),
        _ => Reply::status(503),
    });
    let id = downloader.add(&narrow.url("one"));
    downloader.done(id);
    assert_same(&downloader.read("one"), &content, "by the one connection there is");
}

#[test]
fn the_tutorials_server_is_a_source() {
    let mut downloader = Downloader::new();
    let bare = Source::bare(|request| match request.path.as_str() {
        "\u{4f60}\u{597d} 1%20.txt" => Reply::bytes(&bytes(7, 3_000_001)),
        "long no" => Reply::bytes(&b"no_files".as_slice().into()),
        path if path.ends_with(".bin") => Reply::bytes(&of_size(path)),
        _ => Reply::bytes(&b"no_file".as_slice().into()),
    });
    fetch_all_sizes(&mut downloader, &bare, "by bare name");
    let id = downloader.add(&bare.url("\u{4f60}\u{597d} 1%20.txt"));
    assert_eq!(downloader.done(id)["verified"], false);
    assert_same(&downloader.read("\u{4f60}\u{597d} 1%20.txt"), &bytes(7, 3_000_001), "a name as it is");
    let id = downloader.add(&bare.url("long no"));
    downloader.done(id);
    assert_eq!(downloader.read("long no"), b"no_files");

    let id = downloader.add(&bare.url("dir/missing"));
    let failed = downloader.failed(id, "not_found");
    assert!(failed["error"]["hint"].as_str().unwrap().contains("no_file"), "{failed}");
    assert!(!downloader.path("missing").exists());
    // The name alone, in one piece: what the tutorial's server reads is what it opens.
    assert_eq!(bare.requests().last().unwrap().path, "dir/missing");
    assert_eq!(bare.requests().len(), SIZES.len() + 3, "asked once for each");
}

#[test]
fn the_end_of_the_stream_is_the_end_of_a_bare_file_but_a_reset_is_not() {
    let mut downloader = Downloader::new();
    let content = bytes(1, 3 * MIB);
    let theirs = content.clone();
    let bare = Source::bare(move |request| {
        let reply = Reply::bytes(&theirs);
        match (request.path.as_str(), request.number) {
            ("ended", _) => reply.cut_after(2 * MIB + 1, End::Clean),
            (_, 0) => reply.cut_after(2 * MIB + 1, End::Reset),
            _ => reply,
        }
    });
    let reset = downloader.add(&bare.url("reset"));
    downloader.tried(reset, "network");
    assert_eq!(downloader.names(), [format!(".netkit-{reset}.part")]);
    downloader.done(reset);
    assert_same(&downloader.read("reset"), &content, "started over");
    let restarted = downloader.event(reset, "restarted");
    assert!(restarted["lost"].as_u64().unwrap() > 0 && restarted["reason"] != "", "{restarted}");

    // Nothing tells it from a whole file but its checksum.
    let ended = downloader.add(&bare.url("ended"));
    downloader.done(ended);
    assert_same(&downloader.read("ended"), &content[..2 * MIB + 1], "all that came");
    let whole = format!("blake3:{}", blake3(&content));
    let checked = downloader.add_with(&bare.url("ended"), json!({"output": "checked", "checksum": whole}));
    downloader.failed(checked, "checksum");
    assert!(!downloader.path("checked").exists());
}

#[test]
fn servers_that_others_wrote_are_sources() {
    let test = "servers_that_others_wrote_are_sources";
    let has_all = ["nginx", "python3", "b3sum"].iter().all(|program| has_program(program));
    if may_skip(has_all, test, "nginx, python3 and b3sum") {
        return;
    }
    let mut downloader = Downloader::new();
    for (server, what) in [(Server::nginx(), "from nginx"), (Server::python(), "from python3 -m http.server")]
    {
        for size in SIZES.into_iter().chain([20_000_000]) {
            let name = format!("\u{7f51} {size}.bin");
            let content = bytes(size as u64, size);
            std::fs::write(server.file(&name), &content).unwrap();
            let id = downloader.add(&server.url(&name.replace(' ', "%20")));
            let shown = downloader.done(id);
            let path = downloader.path(&name);
            assert_same(&std::fs::read(&path).unwrap(), &content, what);
            let sum = Running::to_end(command("b3sum", &["--no-names".as_ref(), path.as_os_str()]), b"");
            assert_eq!(shown["blake3"], sum.expect(0).stdout.trim(), "{what}");
            std::fs::remove_file(path).unwrap();
        }
        let id = downloader.add(&server.url("missing"));
        downloader.failed(id, "not_found");
    }
    // As the tutorial's server, netkitd itself.
    let dir = crate::files::directory();
    std::fs::write(dir.path().join("f"), bytes(1, 5_000_000)).unwrap();
    let other = crate::files::sharing(dir.path());
    let address = other.files();
    assert_same(&fetch_bare(connect(address), "f").unwrap(), &bytes(1, 5_000_000), "the truth");
    for (url, name) in [(format!("http://{address}/pub/f"), "http"), (format!("tcp://{address}/f"), "bare")] {
        let id = downloader.add_with(&url, json!({"output": name}));
        downloader.done(id);
        assert_same(&downloader.read(name), &bytes(1, 5_000_000), &url);
    }
}

#[test]
fn nginx_is_asked_for_the_rest_only() {
    if may_skip(has_program("nginx"), "nginx_is_asked_for_the_rest_only", "nginx") {
        return;
    }
    let server = Server::nginx();
    let content = bytes(1, 12 * MIB);
    std::fs::write(server.file("f"), &content).unwrap();
    let mut downloader = Downloader::new();
    let id = downloader.add_with(&server.url("f"), json!({"limit": 2 * MIB}));
    downloader.until(id, "some of it is there", |shown| shown["bytes"].as_u64().unwrap() > MIB as u64);
    let there = downloader.tell("pause", id)["bytes"].as_u64().unwrap();
    assert!(there > MIB as u64 && there < content.len() as u64, "{there}");
    downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    downloader.tell("resume", id);
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "in two pieces");
    let (start, asked) = (format!("GET bytes={there}-"), server.asked());
    let is_rest = |line: &&String| line.starts_with(&start) && line.ends_with(" 206");
    assert_eq!(asked.iter().filter(is_rest).count(), 1, "{start} in {asked:?}");
    assert!(!downloader.words(id).contains(&"restarted".to_owned()));
}

#[test]
fn checksums_of_every_kind_are_checked() {
    let mut downloader = Downloader::new();
    let content = bytes(3, 3 * MIB + 5);
    let theirs = content.clone();
    let source = Source::http(move |request| File::new(&theirs).answer(request));
    let truth = downloader.node.path("truth");
    std::fs::write(&truth, &content).unwrap();
    let mut sums = vec![format!("blake3:{}", blake3(&content))];
    for kind in ["md5", "sha256", "sha512"] {
        let ended = Running::to_end(command(&format!("{kind}sum"), &[&truth]), b"").expect(0);
        sums.push(format!("{kind}:{}", ended.stdout.split(' ').next().unwrap()));
    }
    for sum in sums {
        let kind = sum.split(':').next().unwrap();
        let (good, bad) = (format!("{kind}.good"), format!("{kind}.bad"));
        let upper = sum.to_ascii_uppercase();
        let id = downloader.add_with(&source.url("f"), json!({"checksum": upper, "output": good}));
        let shown = downloader.done(id);
        assert_eq!((&shown["verified"], &shown["checksum"]), (&json!(true), &json!(sum)));
        assert_eq!(downloader.event(id, "done")["verified"], true);
        assert_same(&downloader.read(&good), &content, kind);

        let digit = if sum.ends_with('0') { '1' } else { '0' };
        let other = format!("{}{digit}", &sum[..sum.len() - 1]);
        let id = downloader.add_with(&source.url("f"), json!({"checksum": other, "output": bad}));
        let shown = downloader.failed(id, "checksum");
        assert_eq!(shown["verified"], false);
        assert!(!downloader.path(&bad).exists(), "{kind}: never under its final name");
        assert_eq!(downloader.words(id).last().unwrap(), "failed", "not tried again by itself");
    }
    for wrong in ["md5:00", "crc32:00000000", "sha256", ""] {
        let refused = downloader.try_add(&source.url("f"), json!({"checksum": wrong})).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_params", "{wrong}: {refused}");
    }
}

#[test]
fn https_is_trusted_as_the_system_says() {
    let test = "https_is_trusted_as_the_system_says";
    if may_skip(has_program("python3") && has_program("openssl"), test, "python3 and openssl") {
        return;
    }
    let server = Server::https();
    let content = bytes(1, 3 * MIB + 1);
    std::fs::write(server.file("f"), &content).unwrap();
    let url = server.url("f").replace("http://", "https://");
    let trusting = format!("SSL_CERT_FILE={}", server.authority().display());
    let node = NodeBuilder::default().wrapper(&["env", &trusting]).start();
    let mut downloader = Downloader::on(node);
    let id = downloader.add(&url);
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "by HTTPS");
    // By a name that is not the certificate's.
    let id = downloader.add(&url.replace("127.0.0.1", "localhost"));
    downloader.failed(id, "tls");

    let mut downloader = Downloader::new();
    let id = downloader.add(&url);
    let failed = downloader.failed(id, "tls");
    assert!(failed["error"]["message"].as_str().unwrap().contains("127.0.0.1"), "{failed}");
    assert_eq!(downloader.names(), [""; 0]);
    // Plain HTTP is no TLS.
    let plain = Server::python();
    let id = downloader.add(&plain.url("f").replace("http://", "https://"));
    downloader.failed(id, "tls");
}
