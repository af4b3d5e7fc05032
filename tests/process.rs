//! netkitd as a process: configuration, signals, one instance, units; and netkitctl where there is no netkitd.

use crate::harness::{
    Control, DEADLINE, Node, NodeBuilder, Peer, Running, command, eventually, has_program, is_root, may_skip,
    readme_block,
};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

#[test]
fn a_bad_configuration_is_told_with_its_place_and_ends_with_78() {
    for (from, to, expected) in [
        (
            "listen = \"127.0.0.1:0\"\n\n[files]",
            "lisen = \"127.0.0.1:0\"\n[files]",
            &["netkitd.toml:", "lisen", "listen", "plain_encoding"][..],
        ),
        ("[files]", "[flies]", &["flies", "files", "retention"]),
        ("[files]", "active = 4\n[files]", &["active"]),
        ("listen = \"127.0.0.1:0\"\n\n[files]", "listen = 7890\n[files]", &["listen", "7890"]),
        ("listen = \"127.0.0.1:0\"\n\n[files]", "listen = \"127.0.0.1\"\n[files]", &["127.0.0.1"]),
        ("keep_free = 0", "keep_free = \"lots\"", &["lots"]),
        ("[files]", "[retention]\nage = \"soon\"\n[files]", &["soon"]),
        ("[files]", "[[share]]\nname = \".hidden\"\npath = \"/srv\"\n[files]", &[".hidden"]),
        ("[files]", "[[share]]\nname = \"x\"\npath = \"relative\"\n[files]", &["relative"]),
        ("[files]", "[[share]]\nname = \"x\"\npath = \"/\"\n[files]", &["state_dir"]),
        ("[files]", "[files", &["netkitd.toml:"]),
        ("name = \"box\"", "name = \"a:b\"", &["a:b"]),
    ] {
        let node = NodeBuilder::default().prepare();
        node.edit_config(from, to);
        for args in [&["--check-config"][..], &[]] {
            let ended = Running::to_end(node.netkitd(args), b"").expect(78);
            let place = ended.stderr.lines().find(|line| line.contains("netkitd.toml:")).unwrap_or_default();
            let numbers = place.split("netkitd.toml:").nth(1).unwrap_or_default();
            let mut numbers = numbers.split(':').map(|n| n.trim().parse::<u32>());
            assert!(
                matches!((numbers.next(), numbers.next()), (Some(Ok(_)), Some(Ok(_)))),
                "line and column: {ended:?}"
            );
            for word in expected {
                assert!(ended.stderr.contains(word), "{to}: no {word:?} in {}", ended.stderr);
            }
        }
        assert!(!node.path("state").exists(), "nothing was touched");
    }
}

#[test]
fn a_good_configuration_is_checked_without_starting() {
    let node = NodeBuilder::default()
        .sections(
            "hosts = [\"box.example\"]\n[[share]]\nname = \"public\"\npath = \"/srv/netkit\"\naccess = [\"bob\"]\n\
             [discovery]\npeers = [\"10.0.0.10:7890\"]\n[retention]\nage = \"90d\"",
        )
        .downloads("limit = \"10 MiB\"")
        .prepare();
    Running::to_end(node.netkitd(&["--check-config"]), b"").expect(0);
    assert!(!node.socket().exists());
    let missing = command(env!("CARGO_BIN_EXE_netkitd"), &["--config", "/no/such/file"]);
    assert!(Running::to_end(missing, b"").expect(78).stderr.contains("/no/such/file"));
}

#[test]
fn the_readmes_configuration_is_good() {
    let node = NodeBuilder::default().prepare();
    std::fs::write(node.config(), readme_block("toml", "[node]")).unwrap();
    Running::to_end(node.netkitd(&["--check-config"]), b"").expect(0);
}

#[test]
fn hup_puts_in_force_what_can_change_live() {
    let mut node = NodeBuilder::default().chat("accept = \"anyone\"").start();
    let peer = Peer::new();
    node.edit_config("accept = \"anyone\"", "accept = \"known\"");
    node.edit_config("name = \"box\"", "name = \"other\"");
    node.daemon().signal(Signal::HUP);
    let told = node.daemon().stderr_with("configuration read again");
    assert!(told.contains("chat.accept") && told.contains("node.name"), "{told}");
    peer.say(node.chat(), "not from a stranger any more");
    node.wait_for("/chat/dropped/not_accepted", 1);
    assert_eq!(node.status()["name"], "box", "this waits for a restart");

    // A bad one changes nothing.
    node.edit_config("accept = \"known\"", "accept = \"everybody\"");
    node.daemon().signal(Signal::HUP);
    let told = node.daemon().stderr_with("the one in force stays");
    assert!(told.contains("everybody"), "{told}");
    let refused = node.ctl(&["rpc", "node.reload"]);
    assert!(refused.code() == 1 && refused.stderr.contains("everybody"), "{refused:?}");
    peer.say(node.chat(), "still not");
    node.wait_for("/chat/dropped/not_accepted", 2);

    node.edit_config("accept = \"everybody\"", "accept = \"anyone\"");
    let reloaded = node.ctl(&["rpc", "node.reload"]).expect(0).json().remove(0);
    assert_eq!(reloaded, json!({"changed": ["chat.accept"], "needs_restart": ["node.name"]}));
    peer.say(node.chat(), "welcome");
    node.wait_for("/chat/received", 1);
}

