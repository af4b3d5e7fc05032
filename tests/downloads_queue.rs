//! The download queue: turns, order, pause and resume, limits, ids, and what of it outlives a restart.

use crate::harness::{Downloader, End, File, MIB, Reply, Source, assert_same, bytes, eventually, millis};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A different megabyte under each name `N`; none ends before it is told to.
pub fn stalling() -> Source {
    Source::http(|request| File::new(&numbered(&request.path)).answer(request).stall_after(1000))
}

pub fn numbered(path: &str) -> Arc<[u8]> {
    bytes(path.trim_start_matches('/').parse().unwrap(), MIB)
}

/// A server of 8 MiB whose first answer stops in the middle.
fn stops_once(content: &Arc<[u8]>, at: usize) -> Source {
    let file = File::new(content);
    Source::http(move |request| {
        let reply = file.answer(request);
        if request.number == 0 { reply.stall_after(at) } else { reply }
    })
}

#[test]
fn no_more_run_at_once_than_are_allowed_and_each_in_its_turn() {
    let mut downloader = Downloader::with("active = 2");
    let source = stalling();
    let ids: Vec<u64> = (0..6).map(|n| downloader.add(&source.url(&n.to_string()))).collect();
    source.wait_requests(2);
    eventually("two are active", || (downloader.listed(&["active"]).len() == 2).then_some(()));
    assert_eq!(downloader.listed(&["active"]), ids[..2]);
    assert_eq!(downloader.listed(&["queued"]), ids[2..]);
    assert_eq!(downloader.listed(&[]), ids);
    assert_eq!(source.requests().len(), 2, "the others were not even asked for");
    // One that is paused makes room; one that waits can be paused, too.
    downloader.tell("pause", ids[0]);
    downloader.tell("pause", ids[3]);
    downloader.state(ids[2], "active");
    source.go_on();
    for &id in [1, 2, 4, 5].map(|n| &ids[n]) {
        downloader.done(id);
    }
    assert_eq!(
        (&downloader.show(ids[0])["state"], &downloader.show(ids[3])["state"]),
        (&json!("paused"), &json!("paused"))
    );
    for &id in &[ids[0], ids[3]] {
        downloader.tell("resume", id);
        downloader.done(id);
    }
    for n in 0..6 {
        assert_same(&downloader.read(&n.to_string()), &numbered(&n.to_string()), "each its own");
    }
    // The server did not notice at once that the first one was paused.
    let (first, rest) = (&source.requests()[..2], source.requests().split_off(3));
    assert!(first.iter().chain(&rest).all(|request| request.at_once <= 2), "{:?}", source.requests());
}

#[test]
fn the_order_can_be_changed_and_outlives_a_restart() {
    let mut downloader = Downloader::with("active = 1");
    let source = stalling();
    let ids: Vec<u64> = (0..6).map(|n| downloader.add(&source.url(&n.to_string()))).collect();
    source.wait_requests(1);
    for (id, to) in [
        (ids[5], json!("first")),
        (ids[1], json!("last")),
        (ids[3], json!({"before": ids[2]})),
        (ids[2], json!({"after": ids[4]})),
    ] {
        downloader.call("downloads.move", json!({"id": id, "to": to})).unwrap();
    }
    let order = [5, 3, 4, 2, 1].map(|n: usize| ids[n]);
    assert_eq!(downloader.listed(&["queued"]), order);
    downloader.restart();
    let waiting: Vec<u64> = downloader.listed(&[]).into_iter().filter(|&id| id != ids[0]).collect();
    assert_eq!(waiting, order);
    source.go_on();
    for &id in &ids {
        downloader.done(id);
    }
    let asked: Vec<String> = source.requests().into_iter().map(|request| request.path).collect();
    let position = |n: usize| asked.iter().rposition(|path| *path == format!("/{n}")).unwrap();
    let positions = [5, 3, 4, 2, 1].map(position);
    assert!(positions.is_sorted(), "{asked:?}");

    for (id, to) in [(999, json!("first")), (ids[0], json!({"before": 999})), (ids[0], json!("between"))] {
        downloader.call("downloads.move", json!({"id": id, "to": to})).unwrap_err();
    }
}

