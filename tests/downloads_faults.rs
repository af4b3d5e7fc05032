//! Bodies that break off, change, lie about themselves or never come: each ends with the right bytes under the right
//! name, or the queue says exactly why not.

use crate::harness::{Downloader, End, File, MIB, Reply, Request, Source, assert_same, blake3, bytes};
use serde_json::json;
use std::sync::Arc;

const AT: usize = 3 * MIB + 300_000;

fn content() -> Arc<[u8]> {
    bytes(1, 6 * MIB + 11)
}

/// The first answer is reset behind [`AT`] bytes, the others are as `then` says.
fn breaks_once(file: File, then: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Source {
    Source::http(move |request| match request.number {
        0 => file.answer(request).cut_after(AT, End::Reset),
        _ => then(request),
    })
}

/// Fetches from all of them at once; each first try fails as `network`. Gives the ids in their order.
fn fetch_all(sources: &[(Source, &[u8], &str)]) -> (Downloader, Vec<u64>) {
    let mut downloader = Downloader::with("active = 8");
    let name = |what: &str| what.replace(' ', "_");
    let ids: Vec<u64> =
        sources.iter().map(|(source, _, what)| downloader.add(&source.url(&name(what)))).collect();
    for (&id, (_, expected, what)) in ids.iter().zip(sources) {
        downloader.tried(id, "network");
        downloader.done(id);
        assert_same(&downloader.read(&name(what)), expected, what);
        assert_eq!(downloader.show(id)["blake3"], blake3(expected), "{what}");
    }
    assert_eq!(downloader.names().len(), ids.len(), "{:?}", downloader.names());
    (downloader, ids)
}

/// It said that it lost what was there.
fn assert_restarted(downloader: &mut Downloader, id: u64, what: &str) {
    let event = downloader.event(id, "restarted");
    let lost = event["lost"].as_u64().unwrap() as usize;
    assert!(lost > MIB && lost <= AT, "{what}: {event}");
    assert!(event["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{what}: {event}");
}

#[test]
fn after_a_reset_only_the_rest_is_fetched() {
    let file = File::new(&content());
    let source = breaks_once(file.clone(), move |request| file.answer(request));
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    downloader.tried(id, "network");
    assert_eq!(downloader.names(), [format!(".netkit-{id}.part")], "what came is kept, and not shown");
    downloader.done(id);
    assert_same(&downloader.read("f"), &content(), "in two pieces");
    assert_eq!(downloader.names(), ["f"]);
    let words = downloader.words(id);
    assert_eq!(words, ["queued", "active", "retry_wait", "active", "verifying", "done"]);
    let second = &source.gets()[1];
    assert_eq!(second.if_range.as_deref(), Some("\"one\""));
    assert!(second.start() >= AT - MIB && second.start() <= AT, "{second:?}");
}

#[test]
fn a_server_that_ignores_the_range_is_noticed() {
    let whole = File::new(&content()).without_ranges();
    let honest = breaks_once(whole.clone(), move |request| whole.answer(request));
    // One that says that it knows ranges, and does not.
    let (file, whole) = (File::new(&content()), File::new(&content()).without_ranges());
    let liar = breaks_once(file, move |request| whole.answer(request).header("Accept-Ranges: bytes"));
    let sources = [(honest, &*content(), "no ranges"), (liar, &*content(), "200 to a range")];
    let (mut downloader, ids) = fetch_all(&sources);
    for (&id, (source, _, what)) in ids.iter().zip(&sources) {
        assert_restarted(&mut downloader, id, what);
        assert_eq!(source.gets().last().unwrap().sent(), content().len(), "{what}");
    }
    assert_eq!(sources[1].0.gets()[1].if_range.as_deref(), Some("\"one\""), "it was asked for a range");
}

#[test]
fn what_can_not_be_told_from_another_file_starts_over() {
    let weak = File::new(&content()).without_validator().etag("W/\"one\"");
    let none = File::new(&content()).without_validator();
    let whole = content();
    let sources = [(weak, "a weak validator"), (none, "no validator")]
        .map(|(file, what)| (breaks_once(file.clone(), move |request| file.answer(request)), &*whole, what));
    let (mut downloader, ids) = fetch_all(&sources);
    for (&id, (source, _, what)) in ids.iter().zip(&sources) {
        assert_restarted(&mut downloader, id, what);
        assert_eq!(source.gets()[1].start(), 0, "{what}");
        assert_eq!(source.gets()[1].sent(), content().len(), "{what}");
    }
}

#[test]
fn a_file_that_changes_midway_is_fetched_anew() {
    let (new, short) = (bytes(2, 5 * MIB + 7), bytes(3, MIB));
    let honest = File::new(&new).etag("\"two\"");
    let changing = |then: fn(&Request, &File) -> Reply, to: &File| {
        let to = to.clone();
        breaks_once(File::new(&content()), move |request| match request.range {
            Some(_) => then(request, &to),
            None => to.answer(request),
        })
    };
    fn rest(request: &Request, file: &File) -> Reply {
        Reply::bytes(&file.bytes).partial(request.start()..file.bytes.len())
    }
    let sources = [
        (changing(|request, file| file.answer(request), &honest), &*new, "200 and another validator"),
        (
            changing(|r, file| rest(r, file).header("ETag: \"two\""), &honest),
            &*new,
            "206 and another validator",
        ),
        (changing(rest, &honest), &*new, "206 of another size"),
        (
            changing(
                |_, _| Reply::status(416).header("Content-Range: bytes */1048576"),
                &File::new(&short).etag("\"three\""),
            ),
            &*short,
            "416",
        ),
    ];
    let (mut downloader, ids) = fetch_all(&sources);
    for (&id, (_, _, what)) in ids.iter().zip(&sources) {
        assert_restarted(&mut downloader, id, what);
    }
}

#[test]
fn a_part_that_was_not_asked_for_is_not_taken() {
    // The bytes of another place, under a header that tells so, or none, or nonsense; at the first two tries.
    let wrong = |wrong: fn(usize, &Arc<[u8]>) -> Reply| {
        let file = File::new(&content());
        breaks_once(file.clone(), move |request| match request.wanted() {
            Some((from, _)) if request.number < 3 => wrong(from, &file.bytes).header("ETag: \"one\""),
            _ => file.answer(request),
        })
    };
    let whole = content();
    let sources = [
        (wrong(|from, whole| Reply::bytes(whole).partial(from + 1..whole.len())), &*whole, "later"),
        (wrong(|from, whole| Reply::bytes(whole).partial(from - 1..whole.len())), &*whole, "sooner"),
        (wrong(|_, whole| Reply::bytes(whole).partial(0..whole.len())), &*whole, "all"),
        (wrong(|_, whole| Reply::bytes(whole).with_status(206)), &*whole, "without a range"),
        (
            wrong(|_, whole| Reply::bytes(whole).with_status(206).header("Content-Range: bytes x-y/z")),
            &*whole,
            "nonsense",
        ),
    ];
    fetch_all(&sources);

    // A part where the whole was asked for is not the whole.
    let source = Source::http(move |request| match (request.number, request.wanted()) {
        (0, None) => Reply::bytes(&whole).partial(0..1000).header("ETag: \"one\""),
        _ => File::new(&whole).answer(request),
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    let shown = downloader.until(id, "ends or is to be tried again", |shown| {
        shown["state"] == "done" || shown.get("error").is_some()
    });
    if shown["state"] != "done" {
        downloader.tell("cancel", id);
        assert!(!downloader.path("f").exists(), "{shown}");
    } else {
        assert_same(&downloader.read("f"), &content(), "206 to no range");
    }
}

#[test]
fn a_body_that_is_shorter_than_told_is_short() {
    let file = File::new(&content());
    let theirs = file.clone();
    let source = Source::http(move |request| match request.number {
        0 => theirs.answer(request).cut_after(AT, End::Clean),
        _ => theirs.answer(request),
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    downloader.tried(id, "short");
    downloader.done(id);
    assert_same(&downloader.read("f"), &content(), "a body that ended early");
    assert!(source.gets()[1].start() >= AT - MIB, "goes on: {:?}", source.gets());

    // Told too much each time: never done.
    let source = Source::http(move |request| {
        let reply = Reply::bytes(&file.bytes).header("ETag: \"one\"");
        let told = file.bytes.len() + 10;
        match request.wanted() {
            Some((from, _)) if from >= file.bytes.len() => Reply::status(416).header("ETag: \"one\""),
            Some((from, _)) => {
                let head = format!("Content-Range: bytes {from}-{}/{told}", told - 1);
                reply.part(from..file.bytes.len()).with_status(206).header(&head).announce(told - from)
            }
            None => reply.announce(told),
        }
    });
    let id = downloader.add(&source.url("liar"));
    downloader.tried(id, "short");
    source.wait_requests(3);
    assert!(!downloader.path("liar").exists());
    assert_ne!(downloader.show(id)["state"], "done");
    downloader.tell("remove", id);
    assert_eq!(downloader.names(), ["f"]);
}

#[test]
fn a_body_that_is_longer_than_told_is_known_by_its_checksum() {
    let whole = content();
    let checksum = format!("blake3:{}", blake3(&whole));
    let source = Source::http(move |_| Reply::bytes(&whole).announce(2 * MIB));
    let mut downloader = Downloader::new();
    let id = downloader.add_with(&source.url("f"), json!({ "checksum": checksum }));
    downloader.failed(id, "checksum");
    assert!(!downloader.path("f").exists());
}

#[test]
fn a_chunked_body_without_its_end_is_not_whole() {
    let file = File::new(&content());
    let source = Source::http(move |request| match request.number {
        0 => file.answer(request).chunked().cut_after(AT, End::Clean),
        1 => file.clone().without_ranges().answer(request).chunked().cut_after(AT, End::Reset),
        _ => file.answer(request),
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    let event = downloader.event(id, "retry_wait");
    assert!(event["error"]["kind"] == "short" || event["error"]["kind"] == "network", "{event}");
    downloader.done(id);
    assert_same(&downloader.read("f"), &content(), "at the third try");
}

#[test]
fn who_sends_nothing_or_next_to_nothing_is_given_up_for_a_while() {
    let mut downloader = Downloader::with("active = 8");
    let file = File::new(&content());
    let script = move |request: &Request| {
        let reply = file.answer(request);
        match (request.number, request.path.as_str()) {
            (0, "/stalls") => reply.stall_after(AT),
            (0, "/trickles") => reply.pieces(1).rate(1),
            (0, "/silent") => reply.stall_after(0),
            _ => reply,
        }
    };
    let sources: Vec<Source> = (0..3).map(|_| Source::http(script.clone())).collect();
    let bare = Source::bare(|request| {
        let reply = Reply::bytes(&content());
        if request.number == 0 { reply.stall_after(AT - 300_000) } else { reply }
    });
    // A server that does not even answer.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_url = format!("http://{}/mute", mute.local_addr().unwrap());
    let names = ["stalls", "trickles", "silent"];
    let mut ids: Vec<u64> =
        sources.iter().zip(names).map(|(source, name)| downloader.add(&source.url(name))).collect();
    ids.push(downloader.add(&bare.url("bare")));
    let mute_id = downloader.add(&mute_url);
    for &id in ids.iter().chain([&mute_id]) {
        downloader.tried(id, "timeout");
    }
    for (&id, name) in ids.iter().zip(names.iter().chain([&"bare"])) {
        downloader.done(id);
        assert_same(&downloader.read(name), &content(), name);
    }
    assert!(sources[0].gets()[1].start() >= AT - MIB, "goes on: {:?}", sources[0].gets());
    downloader.tell("cancel", mute_id);
}