#[test]
fn the_service_manager_is_told() {
    let mut node = NodeBuilder::default().prepare();
    let socket = UnixDatagram::bind(node.path("notify")).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = || {
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    let mut netkitd = node.netkitd(&[]);
    netkitd.env("NOTIFY_SOCKET", node.path("notify"));
    let daemon = Running::start(netkitd);
    let ready = told();
    assert!(ready.contains("READY=1") && ready.contains("STATUS=chat on UDP 127.0.0.1:"), "{ready}");
    daemon.signal(Signal::HUP);
    let reloading = told();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(), ready, "and is as ready as before");
    daemon.signal(Signal::TERM);
    assert!(told().contains("STOPPING=1"));
    daemon.end().expect(0);
    node.start();
}

#[test]
fn a_signal_stops_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Node::new();
        let mut session = node.session();
        let peer = Peer::new();
        session.call("chat.send", json!({"to": peer.url(), "text": "last words"})).unwrap();
        node.daemon().signal(signal);
        assert_eq!(session.line(), None, "sessions are ended");
        node.daemon().stderr_with("stopped");
        assert_eq!(peer.hear(), "last words");
        eventually("the socket is removed", || (!node.socket().exists()).then_some(()));
    }
}

/// A box with a client that reads nothing of what it asked for: the orderly stop waits for it for a while.
fn node_with_stuck_client() -> (Node, Control) {
    let node = Node::new();
    let peer = Peer::new();
    for n in 0..2000 {
        peer.say(node.chat(), "x".repeat(1000));
        if n % 100 == 99 {
            node.wait_for("/chat/received", n + 1);
        }
    }
    let mut stuck = node.session();
    for _ in 0..10 {
        stuck.request("events.read", &json!({"limit": 1000}));
    }
    stuck.request("events.subscribe", &json!({"since": 0}));
    assert!(stuck.line().is_some());
    (node, stuck)
}

#[test]
fn a_client_that_reads_nothing_does_not_spoil_the_stop() {
    let (mut node, _stuck) = node_with_stuck_client();
    node.stop();
    assert!(!node.socket().exists());
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let (mut node, _stuck) = node_with_stuck_client();
    node.daemon().signal(Signal::TERM);
    node.daemon().stderr_with("stopping");
    assert!(node.daemon().is_running());
    node.daemon().signal(Signal::TERM);
    eventually("it ends", || (!node.daemon().is_running()).then_some(()));
    // What it left behind is no obstacle.
    node.start();
    assert_eq!(node.status()["log"]["head"], 2000);
}

#[test]
fn a_live_daemon_is_not_displaced_and_a_stale_socket_is() {
    let mut node = Node::new();
    let ended = Running::to_end(node.netkitd(&[]), b"");
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("state"), "the state directory is taken: {}", ended.stderr);
    // Another state directory, the same socket.
    let text = std::fs::read_to_string(node.config()).unwrap();
    let other = node.path("other.toml");
    std::fs::write(&other, text.replace("/state\"", "/state2\"")).unwrap();
    let second = command(env!("CARGO_BIN_EXE_netkitd"), &[Path::new("--config"), &other]);
    let ended = Running::to_end(second, b"");
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("netkitd.sock"), "{}", ended.stderr);
    node.ctl(&["status"]).expect(0);

    node.kill();
    assert!(node.socket().exists(), "a killed daemon leaves its socket");
    node.ctl(&["status"]).expect(3);
    node.start();
    node.ctl(&["status"]).expect(0);
    // What is no socket is not removed.
    node.stop();
    std::fs::write(node.socket(), "precious").unwrap();
    let ended = Running::to_end(node.netkitd(&[]), b"");
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("netkitd.sock"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(node.socket()).unwrap(), "precious");
}

#[test]
fn a_taken_port_is_told() {
    let node = NodeBuilder::default().prepare();
    let other = Peer::new();
    node.edit_config(
        "listen = \"127.0.0.1:0\"\n\n[files]",
        &format!("listen = \"{}\"\n[files]", other.address()),
    );
    let ended = Running::to_end(node.netkitd(&[]), b"");
    assert_eq!(ended.code(), 1, "{ended:?}");
    for word in [&other.address().to_string(), "chat.listen"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    assert!(!node.socket().exists(), "what was made is taken away again");
}

#[test]
fn without_a_daemon_two_lines_tell_how_to_start_one() {
    let node = NodeBuilder::default().prepare();
    for args in
        [&["status"][..], &["send", "udp://127.0.0.1:9", "hi"], &["tail"], &["chat", "udp://127.0.0.1:9"]]
    {
        let ended = node.ctl(args).expect(3);
        assert_eq!((ended.stderr.lines().count(), ended.stdout.as_str()), (2, ""), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("systemctl start netkitd"), "{}", ended.stderr);
    }
}

#[test]
fn a_damaged_database_is_refused_and_not_replaced() {
    let mut node = Node::new();
    node.stop();
    let database = node.path("state").join("netkit.db");
    std::fs::write(&database, "this is no database".repeat(1000)).unwrap();
    let ended = Running::to_end(node.netkitd(&[]), b"");
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("netkit.db"), "{}", ended.stderr);
    assert!(std::fs::read_to_string(&database).unwrap().starts_with("this is no database"));
}

