//! `peers` against a stand-in for netkitd.

use super::*;
use crate::exit::Exit;
use crate::fake::Fake;
use clap::Parser;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::sync::Arc;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parsed(line: &str) -> Args {
    Line::try_parse_from(["peers"].into_iter().chain(line.split(' ').filter(|w| !w.is_empty()))).unwrap().args
}

fn context(fake: &Fake, json: bool) -> Context {
    Context { socket: fake.socket(), json }
}

/// What `run` printed.
fn printed(run: impl FnOnce(Out) -> Outcome) -> (Outcome, String) {
    let mut file: File = tempfile::tempfile().unwrap();
    let outcome = run(Out::to(file.try_clone().unwrap()));
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    (outcome, text)
}

fn list(fake: &Fake, line: &str, json: bool) -> String {
    let (outcome, text) = printed(|out| list::run(&context(fake, json), &parsed(line).list, out));
    assert_eq!(outcome, Ok(()));
    text
}

fn id(letter: &str) -> String {
    letter.repeat(51) + "a"
}

fn three() -> Fake {
    let fake = Fake::with(&[]);
    let at = |how: &str| json!([{ "address": "10.0.0.9:7890", "how": how }]);
    {
        let mut state = fake.state();
        state.add_peer(
            "bob",
            json!({ "linked": true, "trust": "trusted", "addresses": at("linked"), "rtt_ms": 0.71 }),
        );
        state.add_peer(
            "carol",
            json!({ "addresses": at("before"), "queued": 12, "seen": "2020-01-01T00:00:00Z" }),
        );
        state.add_peer(
            "eve",
            json!({ "peer": "eve~eeeeee", "trust": "new", "addresses":
            [{ "address": "[fe80::1]:7999", "how": "mdns" }] }),
        );
    }
    fake
}

#[test]
fn peers_are_listed_in_columns() {
    let fake = three();
    let table = list(&fake, "", false);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "NAME        ID      TRUST    FOUND   ADDRESS         SEEN       RTT  QUEUE");
    assert_eq!(lines[1], "bob         bbbbbb  trusted  linked  10.0.0.9        now     0.7 ms");
    let days = lines[2].split_whitespace().nth(5).unwrap();
    assert!(lines[2].starts_with("carol       cccccc  known    before  10.0.0.9        "), "{table}");
    assert!(days.parse::<u32>().unwrap() > 2000 && lines[2].ends_with("   12"), "{table}");
    assert_eq!(lines[3], "eve~eeeeee  eeeeee  new      mdns    [fe80::1]:7999");
    assert!(lines.iter().all(|line| line.len() <= 80));
    assert_eq!(list(&fake, "-q", false), "bob\ncarol\neve~eeeeee\n");
    fake.state().peers[0]["silent"] = json!(true);
    assert_eq!(
        list(&fake, "-l", false).lines().last(),
        Some("bob   bbbbbb  trusted  linked  10.0.0.9  no answer  0.7 ms")
    );
    assert_eq!(list(&fake, "-q --linked", false), "bob\n");
    assert_eq!(list(&fake, "-q --trust new --trust known", false), "carol\neve~eeeeee\n");
    let objects = list(&fake, "", true);
    let objects: Vec<Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), &objects[2]["peer"]), (3, &json!("eve~eeeeee")));
}

#[test]
fn hosts_where_nobody_is_are_listed_below() {
    let fake = three();
    fake.state().hosts = vec![
        json!({ "host": "10.0.0.9:7890", "configured": true, "id": id("b") }),
        json!({ "host": "10.0.0.10:7890", "configured": false, "trouble": "connection refused" }),
    ];
    let table = list(&fake, "", false);
    let (_, below) = table.split_once("\n\n").unwrap();
    assert_eq!(below, "HOST            FROM       TROUBLE\n10.0.0.10:7890  peers add  connection refused\n");
    assert!(list(&fake, "--hosts", false).contains("10.0.0.9:7890   configuration  bob"));
    assert_eq!(list(&fake, "--hosts", true).lines().count(), 2);
}

#[test]
fn this_box_and_others_are_shown() {
    let fake = three();
    let show = |line: &str, json| {
        let Some(What::Show(args)) = parsed(line).what else { panic!("{line}") };
        printed(|out| show::run(&context(&fake, json), &args, out))
    };
    let (outcome, me) = show("show me", false);
    assert_eq!(outcome, Ok(()));
    assert!(
        me.starts_with("name      box\nid        mmmm mmmm ") && me.ends_with("rooms     @ops\n"),
        "{me}"
    );
    assert!(show("show me --qr", false).1.contains('█'));
    let object: Value = serde_json::from_str(&show("show me", true).1).unwrap();
    assert_eq!(object["id"], id("m"));
    assert!(show("show bob", false).1.contains("\ntrust     trusted\n"));
    assert_eq!(show("show nobody", false).0.unwrap_err().exit, Exit::NotFound);
}

fn trust(fake: &Fake, line: &str, person: Option<&str>) -> Outcome {
    let Some(What::Trust(args)) = parsed(line).what else { panic!("{line}") };
    printed(|out| trust::run(&context(fake, false), &args, person.map(Cursor::new), out)).0
}

