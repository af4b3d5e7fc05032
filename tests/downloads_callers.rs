//! Those who ask something of the download queue: several at once, the same twice, what does not fit.

use crate::downloads_queue::{numbered, stalling};
use crate::harness::{Control, Downloader, File, MIB, Random, Source, assert_same, blake3, bytes};
use serde_json::{Value, json};
use std::sync::Barrier;

#[test]
fn two_callers_with_the_same_key_share_one_download() {
    let mut downloader = Downloader::new();
    let content = bytes(1, MIB);
    let theirs = content.clone();
    let source = Source::http(move |request| File::new(&theirs).answer(request));
    for round in 0..20 {
        let key = format!("backup-{round}");
        let params = json!({"source": source.url(&format!("f{round}")), "key": key, "limit": 5_000_000});
        let socket = downloader.node.socket();
        let answers: Vec<Value> = std::thread::scope(|scope| {
            let caller = || Control::connect(&socket).call("downloads.add", params.clone()).unwrap();
            let callers: Vec<_> = (0..2).map(|_| scope.spawn(caller)).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(answers[0]["id"], answers[1]["id"]);
        assert_eq!(answers.iter().filter(|a| a["repeated"] == true).count(), 1, "{answers:?}");
        let id = answers[0]["id"].as_u64().unwrap();
        downloader.done(id);
        // The same after it is done, after a restart, and after it was forgotten.
        if round == 0 {
            downloader.restart();
        } else if round == 1 {
            downloader.tell("remove", id);
        }
        let again = downloader.call("downloads.add", params.clone()).unwrap();
        assert_eq!(again, json!({"id": id, "repeated": true}));
        for (name, value) in [
            ("source", json!(source.url("other"))),
            ("output", json!("o")),
            ("limit", json!(0)),
            ("force", json!(true)),
        ] {
            let mut other = params.clone();
            other[name] = value;
            let refused = downloader.call("downloads.add", other).unwrap_err();
            assert_eq!(refused["data"]["kind"], "key_conflict", "{name}: {refused}");
        }
    }
    assert_eq!(source.gets().len(), 20, "each was fetched once");
    assert_eq!(downloader.listed(&[]).len(), 19);
}

/// As many callers as there are items, each with a session of its own, let go at once; what each was answered.
fn at_once<T: Sync>(
    downloader: &Downloader,
    items: &[T],
    ask: impl Fn(&mut Control, &T) -> Result<Value, Value> + Sync,
) -> Vec<Result<Value, Value>> {
    let (barrier, socket) = (Barrier::new(items.len()), downloader.node.socket());
    let (barrier, socket, ask) = (&barrier, &socket, &ask);
    std::thread::scope(|scope| {
        let caller = |item| {
            scope.spawn(move || {
                let mut session = Control::connect(socket);
                barrier.wait();
                ask(&mut session, item)
            })
        };
        let callers: Vec<_> = items.iter().map(caller).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

#[test]
fn all_who_ask_the_same_at_once_are_answered() {
    let mut downloader = Downloader::new();
    let source = stalling();
    for (verb, state) in [("pause", "paused"), ("cancel", "cancelled"), ("remove", "")] {
        let id = downloader.add(&source.url("1"));
        downloader.until(id, "some of it is there", |shown| shown["bytes"] == 1000);
        let answers = at_once(&downloader, &[(); 12], |session, ()| {
            session.call(&format!("downloads.{verb}"), json!({ "id": id }))
        });
        for answer in &answers {
            match answer {
                Ok(shown) if !state.is_empty() => assert_eq!(shown["state"], state, "{verb}"),
                Ok(_) => {}
                Err(refused) => assert_eq!((verb, &refused["data"]["kind"]), ("remove", &json!("not_found"))),
            }
        }
        assert!(answers.iter().any(Result::is_ok), "{answers:?}");
        let words = downloader.words(id);
        let last = words.last().unwrap();
        assert_eq!(words.iter().filter(|word| *word == last).count(), 1, "it happened once: {words:?}");
    }
}

#[test]
fn whatever_is_asked_at_once_the_log_tells_how_it_stands() {
    let mut random = Random::new("whatever_is_asked_at_once_the_log_tells_how_it_stands");
    let mut downloader = Downloader::new();
    let content = bytes(1, 4 * MIB);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).rate(MIB as u64));
    let id = downloader.add(&source.url("f"));
    for round in 0..12 {
        let verbs: Vec<&str> = (0..6)
            .map(|_| ["pause", "resume", "retry", "cancel", "limit"][random.below(5) as usize])
            .collect();
        at_once(&downloader, &verbs, |session, verb| match *verb {
            "limit" => session.call("downloads.limit", json!({"id": id, "limit": 50_000_000})),
            verb => session.call(&format!("downloads.{verb}"), json!({ "id": id })),
        });
        let shown = downloader.show(id);
        let words = downloader.words(id);
        let last = words.iter().rfind(|word| *word != "restarted").unwrap();
        // It may have gone on since.
        let is_so = shown["state"] == last.as_str()
            || ["queued", "active", "verifying", "done"].contains(&last.as_str());
        assert!(is_so, "{verbs:?}: {shown} after {words:?}");
        if round % 4 == 3 && ["paused", "cancelled", "failed"].iter().any(|state| shown["state"] == *state) {
            downloader.kill();
            assert_eq!(downloader.show(id)["state"], shown["state"], "what was told is so after a kill, too");
        }
    }
    source.hurry();
    for verb in ["resume", "retry"] {
        let _ = downloader.call(&format!("downloads.{verb}"), json!({ "id": id })); // one of them fits
    }
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "after all that");
    assert_eq!(downloader.names(), ["f"]);
}

#[test]
fn what_does_not_fit_the_state_is_refused() {
    let mut downloader = Downloader::with("active = 1");
    let source = stalling();
    let (active, queued) = (downloader.add(&source.url("1")), downloader.add(&source.url("2")));
    downloader.state(active, "active");
    // What is so already, stays so.
    for (verb, id) in [("retry", active), ("retry", queued), ("resume", active), ("resume", queued)] {
        let before = downloader.show(id);
        let answered = downloader.call(&format!("downloads.{verb}"), json!({ "id": id }));
        assert!(answered.is_ok_and(|shown| shown["state"] == before["state"]), "{verb}");
        let after = downloader.show(id);
        assert_eq!((&before["state"], &before["changed"]), (&after["state"], &after["changed"]), "{verb}");
    }
    source.go_on();
    downloader.done(queued);
    let mut refused = |verb: &str, id: u64| {
        let error = downloader.call(&format!("downloads.{verb}"), json!({ "id": id })).unwrap_err();
        assert_ne!(error["data"]["kind"], "internal_error", "{verb}: {error}");
        assert_eq!(downloader.show(id)["state"], "done", "{verb}");
    };
    for verb in ["pause", "resume", "retry", "cancel"] {
        refused(verb, active);
    }
    for bad in ["ftp://a/b", "file:///etc/passwd", "http://", "tcp://a:0/x", "x", "http://u:p@a/b", ""] {
        let refused = downloader.try_add(bad, json!({})).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_params", "{bad}: {refused}");
    }
}

#[test]
fn status_counts_what_is_to_be_done() {
    let mut downloader = Downloader::with("active = 1");
    let source = stalling();
    let ids: Vec<u64> = (0..3).map(|n| downloader.add(&source.url(&n.to_string()))).collect();
    downloader.state(ids[0], "active");
    let status = downloader.node.status()["downloads"].take();
    assert_eq!((&status["active"], &status["waiting"]), (&json!(1), &json!(2)), "{status}");
    downloader.tell("pause", ids[1]);
    let status = downloader.node.status()["downloads"].take();
    assert_eq!((&status["waiting"], &status["paused"]), (&json!(1), &json!(1)), "{status}");
    downloader.tell("resume", ids[1]);
    source.go_on();
    for &id in &ids {
        downloader.done(id);
    }
    let shown = downloader.show(ids[0]);
    assert_eq!(shown["blake3"], blake3(&numbered("0")));
}
