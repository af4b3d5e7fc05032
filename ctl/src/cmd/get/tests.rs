//! What `get` asks a stand-in for netkitd for, and what it makes of its answers.

use super::*;
use crate::fake::Fake;
use crate::wait::Signals;
use clap::Parser;
use serde_json::{Value, json};
use std::io::{Read, Seek};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn resolved(line: &str) -> Outcome<Settings> {
    let line = Line::try_parse_from(["get"].into_iter().chain(line.split(' '))).unwrap();
    resolve(line.args, false, true)
}

/// What `get` with this line makes of `fake`: how it ended, what it printed.
fn get(fake: &Fake, line: &str) -> (Option<Exit>, String) {
    let mut file = tempfile::tempfile().unwrap();
    let out = Out::to(file.try_clone().unwrap());
    let settings = resolved(line).unwrap();
    let context = Context { socket: fake.socket(), json: false };
    let outcome = match settings.wait {
        None => queue(&context, &settings, out),
        Some(terms) => {
            let terms = Terms { live: false, ..terms };
            queue_and_wait(Vigil::begin(&context, Signals::made_up().0, out, terms).unwrap(), &settings)
        }
    };
    let mut printed = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut printed).unwrap();
    (outcome.err().map(|failure| failure.exit), printed)
}

#[test]
fn what_can_not_be_meant_is_refused_before_anything_is_queued() {
    let sum = format!("md5:{}", "0".repeat(32));
    for (line, is_taken) in [
        ("http://a/x -o x".to_owned(), true),
        ("http://a/x http://a/y -o x".to_owned(), false),
        ("http://a/x http://a/y -o x/".to_owned(), true),
        (format!("http://a/x --checksum {sum}"), true),
        (format!("http://a/x http://a/y --checksum {sum}"), false),
        (format!("http://a/x --key {}", "k".repeat(limits::KEY)), true),
        (format!("http://a/x http://a/y --key {}", "k".repeat(limits::KEY)), false),
    ] {
        let exit = resolved(&line).err().map(|failure| failure.exit);
        assert_eq!(exit, (!is_taken).then_some(Exit::Usage), "{line}");
    }
    for (line, within) in [
        ("http://a/x", None),
        ("--wait http://a/x", Some(None)),
        ("--wait=1.5 http://a/x", Some(Some(Duration::from_millis(1500)))),
    ] {
        assert_eq!(resolved(line).unwrap().wait.map(|terms| terms.within), within, "{line}");
    }
}

#[test]
fn all_that_was_asked_for_reaches_netkitd() {
    let fake = Fake::with(&[]);
    let (exit, printed) = get(&fake, "http://a/x http://a/y -o isos/ --limit 5M --force --key k");
    assert_eq!((exit, printed.as_str()), (None, "1\n2\n"));
    let added = |source: &str, key: &str| -> Value {
        json!({ "verb": "add", "source": source, "output": "isos/", "limit": 5_000_000,
            "force": true, "key": key })
    };
    assert_eq!(fake.state().changes, [added("http://a/x", "k:1"), added("http://a/y", "k:2")]);
}

#[test]
fn a_source_that_fails_stops_no_other() {
    for (sources, exit, printed) in [
        ("http://a/refuse http://a/x", Some(Exit::Refused), "1\n"),
        ("http://a/x bob:s/missing http://a/missing", Some(Exit::NotFound), "1\n"),
        ("http://a/full http://a/missing", Some(Exit::Failed), ""),
    ] {
        assert_eq!(get(&Fake::with(&[]), sources), (exit, printed.to_owned()), "{sources}");
    }
    let many = vec!["http://a/x"; limits::RPC_BATCH + 1].join(" ");
    assert_eq!(get(&Fake::with(&[]), &many).1.lines().count(), limits::RPC_BATCH + 1);
}

#[test]
fn waiting_notices_what_was_done_before_and_counts_every_failure() {
    for (line, exit, printed) in [
        ("--wait=20 http://a/done", None, "/d/1.iso\n"),
        ("--wait=20 http://a/failed", Some(Exit::Unverified), ""),
        ("--wait=20 http://a/done http://a/refuse", Some(Exit::Refused), "/d/1.iso\n"),
        ("--wait=20 http://a/failed http://a/refuse", Some(Exit::Failed), ""),
        ("--wait=0 http://a/x http://a/done", Some(Exit::Unfinished), "/d/2.iso\n"),
        ("--wait=0 http://a/paused", Some(Exit::Unfinished), ""),
        ("--wait=0 http://a/x http://a/failed", Some(Exit::Failed), ""),
    ] {
        assert_eq!(get(&Fake::with(&[]), line), (exit, printed.to_owned()), "{line}");
    }
}

#[test]
fn a_netkitd_that_dies_while_it_is_asked_is_told() {
    for line in ["http://a/x", "--wait=20 http://a/x"] {
        let fake = Fake::with(&[]);
        fake.state().die_at = Some("downloads.add");
        assert_eq!(get(&fake, line), (Some(Exit::Unreachable), String::new()), "{line}");
    }
}