#[test]
fn a_paused_download_goes_on_with_the_rest_only() {
    let mut downloader = Downloader::new();
    let (content, at) = (bytes(1, 8 * MIB), 3 * MIB + 300_000);
    let source = stops_once(&content, at);
    let id = downloader.add(&source.url("f"));
    downloader.until(id, "3 MiB are there", |shown| shown["bytes"].as_u64().unwrap() >= 3 * MIB as u64);
    let paused = downloader.tell("pause", id);
    assert_eq!(paused["state"], "paused");
    let there = paused["bytes"].as_u64().unwrap() as usize;
    assert!((3 * MIB..=at).contains(&there), "{there}");
    assert!(downloader.part(id).exists());
    assert_eq!(source.requests().len(), 1);
    // Paused is paused, also after a restart.
    downloader.restart();
    assert_eq!(downloader.show(id)["state"], "paused");
    assert_eq!(downloader.show(id)["bytes"], there);
    downloader.tell("resume", id);
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "in two pieces");
    let gets = source.gets();
    assert_eq!((gets.len(), gets[1].start(), gets[1].if_range.as_deref()), (2, there, Some("\"one\"")));
    assert_eq!(gets[1].sent(), content.len() - there);
    let words = downloader.words(id);
    assert_eq!(words, ["queued", "active", "paused", "queued", "active", "verifying", "done"]);
    let active: Vec<Value> =
        downloader.events(id).into_iter().filter(|e| e["kind"] == "download.active").collect();
    assert_eq!((&active[0]["bytes"], &active[1]["bytes"]), (&json!(0), &json!(there)));
}

#[test]
fn a_restart_goes_on_with_the_rest_only() {
    let mut downloader = Downloader::new();
    let (content, at) = (bytes(1, 8 * MIB), 3 * MIB + 300_000);
    let source = stops_once(&content, at);
    let id = downloader.add(&source.url("f"));
    downloader.until(id, "3 MiB are there", |shown| shown["bytes"].as_u64().unwrap() >= 3 * MIB as u64);
    // A server that says nothing holds up no stop.
    downloader.restart();
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "in two pieces");
    let gets = source.gets();
    assert!(gets[1].start() >= 3 * MIB && gets[1].start() <= at, "{gets:?}");
    assert_eq!(source.sent(), at + content.len() - gets[1].start());
    assert!(!downloader.words(id).contains(&"restarted".to_owned()));
    assert_eq!(downloader.names(), ["f"]);
}

#[test]
fn a_retry_keeps_the_id_and_what_is_there() {
    let mut downloader = Downloader::new();
    let content = bytes(1, 4 * MIB);
    let is_there = Arc::new(AtomicBool::new(false));
    let (file, theirs) = (File::new(&content), is_there.clone());
    let source = Source::http(move |request| match request.number {
        0 => file.answer(request).cut_after(2 * MIB + 5, End::Reset),
        _ if theirs.load(Ordering::SeqCst) => file.answer(request),
        _ => Reply::status(404),
    });
    let id = downloader.add(&source.url("f"));
    let failed = downloader.failed(id, "not_found");
    assert!(failed["bytes"].as_u64().unwrap() > MIB as u64, "what came is kept: {failed}");
    assert!(downloader.part(id).exists());
    downloader.restart();
    assert_eq!(downloader.show(id)["state"], "failed", "and is not tried again by itself");
    is_there.store(true, Ordering::SeqCst);
    let before = source.gets().len();
    let again = downloader.tell("retry", id);
    assert_eq!(again["id"], id);
    let done = downloader.done(id);
    assert_eq!((&done["id"], &done["attempts"]), (&json!(id), &json!(0)));
    assert_same(&downloader.read("f"), &content, "tried again");
    let last = source.gets().pop().unwrap();
    assert_eq!(source.gets().len(), before + 1);
    assert!(last.start() > MIB, "only the rest: {last:?}");
    assert_eq!(downloader.listed(&[]), [id]);
    // What is done, or goes on, is not tried again.
    downloader.call("downloads.retry", json!({ "id": id })).unwrap_err();
}

#[test]
fn what_is_cancelled_or_removed_leaves_nothing_and_ids_are_not_used_again() {
    let mut downloader = Downloader::with("active = 2");
    let source = stalling();
    let done = downloader.add(&Source::url(&source, "0"));
    source.go_on();
    downloader.done(done);
    drop(source);
    let source = stalling();
    let ids: Vec<u64> = (1..5).map(|n| downloader.add(&source.url(&n.to_string()))).collect();
    source.wait_requests(2);
    for (n, &id) in ids.iter().enumerate() {
        let cancelled = downloader.tell("cancel", id);
        assert_eq!(cancelled["state"], "cancelled", "download {n}");
        assert!(!downloader.part(id).exists());
    }
    assert_eq!(downloader.names(), ["0"]);
    // It can be had all the same.
    downloader.tell("retry", ids[0]);
    source.wait_requests(3);
    eventually("the part file is there", || downloader.part(ids[0]).exists().then_some(()));
    for &id in &ids {
        downloader.tell("remove", id); // one of them goes on just now
    }
    downloader.tell("remove", done);
    assert_eq!(downloader.listed(&[]), [0; 0]);
    assert_eq!(downloader.names(), ["0"], "a complete file stays");
    assert_same(&downloader.read("0"), &numbered("0"), "a complete file stays");
    assert_eq!(downloader.words(ids[0]).last().unwrap(), "removed");
    for verb in ["show", "pause", "resume", "retry", "cancel", "remove"] {
        let refused = downloader.call(&format!("downloads.{verb}"), json!({"id": ids[0]})).unwrap_err();
        assert_eq!(refused["data"]["kind"], "not_found", "{verb}: {refused}");
    }
    downloader.restart();
    assert_eq!(downloader.add(&source.url("7")), ids[3] + 1);
}

