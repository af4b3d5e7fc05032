//! Whole tails against a stand-in for netkitd.

use super::*;
use crate::fake::Fake;
use settings::resolve;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What a tail with these flags makes of `fake`'s log: how it ended and what it printed.
fn tail(fake: &Fake, args: Args) -> (Outcome, String) {
    let mut file = tempfile::tempfile().unwrap();
    let outcome = open(fake, Args { output: args.output.or(text()), ..args }, &file).run();
    let mut printed = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut printed).unwrap();
    (outcome, printed)
}

fn open(fake: &Fake, args: Args, out: &File) -> Tail {
    let settings = resolve(args, false, &now()).unwrap();
    let sink = Sink::new(Out::to(out.try_clone().unwrap()), &settings);
    let client = Client::connect(&fake.socket()).unwrap();
    Tail::new(fake.socket(), client, settings, sink, Signals::catch().unwrap())
}

fn in_thread(fake: &Arc<Fake>, args: Args) -> JoinHandle<(Outcome, String)> {
    let fake = Arc::clone(fake);
    std::thread::spawn(move || tail(&fake, args))
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the flag")]
fn text() -> Option<crate::format::Format> {
    Some(crate::format::Format::Cat)
}

fn cursor() -> Args {
    Args { cursor: Some("c".parse().unwrap()), ..Args::default() }
}

#[test]
fn the_last_ones_are_found_however_far_back_and_come_in_order() {
    let fake = Fake::with(&["a1", "b", "a2", "c", "d", "a3", "e"]);
    for (args, expected) in [
        (Args { last: Some(3), ..Args::default() }, "d\na3\ne\n"),
        (Args { last: Some(2), grep: Some("^a".into()), ..Args::default() }, "a2\na3\n"),
        (Args { last: Some(9), grep: Some("^a".into()), ..Args::default() }, "a1\na2\na3\n"),
        (Args { last: Some(0), ..Args::default() }, ""),
        (Args { count: Some(2), ..Args::default() }, "a1\nb\n"),
        (Args { since: Some("2026-11-20".into()), ..Args::default() }, "a1\nb\na2\nc\nd\na3\ne\n"),
    ] {
        let (outcome, printed) = tail(&fake, args);
        assert_eq!((outcome, printed.as_str()), (Ok(()), expected));
    }
}

#[test]
fn a_cursor_goes_on_where_it_was() {
    let fake = Fake::with(&["one", "two", "three"]);
    let (outcome, printed) = tail(&fake, Args { count: Some(2), ..cursor() });
    assert_eq!((outcome, printed.as_str()), (Ok(()), "one\ntwo\n"));
    assert_eq!(fake.state().cursors["c"], 2);
    assert_eq!(tail(&fake, cursor()).1, "three\n");
    assert_eq!(tail(&fake, cursor()).1, "");
    fake.receive("noise");
    assert_eq!(tail(&fake, Args { grep: Some("never".into()), ..cursor() }).1, "");
    assert_eq!(fake.state().cursors["c"], 4, "what was filtered out is done with too");
}

#[test]
fn a_new_cursor_with_n_starts_at_the_end() {
    let fake = Fake::with(&["one", "two", "three"]);
    assert_eq!(tail(&fake, Args { last: Some(1), ..cursor() }).1, "three\n");
    assert_eq!(fake.state().cursors["c"], 3);
}

#[test]
fn a_restart_repeats_nothing_and_loses_nothing() {
    for die_at in
        [None, Some("events.read"), Some("events.subscribe"), Some("cursors.commit"), Some("cursors.open")]
    {
        for args in [cursor(), Args { last: Some(10), ..Args::default() }] {
            if args.cursor.is_none() && die_at.is_some_and(|method| method.starts_with("cursors")) {
                continue;
            }
            let fake = Arc::new(Fake::with(&["one", "two", "three"]));
            let moves = args.cursor.is_some();
            fake.state().die_at = die_at;
            let running = in_thread(&fake, Args { follow: true, count: Some(6), ..args });
            fake.until(|state| state.calls.iter().any(|call| call == "events.subscribe"));
            fake.receive("four");
            fake.die();
            fake.receive("five");
            fake.receive("six");
            let (outcome, printed) = running.join().unwrap();
            assert_eq!(
                (outcome, printed.as_str()),
                (Ok(()), "one\ntwo\nthree\nfour\nfive\nsix\n"),
                "{die_at:?}"
            );
            assert_eq!(fake.state().cursors.get("c").copied(), moves.then_some(6));
        }
    }
}

#[test]
fn a_commit_that_was_lost_is_made_up_for_at_the_end() {
    let fake = Fake::with(&["one", "two"]);
    fake.state().die_at = Some("cursors.commit");
    let (outcome, printed) = tail(&fake, cursor());
    assert_eq!(printed, "one\ntwo\n");
    assert_eq!(outcome.map_err(|f| f.exit), Err(Exit::Unreachable), "it does not follow, so it ends");
    assert_eq!(fake.state().cursors["c"], 2);
}

#[test]
fn time_that_is_up_has_its_own_exit_code() {
    let fake = Fake::with(&["one"]);
    let within = Some(Duration::from_millis(20));
    let (outcome, printed) = tail(&fake, Args { within, ..Args::default() });
    assert_eq!((outcome, printed.as_str()), (Err(Failure::silent(Exit::Unfinished)), "one\n"));
    let until = Some("2026-11-20".into());
    assert_eq!(
        tail(&fake, Args { until, follow: true, ..Args::default() }).0,
        Ok(()),
        "nothing more can come"
    );
}

#[test]
fn a_command_that_fails_holds_the_cursor() {
    let fake = Fake::with(&["one", "two", "three"]);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let exec = |command: &str| Args { exec: Some(format!("{command} >> {}", log.display())), ..cursor() };
    let (outcome, _) =
        tail(&fake, exec("read t; [ $t != two ] && echo $t $NETKIT_SEQ $NETKIT_PEER $NETKIT_VERIFIED"));
    assert_eq!(outcome.map_err(|f| f.exit), Err(Exit::Failed));
    assert_eq!(fake.state().cursors["c"], 1);
    assert_eq!(tail(&fake, exec("cat")).0, Ok(()));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "one 1 udp://10.0.0.9:9 false\ntwo\nthree\n");
}

