//! Whole waits against a stand-in for netkitd.

use super::*;
use crate::exit::Exit;
use crate::fake::{Fake, State};
use crate::output::Out;
use netkit_proto::rpc::call::DownloadsAdd;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

fn context(fake: &Fake, json: bool) -> Context {
    Context { socket: fake.socket(), json }
}

/// Begins to wait, for what the stand-in is told to make of them, and gives how it ended and what was printed.
struct Run {
    signals: Signals,
    terms: Terms,
}

impl Run {
    fn new() -> Run {
        // A wait that hangs is a failure of the test.
        let terms = Terms { within: Some(Duration::from_secs(20)), ..Terms::default() };
        Run { signals: Signals::made_up().0, terms }
    }

    /// Waits for `ids` while `meanwhile` happens.
    fn of(self, fake: &Fake, ids: &[u64], meanwhile: impl FnOnce() + Send) -> (Outcome, String) {
        let mut file = tempfile::tempfile().unwrap();
        let outcome = std::thread::scope(|scope| {
            let out = file.try_clone().unwrap();
            let running = scope.spawn(move || {
                let context = context(fake, self.terms.json);
                let mut vigil = Vigil::begin(&context, self.signals, Out::to(out), self.terms).unwrap();
                ids.iter().for_each(|&id| vigil.add(id));
                vigil.wait()
            });
            meanwhile();
            running.join().unwrap()
        });
        (outcome, read(&mut file))
    }
}

fn read(file: &mut File) -> String {
    let mut printed = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut printed).unwrap();
    printed
}

/// Waits until it was asked for so many times how a download stands.
fn asked(fake: &Fake, times: usize) {
    fake.until(|state| state.calls.iter().filter(|call| *call == "downloads.show").count() >= times);
}

fn exit(outcome: &Outcome) -> Option<Exit> {
    outcome.as_ref().err().map(|failure| failure.exit)
}

#[test]
fn every_end_has_its_exit_code() {
    for (kind, code) in [
        ("checksum", Exit::Unverified),
        ("no_space", Exit::NoSpace),
        ("not_found", Exit::NotFound),
        ("name_resolution", Exit::NotFound),
        ("permission", Exit::Refused),
        ("tls", Exit::Refused),
        ("network", Exit::Failed),
        ("of_the_future", Exit::Failed),
    ] {
        let fake = Fake::with(&[]);
        fake.holds(1, "active");
        let error = json!({ "kind": kind, "message": "no" });
        let (outcome, printed) = Run::new().of(&fake, &[1], || {
            asked(&fake, 1);
            fake.state().happens_with("failed", 1, json!({ "source": "http://a/x", "error": error }));
        });
        assert_eq!((outcome, printed.as_str()), (Err(Failure::silent(code)), ""), "{kind}");
    }
    for kind in ["cancelled", "removed"] {
        let fake = Fake::with(&[]);
        fake.holds(1, "active");
        let (outcome, _) = Run::new().of(&fake, &[1], || {
            asked(&fake, 1);
            fake.happens(kind, 1);
        });
        assert_eq!(outcome, Err(Failure::silent(Exit::Failed)), "{kind}");
    }
}

#[test]
fn paths_are_printed_as_files_are_complete() {
    let fake = Fake::with(&[]);
    [1, 2, 3].iter().for_each(|&id| fake.holds(id, "active"));
    let (outcome, printed) = Run::new().of(&fake, &[1, 2, 3], || {
        asked(&fake, 3);
        for kind in ["retry_wait", "active", "restarted", "paused", "queued", "active", "verifying", "done"] {
            fake.happens(kind, 2);
        }
        fake.happens("done", 1);
        fake.happens("done", 9); // of somebody else
        fake.happens("failed", 3);
    });
    assert_eq!((exit(&outcome), printed.as_str()), (Some(Exit::Failed), "/d/2.iso\n/d/1.iso\n"));
}

