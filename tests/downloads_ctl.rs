//! `netkitctl get` and `netkitctl queue`, as cron and people call them: ids, paths and exit codes.

use crate::harness::{DEADLINE, Downloader, File, MIB, Node, Reply, Source, assert_same, blake3, bytes};
use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Serves what its path says: a status, a file that waits, or a file.
fn source() -> Source {
    Source::http(|request| match &request.path[1..] {
        "stalls" => File::new(&bytes(1, 2 * MIB)).answer(request).stall_after(MIB),
        "503" => Reply::status(503),
        path if path.parse::<u16>().is_ok_and(|status| status >= 400) => Reply::status(path.parse().unwrap()),
        _ => File::new(&bytes(1, 2 * MIB)).answer(request),
    })
}

#[test]
fn get_prints_the_id_and_with_wait_the_path() {
    let mut downloader = Downloader::new();
    let source = source();
    let id = downloader.node.ctl(&["get", &source.url("a")]).expect(0).stdout.trim().parse::<u64>().unwrap();
    downloader.done(id);
    let several = downloader.node.ctl(&["get", &source.url("b"), &source.url("c")]).expect(0);
    assert_eq!(several.lines(), [(id + 1).to_string(), (id + 2).to_string()]);

    let waited = downloader.node.ctl(&["get", "--wait", &source.url("d")]).expect(0);
    assert_eq!(waited.stdout, format!("{}\n", downloader.path("d").display()), "the path and nothing else");
    assert_same(&downloader.read("d"), &bytes(1, 2 * MIB), "a file");
    // One that is taken: the path is where it is.
    let waited = downloader.node.ctl(&["get", "--wait", &source.url("d")]).expect(0);
    assert_eq!(waited.stdout, format!("{}\n", downloader.path("d (1)").display()));

    let sum = format!("blake3:{}", blake3(&bytes(1, 2 * MIB)));
    let url = source.url("e");
    let args =
        ["get", "--wait", "--json", "--checksum", &sum, "-o", "own", "--limit", "100 MiB", "--key", "k"];
    let args = [&args[..], &[&url]].concat();
    for _ in 0..2 {
        let json = downloader.node.ctl(&args).expect(0).json();
        let last = json.last().unwrap();
        assert_eq!(
            (&last["path"], &last["verified"]),
            (&json!(downloader.path("own")), &json!(true)),
            "{last}"
        );
    }
    assert_eq!(downloader.names(), ["a", "b", "c", "d", "d (1)", "own"], "the key makes one of two");
    downloader.node.ctl(&["get", "--wait", "-o", "own", &source.url("a")]).expect(1);
    downloader.node.ctl(&["get", "--wait", "--force", "-o", "own", &source.url("a")]).expect(0);
}

#[test]
fn how_a_download_ended_is_the_exit_code() {
    let downloader = Downloader::new();
    let source = source();
    let other = format!("sha256:{}", "0".repeat(64));
    let url = source.url("f");
    for (code, args) in [
        (4, &["--wait", &source.url("404")][..]),
        (5, &["--wait", &source.url("403")]),
        (7, &["--wait", "--checksum", &other, &url]),
        (2, &["--checksum", "sha256:0", &url]),
        (2, &["ftp://127.0.0.1/f"]),
        (2, &[]),
        (6, &["--wait=1", &source.url("stalls")]),
        (6, &["--wait=1", &source.url("503")]),
        (1, &["--wait", &source.url("404"), &source.url("403")]),
        (4, &["--wait", &source.url("404"), &url]),
    ] {
        let ended = downloader.node.ctl(&[&["get"], args].concat()).expect(code);
        assert!(!ended.stderr.is_empty(), "{args:?} says why");
    }
    let refused = downloader.node.ctl(&["get", "--wait", "-o", "../x", &url]);
    assert_ne!(refused.code(), 0);
    assert!(!downloader.node.path("x").exists());
    let absent = downloader.node.ctl(&["--socket", "/nonexistent/socket", "get", &url]);
    assert_eq!(absent.code(), if absent.stderr.contains("--socket") { 2 } else { 3 }, "{absent:?}");
}

#[test]
fn ctrl_c_leaves_and_the_download_goes_on() {
    let mut downloader = Downloader::new();
    let source = source();
    let waiting = downloader.node.follow(&["get", "--wait", &source.url("stalls")]);
    source.wait_sent(MIB);
    waiting.signal(Signal::INT);
    let left = waiting.end().expect(130);
    assert!(left.stderr.contains("goes on"), "{left:?}");
    let id = downloader.listed(&[])[0];
    assert_eq!(downloader.show(id)["state"], "active");
    // Another one waits for it.
    let waiting = downloader.node.follow(&["queue", "wait", &id.to_string()]);
    source.go_on();
    waiting.end().expect(0);
    assert_same(&downloader.read("stalls"), &bytes(1, 2 * MIB), "went on");
}

