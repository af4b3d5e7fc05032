//! Downloads by several connections, and in parts, from servers that give less than they promise: none of them may cost
//! what another connection brings, or what is there.

use crate::harness::{Downloader, End, File, MIB, Reply, Request, Source, assert_same, bytes};
use std::sync::Arc;

const SIZE: usize = 24 * MIB;

/// Fetches by four connections; nothing may be started over, and little fetched twice.
fn fetch(what: &str, script: impl Fn(&Request, &File) -> Reply + Send + Sync + 'static) -> Source {
    let content = bytes(1, SIZE);
    let file = File::new(&content);
    let source = Source::http(move |request| script(request, &file));
    let mut downloader = Downloader::with("connections = 4");
    let id = downloader.add(&source.url("f"));
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, what);
    let words = downloader.words(id);
    assert_eq!(words, ["queued", "active", "verifying", "done"], "{what}: {:?}", source.gets());
    source
}

fn slowly(reply: Reply) -> Reply {
    reply.rate(12 * MIB as u64)
}

#[test]
fn a_server_that_promises_parts_and_gives_none_is_read_by_one_connection() {
    fetch("always whole", |_, file| {
        slowly(file.clone().without_ranges().answer(&Request::default())).header("Accept-Ranges: bytes")
    });
}

#[test]
fn a_server_that_refuses_further_connections_is_read_by_one() {
    for status in [403, 404, 429, 503] {
        let source = fetch("one at a time", move |request, file| match request.at_once {
            1 => slowly(file.answer(request)),
            _ => Reply::status(status),
        });
        assert!(source.gets().iter().any(|get| get.at_once > 1), "it was asked: {:?}", source.gets());
    }
}

#[test]
fn a_mirror_that_has_another_validator_costs_nothing() {
    fetch("two back ends", |request, file| match request.number % 2 {
        0 => slowly(file.answer(request)),
        _ => slowly(file.clone().etag("\"other\"").answer(request)),
    });
}

#[test]
fn all_parts_come_from_where_redirects_led() {
    let content = bytes(1, SIZE);
    let file = File::new(&content);
    let [one, two] = [0, 1].map(|n| {
        let file = file.clone().etag(&format!("\"{n}\""));
        Source::http(move |request| slowly(file.answer(request)))
    });
    let urls = [one.url("f"), two.url("f")];
    let mirrors = Source::http(move |request| Reply::redirect(&urls[request.number % 2]));
    let mut downloader = Downloader::with("connections = 4");
    let id = downloader.add(&mirrors.url("f"));
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "from one mirror");
    assert_eq!((mirrors.gets().len(), two.gets().len()), (1, 0));
    assert!(one.gets().len() > 1, "{:?}", one.gets());
}

#[test]
fn a_server_that_gives_a_part_of_a_part_is_asked_for_the_rest() {
    let content = bytes(1, 8 * MIB);
    for total in ["8388608", "*"] {
        let file: Arc<[u8]> = content.clone();
        let source = Source::http(move |request| {
            let Some((from, _)) = request.wanted() else {
                return File::new(&file).answer(request).cut_after(3 * MIB / 2, End::Reset);
            };
            let end = file.len().min(from + MIB);
            let told = format!("Content-Range: bytes {from}-{}/{total}", end - 1);
            Reply::bytes(&file).part(from..end).with_status(206).header(&told).header("ETag: \"one\"")
        });
        let mut downloader = Downloader::new();
        let id = downloader.add(&source.url("f"));
        downloader.done(id);
        assert_same(&downloader.read("f"), &content, "by a mebibyte each time");
        assert!(!downloader.words(id).contains(&"restarted".to_owned()), "{:?}", downloader.words(id));
        assert!(source.sent() < content.len() + MIB, "{} bytes were sent", source.sent());
        assert_eq!(source.gets().len(), 8, "{:?}", source.gets());
    }
}

#[test]
fn a_range_that_makes_no_sense_does_not_cost_what_is_there() {
    let content = bytes(1, 8 * MIB);
    let file = File::new(&content);
    let source = Source::http(move |request| match request.number {
        0 => file.answer(request).cut_after(5 * MIB, End::Reset),
        1 => Reply::bytes(&file.bytes).with_status(206).header("Content-Range: bytes x-y/z"),
        2 => Reply::bytes(&file.bytes).partial(0..MIB).header("ETag: \"one\""),
        _ => file.answer(request),
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "in the end");
    assert!(!downloader.words(id).contains(&"restarted".to_owned()), "{:?}", downloader.words(id));
    assert!(source.gets()[3].start() > 4 * MIB, "{:?}", source.gets());
}

#[test]
fn what_is_packed_is_not_the_file() {
    let source =
        Source::http(|request| File::new(&bytes(1, 1000)).answer(request).header("Content-Encoding: gzip"));
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    let failed = downloader.failed(id, "refused");
    assert!(failed["error"]["message"].as_str().unwrap().contains("gzip"), "{failed}");
    assert_eq!(downloader.names(), [""; 0]);
}