#[test]
fn json_is_what_netkitd_knows_of_the_download() {
    let fake = Fake::with(&[]);
    fake.holds(1, "active");
    fake.holds(2, "active");
    let run = Run { terms: Terms { json: true, ..Run::new().terms }, ..Run::new() };
    let (outcome, printed) = run.of(&fake, &[1, 2], || {
        asked(&fake, 2);
        fake.happens("done", 1);
        asked(&fake, 3);
        // Removed at once: the event is all that is left of it.
        let mut state = fake.state();
        state.downloads.remove(&2);
        state.happens_with(
            "done",
            2,
            json!({ "source": "s", "path": "/d/2", "bytes": 9, "verified": true, "blake3": "00" }),
        );
    });
    assert_eq!(outcome, Ok(()));
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], fake.state().downloads[&1]);
    assert_eq!((&lines[1]["path"], &lines[1]["state"]), (&json!("/d/2"), &json!("done")));
}

#[test]
fn what_had_ended_before_is_noticed() {
    for (state, expected, printed) in [
        ("done", None, "/d/1.iso\n"),
        ("failed", Some(Exit::Unverified), ""),
        ("cancelled", Some(Exit::Failed), ""),
    ] {
        let fake = Fake::with(&[]);
        fake.holds(1, state);
        let (outcome, found) = Run::new().of(&fake, &[1], || {});
        assert_eq!((exit(&outcome), found.as_str()), (expected, printed), "{state}");
    }
    let (outcome, _) = Run::new().of(&Fake::with(&[]), &[7], || {});
    assert_eq!(exit(&outcome), Some(Exit::NotFound));
}

#[test]
fn a_restart_of_netkitd_ends_no_wait() {
    for die_at in [None, Some("downloads.show"), Some("events.subscribe")] {
        let fake = Fake::with(&[]);
        fake.holds(1, "active");
        fake.holds(2, "active");
        let (outcome, printed) = Run::new().of(&fake, &[1, 2], || {
            if die_at == Some("downloads.show") {
                fake.until(|state| !state.calls.is_empty());
            } else {
                asked(&fake, 2);
            }
            fake.state().die_at = die_at;
            fake.die();
            fake.happens("done", 1);
            fake.until(|state| state.calls.iter().filter(|call| *call == "events.subscribe").count() > 1);
            fake.happens("done", 2);
        });
        assert_eq!((outcome, printed.as_str()), (Ok(()), "/d/1.iso\n/d/2.iso\n"), "{die_at:?}");
    }
}

#[test]
fn after_a_restored_backup_netkitd_is_asked_again() {
    let fake = Fake::with(&["x"]);
    [1, 2, 3].iter().for_each(|&id| fake.holds(id, "active"));
    let (outcome, printed) = Run::new().of(&fake, &[1, 2, 3], || {
        asked(&fake, 3);
        fake.holds(1, "done");
        fake.state().downloads.remove(&2);
        // The number was given to another download.
        fake.holds(3, "done");
        fake.state().downloads.get_mut(&3).unwrap()["added"] = json!("2026-11-24T08:00:00.000Z");
        fake.come_back_restored();
    });
    assert_eq!((exit(&outcome), printed.as_str()), (Some(Exit::Failed), "/d/1.iso\n"));
}

#[test]
fn a_gap_is_filled_by_asking() {
    let fake = Fake::with(&[]);
    fake.holds(1, "active");
    let (outcome, printed) = Run::new().of(&fake, &[1], || {
        asked(&fake, 1);
        fake.holds(1, "done");
        fake.state().gap();
    });
    assert_eq!((outcome, printed.as_str()), (Ok(()), "/d/1.iso\n"));
}

#[test]
fn what_is_drawn_is_asked_for_and_ends_a_wait_like_an_event() {
    let fake = Fake::with(&[]);
    fake.holds(1, "active");
    let run = Run { terms: Terms { live: true, ..Run::new().terms }, ..Run::new() };
    let (outcome, printed) = run.of(&fake, &[1], || {
        asked(&fake, 3);
        fake.holds(1, "done"); // and no event tells it
    });
    assert_eq!((outcome, printed.as_str()), (Ok(()), "/d/1.iso\n"));
}