#[test]
fn a_thousand_that_are_queued_are_all_done() {
    let mut downloader = Downloader::with("active = 8");
    let source = Source::http(|request| {
        let n: u64 = request.path.trim_start_matches('/').parse().unwrap();
        File::new(&bytes(n, 2000 + n as usize)).answer(request)
    });
    let ids: Vec<u64> = (0..1000).map(|n| downloader.add(&source.url(&n.to_string()))).collect();
    eventually("all are done", || (downloader.listed(&["done"]).len() == 1000).then_some(()));
    let expected: Vec<u64> = (ids[0]..ids[0] + 1000).collect();
    let mut listed = downloader.listed(&[]);
    listed.sort_unstable();
    assert_eq!((&ids, listed), (&expected, expected.clone()));
    for n in 0..1000 {
        assert_same(&downloader.read(&n.to_string()), &bytes(n, 2000 + n as usize), &n.to_string());
    }
    assert_eq!(downloader.names().len(), 1000);
    assert_eq!(source.gets().len(), 1000);
    // In their turn: eight at a time, nobody is passed by far.
    for (place, request) in source.gets().iter().enumerate() {
        let n: usize = request.path.trim_start_matches('/').parse().unwrap();
        assert!(place.abs_diff(n) <= 16, "{n} was asked for as number {place}");
        assert!(request.at_once <= 8);
    }
}

/// Milliseconds from the first `download.active` to the last `download.done` of these.
fn took(downloader: &mut Downloader, ids: &[u64]) -> i64 {
    let mut times = |word: &str| -> Vec<i64> {
        ids.iter().map(|&id| millis(&downloader.event(id, word)["at"])).collect()
    };
    times("done").into_iter().max().unwrap() - times("active").into_iter().min().unwrap()
}

#[test]
fn limits_hold_for_one_and_for_all_and_change_live() {
    let mut downloader = Downloader::new();
    let source = Source::http(|request| File::new(&numbered(&request.path)).answer(request));
    let limited = downloader.add_with(&source.url("1"), json!({"limit": 200_000}));
    assert_eq!(downloader.done(limited)["limit"], 200_000);
    let time = took(&mut downloader, &[limited]);
    assert!(time >= 3000, "1 MiB at 200 kB/s took {time} ms");
    assert_same(&downloader.read("1"), &numbered("1"), "at its rate");

    // All together, as the configuration can't say while it runs; after a restart, too.
    downloader.call("downloads.limit", json!({"limit": 400_000})).unwrap();
    downloader.restart();
    assert_eq!(downloader.call("downloads.list", json!({})).unwrap()["limit"], 400_000);
    let both = [2, 3].map(|n| downloader.add(&source.url(&n.to_string())));
    for id in both {
        downloader.done(id);
    }
    let time = took(&mut downloader, &both);
    assert!(time >= 3000, "2 MiB at 400 kB/s in all took {time} ms");

    // A thousand bytes a second would take a quarter of an hour: it is the new limit that ends it.
    let lifted = downloader.add_with(&source.url("4"), json!({"limit": 1000}));
    downloader.state(lifted, "active");
    downloader.call("downloads.limit", json!({"id": lifted, "limit": 0})).unwrap();
    downloader.done(lifted);
    downloader.call("downloads.limit", json!({"limit": 1000})).unwrap();
    let lifted = downloader.add(&source.url("5"));
    downloader.state(lifted, "active");
    downloader.call("downloads.limit", json!({})).unwrap();
    assert_eq!(downloader.call("downloads.list", json!({})).unwrap()["limit"], 0, "as configured");
    downloader.done(lifted);
    for n in 2..6 {
        assert_same(&downloader.read(&n.to_string()), &numbered(&n.to_string()), "at its rate");
    }
    let unknown = downloader.call("downloads.limit", json!({"id": 999, "limit": 5})).unwrap_err();
    assert_eq!(unknown["data"]["kind"], "not_found");
}