#[test]
fn a_command_dies_of_a_broken_pipe() {
    let fake = Fake::with(&["one"]);
    // 13 is SIGPIPE. Were it ignored, as Rust has it in its own processes, yes would write an error and exit with 1.
    let command = r#"{ yes; echo $? >&3; } 3>"$F" | true; read s < "$F"; [ "$s" = 141 ]"#;
    let dir = tempfile::tempdir().unwrap();
    let exec = Some(format!("F={}; {command}", dir.path().join("status").display()));
    assert_eq!(tail(&fake, Args { exec, ..Args::default() }).0, Ok(()));
}

#[test]
fn another_log_is_started_anew() {
    let fake = Arc::new(Fake::with(&["one", "two"]));
    let running = in_thread(&fake, Args { follow: true, count: Some(3), ..Args::default() });
    fake.until(|state| state.calls.iter().any(|call| call == "events.subscribe"));
    fake.state().epoch += 1;
    fake.die();
    let subscribed =
        |state: &crate::fake::State| state.calls.iter().filter(|c| *c == "events.subscribe").count();
    fake.until(|state| subscribed(state) == 2);
    fake.receive("three");
    assert_eq!(running.join().unwrap().1, "one\ntwo\nthree\n");
}

#[test]
fn a_peer_is_filtered_by_what_netkitd_calls_it() {
    let fake = Fake::with(&[]);
    fake.state().add_peer("bob", serde_json::json!({ "peer": "bob~bbbbbb" }));
    let mut client = Client::connect(&fake.socket()).unwrap();
    for (typed, expected) in
        [("bob", "bob~bbbbbb"), ("carol", "carol"), ("@ops", "@ops"), ("udp://10.0.0.9", "udp://10.0.0.9")]
    {
        assert_eq!(as_events_name_it(&mut client, typed).unwrap(), expected);
    }
    fake.state().add_peer("bob", serde_json::json!({ "peer": "bob~cccccc" }));
    assert_eq!(as_events_name_it(&mut client, "bob").unwrap_err().exit, Exit::Refused);
}