#[test]
fn trust_needs_the_whole_id_or_a_person_who_compares_it() {
    let fake = three();
    let exit = |outcome: Outcome| outcome.map_err(|failure| failure.exit);
    assert_eq!(exit(trust(&fake, "trust bob", None)), Err(Exit::Usage));
    assert_eq!(exit(trust(&fake, "trust bob abc", None)), Err(Exit::Usage));
    assert_eq!(exit(trust(&fake, "trust nobody", None)), Err(Exit::NotFound));
    assert!(fake.state().changes.is_empty());
    for (line, person, expected) in [
        (format!("trust bob {}", id("b")), None, Ok(())),
        (format!("trust bob {} {}", &id("b")[..26], id("b")[26..].to_uppercase()), None, Ok(())),
        (format!("trust bob {}", id("c")), None, Err(Exit::Refused)),
        (format!("trust {}", id("b")), None, Ok(())),
        ("trust bob --yes".to_owned(), None, Ok(())),
        ("trust carol".to_owned(), Some("Y\n"), Ok(())),
        ("trust eve".to_owned(), Some("\n"), Err(Exit::Failed)),
        ("trust eve".to_owned(), Some(""), Err(Exit::Failed)),
        ("trust nobody".to_owned(), Some("y\n"), Err(Exit::NotFound)),
    ] {
        assert_eq!(exit(trust(&fake, &line, person)), expected, "{line}");
    }
    let changes = fake.state().changes.clone();
    assert_eq!(changes.last().unwrap(), &json!(["peers.trust", { "peer": id("c"), "id": id("c") }]));
}

#[test]
fn of_several_that_failed_the_common_code_is_told() {
    let fake = three();
    let remove = |names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let remove = |client: &mut Client, peer| client.call(&PeersRemove { peer }).map(drop);
        each(&context(&fake, false), names, remove).map_err(|failure| failure.exit)
    };
    assert_eq!(remove(&["bob", "carol"]), Ok(()));
    assert_eq!(remove(&["x", "bob", "y"]), Err(Exit::NotFound));
    fake.state().fails = Some(("peers.remove", "denied"));
    assert_eq!(remove(&["bob"]), Err(Exit::Refused));
}

fn wait(fake: &Fake, names: &[&str], within: Option<f64>) -> Outcome {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    printed(|out| wait::run(&context(fake, false), &names, within.map(Duration::from_secs_f64), out)).0
}

#[test]
fn wait_ends_when_all_are_linked() {
    let fake = Arc::new(three());
    assert_eq!(wait(&fake, &["bob"], None), Ok(()));
    let waiting = Arc::clone(&fake);
    let waiting = std::thread::spawn(move || wait(&waiting, &["bob", "carol", "dave"], Some(60.0)));
    fake.until(|state| state.calls.iter().filter(|call| *call == "peers.show").count() > 4);
    fake.state().peers[1]["linked"] = json!(true);
    fake.die(); // a restart of netkitd is waited through
    fake.state().add_peer("dave", json!({ "linked": true }));
    assert_eq!(waiting.join().unwrap(), Ok(()));
}

#[test]
fn a_wait_in_vain_says_for_whom_and_why() {
    let fake = three();
    fake.state().peers[1]["trouble"] = json!("10.0.0.9:7890: connection refused");
    let failure = wait(&fake, &["carol"], Some(0.1)).unwrap_err();
    assert_eq!(
        (failure.exit, &*failure.message),
        (Exit::Unfinished, "carol is not linked: 10.0.0.9:7890: connection refused")
    );
    for (names, within, exit) in [
        (&["nobody"][..], None, Exit::NotFound),
        (&["nobody"], Some(0.1), Exit::NotFound),
        (&["carol", "eve"], Some(0.1), Exit::Unfinished),
        (&["carol", "nobody"], Some(0.1), Exit::Failed),
    ] {
        assert_eq!(wait(&fake, names, within).unwrap_err().exit, exit, "{names:?}");
    }
    fake.state().peers[1]["trust"] = json!("blocked");
    assert_eq!(wait(&fake, &["carol"], None).unwrap_err().exit, Exit::Refused);
}

#[test]
fn a_host_is_added_and_waited_for() {
    let fake = Arc::new(three());
    let add = |fake: &Fake, host: &str, wait: Option<f64>| {
        printed(|out| add::run(&context(fake, false), host.into(), wait.map(Duration::from_secs_f64), out))
    };
    assert_eq!(add(&fake, "10.0.0.7", None), (Ok(()), String::new()));
    let failure = add(&fake, "10.0.0.8", Some(0.1)).0.unwrap_err();
    assert_eq!(
        (failure.exit, &*failure.message),
        (Exit::Unfinished, "10.0.0.8:7890 is not linked: nobody answered yet")
    );
    fake.state().hosts[1]["trouble"] = json!("that is this box");
    let failure = add(&fake, "10.0.0.8", Some(0.0)).0.unwrap_err();
    assert_eq!(failure.message, "10.0.0.8:7890 is not linked: that is this box");
    let adding = Arc::clone(&fake);
    let adding = std::thread::spawn(move || add(&adding, "10.0.0.9", Some(60.0)));
    fake.until(|state| state.hosts.iter().any(|host| host["host"] == "10.0.0.9:7890"));
    fake.state().hosts[3]["id"] = json!(id("b"));
    assert_eq!(adding.join().unwrap(), (Ok(()), "bob\n".to_owned()));
}
