//! What `queue` does to a stand-in for netkitd.

use super::*;
use crate::fake::Fake;
use crate::wait::Signals;
use clap::Parser;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek};
use watch::Watch;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn context(fake: &Fake) -> Context {
    Context { socket: fake.socket(), json: false }
}

fn exit(outcome: &Outcome) -> Option<Exit> {
    outcome.as_ref().err().map(|failure| failure.exit)
}

fn queue(fake: &Fake, line: &str) -> Option<Exit> {
    let line = Line::try_parse_from(["queue"].into_iter().chain(line.split(' '))).unwrap();
    exit(&run(&context(fake), line.args))
}

fn filled() -> Fake {
    let fake = Fake::with(&[]);
    let states = ["queued", "active", "paused", "retry_wait", "verifying", "done", "failed", "cancelled"];
    (1..).zip(states).for_each(|(id, state)| fake.holds(id, state));
    fake
}

fn read(file: &mut File) -> String {
    let mut printed = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut printed).unwrap();
    printed
}

#[test]
fn what_is_asked_for_is_done_to_each() {
    for (line, expected, changes) in [
        ("pause 1 2", None, vec![json!({ "verb": "pause", "id": 1 }), json!({ "verb": "pause", "id": 2 })]),
        (
            "pause 9 2",
            Some(Exit::NotFound),
            vec![json!({ "verb": "pause", "id": 9 }), json!({ "verb": "pause", "id": 2 })],
        ),
        ("resume --all", None, vec![json!({ "verb": "resume", "id": 3 })]),
        ("retry --all", None, vec![json!({ "verb": "retry", "id": 7 })]),
        ("pause --all", None, [1, 2, 4].map(|id| json!({ "verb": "pause", "id": id })).to_vec()),
        ("cancel --all", None, [1, 2, 3, 4, 5].map(|id| json!({ "verb": "cancel", "id": id })).to_vec()),
        ("remove --all", None, [6, 7, 8].map(|id| json!({ "verb": "remove", "id": id })).to_vec()),
        ("move 1 last", None, vec![json!({ "verb": "move", "id": 1, "to": "last" })]),
        ("move 1 after 2", None, vec![json!({ "verb": "move", "id": 1, "to": { "after": 2 } })]),
        ("move 1 first 2", Some(Exit::Usage), vec![]),
        ("limit 5M", None, vec![json!({ "verb": "limit", "limit": 5_000_000 })]),
        ("limit default", None, vec![json!({ "verb": "limit" })]),
        ("limit 0 1", None, vec![json!({ "verb": "limit", "id": 1, "limit": 0 })]),
        ("limit 0 9", Some(Exit::NotFound), vec![json!({ "verb": "limit", "id": 9, "limit": 0 })]),
        ("limit default 1", Some(Exit::Usage), vec![]),
        ("-q pause 1", Some(Exit::Usage), vec![]),
        ("show 9", Some(Exit::NotFound), vec![]),
    ] {
        let fake = filled();
        assert_eq!(queue(&fake, line), expected, "{line}");
        assert_eq!(fake.state().changes, changes, "{line}");
    }
}

#[test]
fn without_ids_it_waits_for_all_that_have_not_ended() {
    let fake = filled();
    let mut file = tempfile::tempfile().unwrap();
    let terms = Terms { within: Some(Duration::from_secs(20)), ..Terms::default() };
    let out = Out::to(file.try_clone().unwrap());
    let vigil = Vigil::begin(&context(&fake), Signals::made_up().0, out, terms).unwrap();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            let shown = |state: &crate::fake::State| {
                state.calls.iter().filter(|call| *call == "downloads.show").count()
            };
            fake.until(|state| shown(state) == 5);
            (1..=5).for_each(|id| fake.happens("done", id));
        });
        wait(vigil, &[])
    });
    assert_eq!(outcome, Ok(()), "that others failed before counts for nothing");
    assert_eq!(read(&mut file), "/d/1.iso\n/d/2.iso\n/d/3.iso\n/d/4.iso\n/d/5.iso\n");
}

#[test]
fn changes_are_printed_until_nothing_is_unfinished() {
    let fake = Fake::with(&[]);
    fake.holds(1, "active");
    fake.holds(2, "queued");
    fake.holds(3, "done");
    let mut file = tempfile::tempfile().unwrap();
    let out = Out::to(file.try_clone().unwrap());
    let watch = Watch::begin(&context(&fake), Signals::made_up().0, Vec::new()).unwrap();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            fake.until(|state| state.calls.iter().filter(|call| *call == "downloads.list").count() == 2);
            fake.happens("removed", 2);
            fake.die();
            fake.happens("done", 1);
        });
        watch.print(out)
    });
    assert_eq!(outcome, Ok(()));
    let printed = read(&mut file);
    let states = printed.lines().map(|line| {
        let download: Value = serde_json::from_str(line).unwrap();
        format!("{} {}", download["id"], download["state"].as_str().unwrap())
    });
    assert_eq!(states.collect::<Vec<_>>(), ["1 active", "2 queued", "3 done", "1 done"]);
}

#[test]
fn a_signal_ends_a_watch() {
    let fake = Fake::with(&[]);
    fake.holds(1, "active");
    let (signals, make) = Signals::made_up();
    let watch = Watch::begin(&context(&fake), signals, Vec::new()).unwrap();
    make(Exit::Interrupted);
    let outcome = watch.print(Out::to(tempfile::tempfile().unwrap()));
    assert_eq!(outcome, Err(Failure::silent(Exit::Interrupted)));
}