#[test]
fn who_waits_outlives_a_restart_of_netkitd() {
    let mut downloader = Downloader::new();
    let source = source();
    let waiting = downloader.node.follow(&["get", "--wait", &source.url("stalls")]);
    source.wait_sent(MIB);
    downloader.restart();
    source.go_on();
    let ended = waiting.end().expect(0);
    assert!(ended.stdout.ends_with(&format!("{}\n", downloader.path("stalls").display())), "{ended:?}");
}

/// The queue as `netkitctl queue --json` has it.
fn queue(node: &Node) -> Vec<Value> {
    node.ctl(&["queue", "--json"]).expect(0).json()
}

#[test]
fn the_queue_is_shown_and_steered() {
    let mut downloader = Downloader::with("active = 1");
    let source = source();
    let ids: Vec<u64> = ["stalls", "b", "c"].map(|name| downloader.add(&source.url(name))).into();
    downloader.until(ids[0], "half of it is there", |shown| shown["bytes"] == MIB);
    let words: Vec<String> = ids.iter().map(u64::to_string).collect();
    let run = |node: &Node, args: &[&str]| node.ctl(&[&["queue"], args].concat()).expect(0);
    let shown = run(&downloader.node, &[]).stdout;
    for word in
        ["active", "50 % of 2.0 MiB", "queued", &downloader.path("c").display().to_string(), &words[2]]
    {
        assert!(shown.contains(word), "no {word} in {shown}");
    }
    assert_eq!(run(&downloader.node, &["list"]).lines().len(), shown.lines().count());
    assert!(run(&downloader.node, &["show", &words[0]]).stdout.contains(&source.url("stalls")));
    run(&downloader.node, &["move", &words[2], "first"]);
    run(&downloader.node, &["pause", &words[1]]);
    let order: Vec<Value> = queue(&downloader.node).iter().map(|download| download["id"].clone()).collect();
    assert_eq!(order[0], ids[2], "{order:?}");
    assert_eq!(downloader.show(ids[1])["state"], "paused");
    run(&downloader.node, &["limit", "1MiB", &words[1]]);
    assert_eq!(downloader.show(ids[1])["limit"], MIB);
    run(&downloader.node, &["resume", &words[1]]);
    run(&downloader.node, &["cancel", &words[0]]);
    assert_eq!(downloader.state(ids[0], "cancelled")["id"], ids[0]);
    run(&downloader.node, &["wait", &words[1], &words[2]]);
    source.go_on();
    run(&downloader.node, &["retry", &words[0]]);
    run(&downloader.node, &["wait"]);
    assert_eq!(downloader.show(ids[0])["state"], "done");
    run(&downloader.node, &["remove", &words[0]]);
    assert_eq!(queue(&downloader.node).len(), 2);
    downloader.node.ctl(&["queue", "show", &words[0]]).expect(4);
    downloader.node.ctl(&["queue", "wait", &words[0]]).expect(4);
    let id = downloader.add(&source.url("404"));
    downloader.node.ctl(&["queue", "wait", &id.to_string()]).expect(4);
}

#[test]
fn the_queue_is_watched_until_nothing_is_unfinished() {
    let mut downloader = Downloader::new();
    let source = source();
    let id = downloader.add(&source.url("stalls"));
    source.wait_sent(MIB);
    let mut watching = downloader.node.follow(&["queue", "--watch", "--json"]);
    let first = watching.json();
    assert_eq!((&first["id"], &first["state"]), (&json!(id), &json!("active")));
    source.go_on();
    let rest = watching.end().expect(0);
    let last = rest.json().pop().unwrap();
    assert_eq!((&last["id"], &last["state"]), (&json!(id), &json!("done")));
    downloader.node.ctl(&["queue", "--watch"]).expect(2); // no terminal to draw on
}

/// `netkitctl get --wait` at a terminal of its own.
fn get_at_terminal(node: &Node, url: &str) -> PtySession {
    let mut command = node.ctl_command(&["get", "--wait", url]);
    command.env("TERM", "xterm").stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(DEADLINE.as_millis().try_into().unwrap())).unwrap()
}

#[track_caller]
fn ends_with(terminal: &mut PtySession, code: i32) {
    terminal.exp_eof().unwrap();
    let ended = terminal.process().wait().unwrap();
    assert!(matches!(ended, WaitStatus::Exited(_, ended) if ended == code), "{ended:?}, not {code}");
}

#[test]
fn at_a_terminal_progress_is_drawn_and_the_path_stays() {
    let downloader = Downloader::new();
    let stalling = source();
    let mut terminal = get_at_terminal(&downloader.node, &stalling.url("stalls"));
    terminal.exp_string("1.0 MiB / 2.0 MiB").unwrap();
    stalling.go_on();
    terminal.exp_string(&downloader.path("stalls").display().to_string()).unwrap();
    ends_with(&mut terminal, 0);
    // Ctrl-C leaves.
    let stalling = source();
    let mut terminal = get_at_terminal(&downloader.node, &stalling.url("stalls"));
    terminal.exp_string("1.0 MiB / 2.0 MiB").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("goes on").unwrap();
    ends_with(&mut terminal, 130);
}
