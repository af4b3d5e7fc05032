//! Whole sends against a stand-in for netkitd.

use super::*;
use crate::fake::Fake;
use clap::Parser;
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread::JoinHandle;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn send(fake: &Fake, line: &str) -> Outcome {
    let args = Line::try_parse_from(["send"].into_iter().chain(line.split(' '))).unwrap().args;
    run(&Context { socket: fake.socket(), json: false }, args)
}

fn in_thread(fake: &Arc<Fake>, line: &'static str) -> JoinHandle<Outcome> {
    let fake = Arc::clone(fake);
    std::thread::spawn(move || send(&fake, line))
}

/// Waits until the message is committed; its number.
fn committed(fake: &Fake) -> u64 {
    fake.until(|state| state.calls.iter().any(|call| call == "chat.send"));
    fake.state().events.len() as u64 + 1
}

fn with(members: Value, message: u64) -> Value {
    let mut event = members;
    event["message"] = json!(message);
    event
}

fn delivered(messages: &[u64], peer: &str) -> Value {
    json!({ "kind": "message.delivered", "messages": messages, "peer": peer })
}

#[test]
fn delivered_is_what_the_peer_says_is_on_its_disk() {
    let fake = Arc::new(Fake::with(&["before"]));
    let sending = in_thread(&fake, "--wait bob hi");
    let message = committed(&fake);
    fake.state().publish(delivered(&[1], "bob"));
    fake.state().publish(json!({ "kind": "message.sent", "message": message, "peer": "bob" }));
    fake.state().publish(delivered(&[message], "bob"));
    assert_eq!(sending.join().unwrap(), Ok(()));
    let calls = fake.state().calls.clone();
    assert_eq!(calls, ["events.subscribe", "chat.send"], "at once, and nothing happens in between");
}

#[test]
fn what_is_not_there_in_time_says_why() {
    let fake = Fake::with(&[]);
    fake.state().add_peer("bob", json!({ "trouble": "10.0.0.9:7890: connection refused" }));
    let failure = send(&fake, "--wait=0 bob hi").unwrap_err();
    assert_eq!(failure.exit, Exit::Unfinished);
    assert_eq!(failure.message, "message 1 was not delivered in time: 10.0.0.9:7890: connection refused");
    assert!(failure.hint.unwrap().starts_with("still queued"));
}

#[test]
fn a_refused_message_ends_with_5_and_an_expired_one_with_6() {
    for (event, exit) in [
        (json!({ "kind": "message.refused", "peer": "bob", "reason": "no" }), Exit::Refused),
        (json!({ "kind": "message.expired", "peer": "bob", "maybe_delivered": false }), Exit::Unfinished),
    ] {
        let fake = Arc::new(Fake::with(&[]));
        let sending = in_thread(&fake, "--wait bob hi");
        let message = committed(&fake);
        fake.state().publish(with(event, message));
        assert_eq!(sending.join().unwrap(), Err(Failure::silent(exit)));
    }
}

#[test]
fn a_room_names_those_whom_it_did_not_reach() {
    let fake = Arc::new(Fake::with(&[]));
    fake.state().members = vec!["alice".into(), "bob".into(), "carol".into()];
    let sending = in_thread(&fake, "--wait=0.5 @ops hi");
    let message = committed(&fake);
    fake.state().publish(delivered(&[message], "bob"));
    let failure = sending.join().unwrap().unwrap_err();
    assert_eq!(failure.exit, Exit::Unfinished);
    assert_eq!(failure.message, "message 1 did not reach alice, carol in time");
}

#[test]
fn a_message_that_was_sent_before_is_waited_for_from_its_number_on() {
    let fake = Fake::with(&[]);
    fake.state().publish(
        json!({ "kind": "message.queued", "peer": "@ops", "room": "ops", "to": ["bob"], "text": "hi",
            "expires": "2026-11-30T08:00:00.000Z" }),
    );
    fake.state().publish(delivered(&[1], "bob"));
    fake.state().repeats = Some(1);
    fake.state().members = vec!["bob".into(), "newcomer".into()];
    assert_eq!(send(&fake, "--wait=30 --key k @ops hi"), Ok(()));
}

#[test]
fn nobody_of_that_name_is_not_found() {
    let fake = Fake::with(&[]);
    for (kind, exit) in [("not_found", Exit::NotFound), ("refused", Exit::Refused)] {
        fake.state().fails = Some(("chat.send", kind));
        assert_eq!(send(&fake, "--wait bob hi").unwrap_err().exit, exit);
    }
}

#[test]
fn where_nothing_can_be_followed_that_is_told() {
    let fake = Fake::with(&[]);
    fake.state().fails = Some(("events.subscribe", "busy"));
    let failure = send(&fake, "--wait bob hi").unwrap_err();
    assert_ne!(failure.exit, Exit::Unreachable, "{failure:?}");
    assert_eq!(fake.state().calls, ["events.subscribe", "chat.send", "events.subscribe"]);
}