#[test]
fn time_that_is_up_leaves_the_download_alone() {
    let fake = Fake::with(&[]);
    fake.holds(1, "active");
    fake.holds(2, "done");
    let terms = Terms { within: Some(Duration::ZERO), ..Terms::default() };
    let (outcome, printed) = Run { terms, ..Run::new() }.of(&fake, &[1, 2], || {});
    let failure = outcome.unwrap_err();
    assert_eq!((failure.exit, printed.as_str()), (Exit::Unfinished, "/d/2.iso\n"));
    assert!(failure.hint.unwrap().contains("netkitctl queue wait 1"));
    assert!(fake.state().changes.is_empty());
}

#[test]
fn a_signal_leaves_at_once_also_while_netkitd_is_away() {
    for (away, code) in [(false, Exit::Interrupted), (true, Exit::Terminated)] {
        let fake = Fake::with(&[]);
        fake.holds(1, "active");
        let (signals, make) = Signals::made_up();
        let (outcome, _) = Run { signals, ..Run::new() }.of(&fake, &[1], || {
            asked(&fake, 1);
            if away {
                std::fs::remove_file(fake.socket()).unwrap();
                fake.die();
            }
            make(code);
        });
        assert_eq!(outcome, Err(Failure::silent(code)));
        assert!(fake.state().changes.is_empty(), "the download goes on");
    }
}

#[test]
fn a_reader_that_left_does_not_change_how_it_ended() {
    for (end, expected) in [("done", Ok(())), ("failed", Err(Failure::silent(Exit::Failed)))] {
        let fake = Fake::with(&[]);
        fake.holds(1, "done");
        fake.holds(2, "active");
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(reader);
        let out = Out::to(File::from(std::os::fd::OwnedFd::from(writer)));
        let mut vigil =
            Vigil::begin(&context(&fake, false), Signals::made_up().0, out, Run::new().terms).unwrap();
        vigil.add(1);
        vigil.add(2);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                asked(&fake, 2);
                fake.happens(end, 2);
            });
            vigil.wait()
        });
        assert_eq!(outcome, expected);
    }
}

#[test]
fn pages_are_read_to_the_end() {
    let fake = Fake::with(&[]);
    (1..=5).for_each(|id| fake.holds(id, if id == 3 { "failed" } else { "queued" }));
    let mut client = context(&fake, false).connect().unwrap();
    let ids = |found: Vec<Download>| found.iter().map(|download| download.id).collect::<Vec<_>>();
    assert_eq!(ids(all(&[], |page| client.call(page)).unwrap()), [1, 2, 3, 4, 5]);
    assert_eq!(ids(all(&unfinished(), |page| client.call(page)).unwrap()), [1, 2, 4, 5]);
    // A page without downloads ends it, whatever it says of more.
    let empty =
        |_: &DownloadsList| Ok::<_, CallError>(DownloadList { downloads: Vec::new(), more: true, limit: 0 });
    assert!(all(&[], empty).unwrap().is_empty());
}

#[test]
fn an_added_download_that_is_fast_is_not_missed() {
    let fake = Fake::with(&[]);
    let mut file = tempfile::tempfile().unwrap();
    let out = Out::to(file.try_clone().unwrap());
    let mut vigil =
        Vigil::begin(&context(&fake, false), Signals::made_up().0, out, Run::new().terms).unwrap();
    let request = DownloadsAdd {
        source: "http://a/x".into(),
        output: None,
        checksum: None,
        limit: 0,
        force: false,
        key: None,
    };
    let added = vigil.listener.client().call(&request).unwrap();
    // Done and forgotten before anybody asks.
    fake.happens("done", added.id);
    fake.happens("removed", added.id);
    vigil.add(added.id);
    assert_eq!(vigil.wait(), Ok(()));
    assert_eq!(read(&mut file), "/d/1.iso\n");
}

impl State {
    fn gap(&mut self) {
        self.publish(json!({ "kind": "gap", "from": 1, "to": 1, "lost": 1 }));
    }
}