#[test]
fn the_database_is_what_sqlite_says_it_is() {
    if may_skip(has_program("sqlite3"), "the_database_is_what_sqlite_says_it_is", "sqlite3") {
        return;
    }
    let mut node = Node::new();
    Peer::new().say(node.chat(), "a line");
    node.wait_for("/chat/received", 1);
    node.stop();
    let database = node.path("state").join("netkit.db").display().to_string();
    let sql = "PRAGMA integrity_check; PRAGMA journal_mode; SELECT count(*) FROM events;";
    let ended = Running::to_end(command("sqlite3", &[&database, sql]), b"").expect(0);
    assert_eq!(ended.lines(), ["ok", "wal", "1"]);
}

#[test]
fn the_units_verify() {
    if may_skip(has_program("systemd-analyze"), "the_units_verify", "systemd-analyze (systemd)") {
        return;
    }
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    for (unit, user) in [("netkitd.service", false), ("user/netkitd.service", true)] {
        let dir = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(units.join(unit)).unwrap();
        // The program need not be installed for the unit to be right.
        let here = env!("CARGO_BIN_EXE_netkitd");
        let text: Vec<String> =
            text.lines()
                .map(|line| {
                    if line.starts_with("ExecStart=") { format!("ExecStart={here}") } else { line.to_owned() }
                })
                .collect();
        let file = dir.path().join("netkitd.service");
        std::fs::write(&file, text.join("\n")).unwrap();
        let scope = if user { "--user" } else { "--system" };
        let mut verify = command(
            "systemd-analyze",
            &["verify", scope, "--man=no", "--recursive-errors=no", &file.display().to_string()],
        );
        verify.env("XDG_RUNTIME_DIR", dir.path());
        let ended = Running::to_end(verify, b"").expect(0);
        assert!(!ended.stderr.contains("netkitd.service"), "{unit}: {}", ended.stderr);
    }
}

#[test]
fn an_unprivileged_daemon_runs_in_a_users_own_directories() {
    if may_skip(
        is_root(),
        "an_unprivileged_daemon_runs_in_a_users_own_directories",
        "root, to become another user",
    ) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let owner = rustix::fs::Uid::from_raw(65534);
    rustix::fs::chown(home.path(), Some(owner), None).unwrap();
    let runtime = home.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    rustix::fs::chown(&runtime, Some(owner), None).unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let copy = |name: &str, from: &str| {
        let to = home.path().join(name);
        std::fs::copy(from, &to).unwrap();
        rustix::fs::chown(&to, Some(owner), None).unwrap();
        to.display().to_string()
    };
    let netkitd = copy("netkitd", env!("CARGO_BIN_EXE_netkitd"));
    let netkitctl = copy("netkitctl", env!("CARGO_BIN_EXE_netkitctl"));
    let config = home.path().join(".config/netkit");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("netkitd.toml"),
        "[chat]\nlisten = \"127.0.0.1:0\"\n[files]\nlisten = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    std::fs::set_permissions(
        home.path().join(".config"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let user = |program: &str, args: &[&str]| {
        let mut command = command(
            "setpriv",
            &[&["--reuid=65534", "--regid=65534", "--clear-groups", program], args].concat(),
        );
        command.env_clear().env("HOME", home.path()).env("XDG_RUNTIME_DIR", &runtime).current_dir("/");
        command
    };
    let mut daemon = Running::start(user(&netkitd, &[]));
    daemon.stderr_with(" ready ");
    // netkitctl finds the user's own daemon by itself.
    let status = Running::to_end(user(&netkitctl, &["status", "--json"]), b"").expect(0).json().remove(0);
    let socket = runtime.join("netkit/netkitd.sock");
    assert_eq!(status["control"]["socket"], socket.display().to_string());
    assert!(home.path().join(".local/state/netkit/netkit.db").exists());
    daemon.signal(Signal::TERM);
    daemon.end().expect(0);

    // Without a runtime directory the two meet in the state directory.
    let without = |program: &str, args: &[&str]| {
        let mut command = user(program, args);
        command.env_remove("XDG_RUNTIME_DIR");
        command
    };
    let mut daemon = Running::start(without(&netkitd, &[]));
    daemon.stderr_with(" ready ");
    Running::to_end(without(&netkitctl, &["status"]), b"").expect(0);
}
