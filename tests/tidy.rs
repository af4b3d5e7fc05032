//! The architecture as tests: who may name whom, who holds what, what no file may contain. They read files
//! and run nothing of netkit. Rust is taken apart just enough: comments and literals are skipped, groups of
//! `use` spelled out, `super` resolved; a module in a file lasts to its end, and macros are not expanded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// The rooms of daemon/src: layer, name, and which of the layers below each may name, besides [`SHARED`].
/// Those that the design has and the tree not yet are here too.
const ROOMS: &[(u8, &str, &[&str])] = &[
    (1, "config", &["paths"]),
    (1, "files", &["syscall"]),
    (2, "hub", &["config", "files", "identity", "store"]),
    (2, "logging", &["config"]),
    (3, "chat", &["config", "hub", "identity", "listen", "syscall"]),
    (3, "discovery", &["config", "hub", "syscall"]),
    (3, "fetch", &["config", "files", "hub", "identity"]),
    (3, "rpc", &["config", "files", "hub", "logging", "syscall", "store"]),
    (3, "serve", &["config", "files", "hub", "identity", "listen", "store"]),
];
/// The lowest layer: these name nothing but what is [`SHARED`].
const LEAVES: &str = "identity limits listen paths signals state store syscall systemd";
const SHARED: [&str; 2] = ["limits", "VERSION"];
/// These wire the rooms together, and may name all of them.
const WIRING: [&str; 2] = ["lib", "run"];

/// A text file of the repository, and what it names if it is Rust.
struct Source {
    path: String,
    text: String,
    names: Vec<Name>,
}

/// A path in the code: `use super::{a, b::c}` in `crate::x` names `crate::a` and `crate::b::c`.
struct Name {
    line: usize,
    path: String,
    in_tests: bool,
}

impl Name {
    fn is_in(&self, parents: &[&str]) -> bool {
        parents.iter().any(|p| self.path.strip_prefix(p).is_some_and(|r| r.is_empty() || r.starts_with("::")))
    }

    fn has(&self, segments: &[&str]) -> bool {
        self.path.split("::").any(|segment| segments.contains(&segment))
    }
}

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| collect(Path::new(env!("CARGO_MANIFEST_DIR")), ""));

fn collect(dir: &Path, prefix: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (name, kind) = (entry.file_name().into_string().unwrap(), entry.file_type().unwrap());
        let path = format!("{prefix}{name}");
        if name == "target" || name == ".git" {
            continue;
        }
        if kind.is_dir() {
            sources.extend(collect(&entry.path(), &format!("{path}/")));
        } else if let (true, Ok(text)) = (kind.is_file(), std::fs::read_to_string(entry.path())) {
            let names = if path.ends_with(".rs") { names(&text, &module_of(&path)) } else { Vec::new() };
            sources.push(Source { path, text, names });
        }
    }
    sources
}

fn room(source: &Source) -> &str {
    module_of(&source.path).first().copied().unwrap_or("lib")
}

/// `daemon/src/rpc/cmd/mod.rs` is `rpc`, `cmd`.
fn module_of(path: &str) -> Vec<&str> {
    let inner = path.split_once("src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
    inner.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
}

/// The length of the comment or literal that `text` begins with; 0 if it begins with something else.
fn skip_len(text: &str) -> usize {
    let until = |end: &str, at: usize| text[at..].find(end).map_or(text.len(), |n| at + n + end.len());
    if let Some(raw) = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r') {
        let quote = raw.trim_start_matches('#');
        if quote.starts_with('"') {
            let end = format!("\"{}", "#".repeat(raw.len() - quote.len()));
            return until(&end, text.len() - quote.len() + 1);
        }
    }
    match text.as_bytes() {
        [b'/', b'/', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => until("*/", 2),
        [b'\'', b'\\', ..] => until("'", 3),
        [b'\'', ..] => text.char_indices().nth(2).filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        [b'"', inner @ ..] => {
            let mut at = 0;
            while !matches!(inner.get(at), Some(b'"') | None) {
                at += 1 + usize::from(inner[at] == b'\\');
            }
            text.len().min(at + 2)
        }
        _ => 0,
    }
}

/// Words, `::`, and other characters one by one, each with its line.
fn tokens(mut text: &str) -> Vec<(usize, &str)> {
    let (mut tokens, mut line) = (Vec::new(), 1);
    while let Some(first) = text.chars().next() {
        let skip = skip_len(text);
        let word = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let len = if text.starts_with("::") { 2 } else { word.max(first.len_utf8()) };
        let (token, rest) = text.split_at(if skip > 0 { skip } else { len });
        if skip == 0 && !first.is_whitespace() {
            tokens.push((line, token));
        }
        line += token.matches('\n').count();
        text = rest;
    }
    tokens
}

fn token<'a>(tokens: &[(usize, &'a str)], at: usize) -> &'a str {
    tokens.get(at).map_or("", |(_, token)| token)
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// All that the text of `module` names.
fn names(text: &str, module: &[&str]) -> Vec<Name> {
    let (tokens, mut module, mut names, mut at) = (tokens(text), module.to_vec(), Vec::new(), 0);
    while at < tokens.len() {
        if token(&tokens, at) == "mod" && token(&tokens, at + 2) == "{" {
            module.push(token(&tokens, at + 1));
        }
        let (mut found, in_tests) = (Vec::new(), module.contains(&"tests"));
        at = if is_word(token(&tokens, at)) { take(&tokens, at, "", &mut found) } else { at + 1 };
        for (line, path) in found {
            names.push(Name { line, path: resolved(&path, &module), in_tests });
        }
    }
    names
}

/// Puts the paths that begin at `at`, behind `parent`, into `found`; returns where they end.
fn take(tokens: &[(usize, &str)], mut at: usize, parent: &str, found: &mut Vec<(usize, String)>) -> usize {
    let (first, next) = (token(tokens, at), token(tokens, at + 2));
    if token(tokens, at + 1) == "::" && (is_word(next) || matches!(next, "{" | "*")) {
        return take(tokens, at + 2, &format!("{parent}{first}::"), found);
    }
    if first != "{" {
        found.push((tokens[at].0, format!("{parent}{first}")));
        return at + 1;
    }
    while !matches!(token(tokens, at), "}" | "") {
        at += 1;
        if is_word(token(tokens, at)) || matches!(token(tokens, at), "{" | "*") {
            at = take(tokens, at, parent, found);
        }
        while !matches!(token(tokens, at), "," | "}" | "") {
            at += 1; // as another name
        }
    }
    at + 1
}

fn resolved(path: &str, module: &[&str]) -> String {
    let path = path.strip_suffix("::self").unwrap_or(path).trim_start_matches("self::");
    let up = path.split("::").take_while(|segment| *segment == "super").count();
    let parents = module[..module.len().saturating_sub(up)].iter().copied();
    let absolute = ["crate"].into_iter().chain(parents).chain(path.split("::").skip(up));
    if up > 0 { absolute.collect::<Vec<_>>().join("::") } else { path.to_owned() }
}

fn rust(places: &[&str]) -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(|s| s.path.ends_with(".rs") && places.iter().any(|place| s.path.starts_with(place)))
}

/// Fails with all offences against a rule, the reason in its text.
fn hold(rule: &str, offences: impl Iterator<Item = String>) {
    let offences: Vec<String> = offences.collect();
    assert!(offences.is_empty(), "{rule}. Not so:\n  {}", offences.join("\n  "));
}

/// Fails with the names that offend in the Rust files of `places`.
fn hold_names(rule: &str, places: &[&str], is_bad: impl Fn(&Source, &Name) -> bool) {
    let bad = rust(places).flat_map(|s| s.names.iter().map(move |n| (s, n))).filter(|(s, n)| is_bad(s, n));
    hold(rule, bad.map(|(s, n)| format!("{}:{} names `{}`", s.path, n.line, n.path)));
}

/// Fails with the lines that offend in any file.
fn hold_lines(rule: &str, is_bad: impl Fn(&str) -> bool) {
    let lines = SOURCES.iter().flat_map(|s| (1..).zip(s.text.lines()).map(move |(n, line)| (s, n, line)));
    let bad = lines.filter(|(_, _, line)| is_bad(line));
    hold(rule, bad.map(|(s, n, line)| format!("{}:{n}: {}", s.path, line.trim())));
}

/// The crates that a package needs, itself first.
fn needs(package: &str, options: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--prefix=none", "--edges=normal,build", "-p", package]);
    let output = cargo.args(options).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn names_are_read_from_code() {
    let cases = [
        ("use crate::{a::b, c};", "use crate::a::b crate::c"),
        ("use a::{\n self as x,\n b::{c, d as _}, *,\n};", "use a a::b::c a::b::d a::*"),
        ("crate::x::y::<u8>(z)", "crate::x::y u8 z"),
        ("super::super::a; self::super::b; self.c", "crate::a crate::p::b self c"),
        ("pub(super) mod t { super::a }", "pub crate::p mod t crate::p::q::a"),
        ("a // b\n/* c */ \"d \\\" e\" r#\"f \" g\"# b'\"' '\\'' &'h i", "a b h i"),
    ];
    for (code, expected) in cases {
        let paths: Vec<String> = names(code, &["p", "q"]).into_iter().map(|n| n.path).collect();
        assert_eq!(paths.join(" "), expected, "{code}");
    }
    let names = names("use a::{\n b,\n};\nmod tests { c }", &[]);
    let at: Vec<_> = names.iter().map(|n| (n.line, n.in_tests)).collect();
    assert_eq!(at, [(1, false), (2, false), (4, true), (4, true), (4, true)]);
}

#[test]
fn every_file_says_what_it_owns() {
    let bad = rust(&[""]).filter(|s| !s.text.starts_with("//!")).map(|s| format!("{}:1", s.path));
    hold("A Rust file opens with `//!`: what it owns, who calls it, what it does not do", bad);
}

#[test]
fn files_are_short_and_end_with_a_newline() {
    let bad = rust(&[""]).map(|s| (s, s.text.lines().count()));
    let bad = bad.filter(|(s, lines)| *lines > 400 || !s.text.ends_with('\n'));
    let bad = bad.map(|(s, lines)| format!("{}:{lines}", s.path));
    hold("A Rust file has at most 400 lines, to be read at once, and a newline at its end", bad);
}

#[test]
fn rooms_name_only_rooms_below_them() {
    let leaves: Vec<_> = LEAVES.split(' ').map(|leaf| (0, leaf, &[][..])).collect();
    let row = |room: &str| leaves.iter().chain(ROOMS).find(|(_, name, _)| *name == room);
    for (layer, room, may) in ROOMS {
        assert!(may.iter().all(|m| row(m).is_some_and(|(below, ..)| below < layer)), "the row of {room}");
    }
    let rule = "A room names only what tests/tidy.rs lists: edges know the hub, nobody knows an edge";
    hold_names(rule, &["daemon/src/"], |s, n| {
        let (room, target) = (room(s), n.path.strip_prefix("crate::").unwrap_or("crate"));
        let target = target.split("::").next().unwrap_or("");
        let may = |(_, _, may): &(u8, &str, &[&str])| may.contains(&target) || SHARED.contains(&target);
        !WIRING.contains(&room) && !["crate", room].contains(&target) && !row(room).is_some_and(may)
    });
    let unknown = rust(&["daemon/src/"]).filter(|s| !WIRING.contains(&room(s)) && row(room(s)).is_none());
    hold("Each room is listed in tests/tidy.rs", unknown.map(|s| format!("{}:1", s.path)));
}

#[test]
fn only_the_hub_holds_the_stores_writer() {
    let rule = "Only hub and store name `Writer`, and only run opens the store: all state has one owner";
    hold_names(rule, &["daemon/src/"], |s, n| {
        n.has(&["Writer"]) && !["hub", "store", "run"].contains(&room(s))
            || n.path.ends_with("store::open") && room(s) != "run"
    });
}

#[test]
fn proto_does_no_io() {
    let rule = "proto has no socket, file, clock or randomness, so that tests need none: they are arguments";
    let roots = ["tokio", "rand", "std::io", "std::fs", "std::os", "std::env", "std::process", "std::thread"];
    let types = ["UdpSocket", "TcpStream", "TcpListener", "UnixStream", "Instant", "RandomState", "now"];
    hold_names(rule, &["proto/"], |s, n| {
        let is_conversion = s.path == "proto/src/time.rs"; // of a time that somebody else read
        n.is_in(&roots) || n.has(&types) || n.has(&["SystemTime"]) && !is_conversion
    });
    let known = "blake3 data-encoding encoding_rs jiff netkit-proto percent-encoding schemars serde serde_json thiserror unicode-normalization";
    let mut needs = needs("netkit-proto", &["--depth=1", "--all-features"]);
    needs.retain(|name| !known.split(' ').any(|known| known == name));
    hold(rule, needs.iter().map(|name| format!("proto/Cargo.toml:1 leads to {name}")));
}

#[test]
fn ctl_stays_light() {
    let rule = "netkitctl knows JSON-RPC, and no TLS or tokio: it starts in a few milliseconds";
    let known = [
        "rpc",
        "ids",
        "name",
        "limits",
        "time",
        "chat::plain::Encoding",
        "chat::plain::is_bye",
        "files::checksum",
        "files::listing",
    ];
    let known = known.map(|module| format!("netkit_proto::{module}"));
    hold_names(rule, &["ctl/"], |_, n| n.is_in(&["netkit_proto"]) && !known.iter().any(|k| n.is_in(&[k])));
    let heavy = ["tokio", "rustls", "ring", "openssl", "quinn", "hyper", "netkit-daemon"];
    let bad = needs("netkit-ctl", &[]).into_iter().filter(|name| heavy.contains(&name.as_str()));
    hold(rule, bad.map(|name| format!("ctl/Cargo.toml:1 leads to {name}")));
    hold_lines("One cryptography library, which needs no cmake", |line| line.starts_with("name = \"aws-lc-"));
}

#[test]
fn wire_keeps_to_itself() {
    let rule = "`wire` asks netkitd for nothing; only its socket opens sockets, only its settings see flags";
    hold_names(rule, &["ctl/src/cmd/wire/"], |s, n| {
        let is_in = |file: &str| s.path.starts_with(&format!("ctl/src/cmd/wire/{file}"));
        n.is_in(&["crate::client", "crate::listener", "netkit_proto::rpc::call"])
            || n.has(&["socket_with", "UdpSocket", "TcpStream", "TcpListener"]) && !is_in("socket/")
            || n.is_in(&["crate::cmd::wire::flags"]) && !is_in("settings.rs")
    });
}

#[test]
fn one_file_owns_the_udp_socket() {
    let rule = "Only chat/socket makes and touches a UDP socket: one reader tells QUIC from plain";
    hold_names(rule, &["daemon/"], |s, n| {
        let is_udp = n.has(&["UdpSocket", "DGRAM", "UdpSocketState", "UdpSockRef"])
            || ["client", "server", "new"].iter().any(|f| n.path.ends_with(&format!("Endpoint::{f}")));
        let is_held = s.path == "daemon/src/chat/mod.rs" && n.path.ends_with("UdpSocket"); // until it runs
        is_udp && !is_held && !n.in_tests && s.path != "daemon/src/chat/socket.rs"
    });
}

#[test]
fn one_file_judges_certificates() {
    let rule = "Only identity/tls judges certificates: by form and signature, whoever is trusted how far";
    hold_names(rule, &["daemon/"], |s, n| {
        n.has(&["ServerCertVerifier", "ClientCertVerifier", "dangerous"])
            && s.path != "daemon/src/identity/tls.rs"
    });
}

#[test]
fn one_file_has_unsafe_code() {
    let rule = "`unsafe` is only in daemon/src/syscall.rs, where each use says why it is sound";
    hold_names(rule, &[""], |s, n| n.has(&["unsafe", "unsafe_code"]) && s.path != "daemon/src/syscall.rs");
}

#[test]
fn channels_are_bounded() {
    hold_names("A queue has a bound: no peer may fill the memory", &["daemon/", "ctl/"], |s, n| {
        let is_std = n.path == "mpsc::channel" && s.names.iter().any(|n| n.path == "std::sync::mpsc");
        let is_unbounded = n.has(&["unbounded_channel", "unbounded"]) || n.path == "std::sync::mpsc::channel";
        !n.in_tests && (is_std || is_unbounded)
    });
}

#[test]
fn json_stays_at_the_edge() {
    let json = ["proto/src/rpc/", "proto/src/chat/frame.rs", "proto/src/files/listing.rs", "daemon/src/rpc/"];
    hold_names("JSON stays in its protocols and at the control edge", &["proto/", "daemon/"], |s, n| {
        n.has(&["serde_json"]) && !json.iter().any(|place| s.path.starts_with(place))
    });
}

#[test]
fn tests_wait_for_events() {
    let rule = "A test waits for an event: one that sleeps is slow, or fails on a slow machine";
    hold_names(rule, &["tests/"], |s, n| {
        let is_look = s.path == "tests/harness/mod.rs" && n.has(&["park_timeout"]); // where no event tells
        n.has(&["sleep", "sleep_ms", "sleep_until", "park_timeout"]) && !is_look
    });
}

#[test]
fn nothing_is_left_undone() {
    let rule = "What is unfinished is not committed, and a test that does not run is none";
    hold_names(rule, &[""], |_, n| ["todo", "unimplemented", "ignore"].contains(&n.path.as_str()));
    let words = [concat!("FIX", "ME"), concat!("XX", "X")];
    hold_lines(rule, |line| line.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word)));
}

#[test]
fn nothing_depends_on_a_developers_machine() {
    let paths = [concat!("/work", "/main"), concat!("/work", "/shared"), concat!("..", "/shared")];
    let is_bad = |line: &str| paths.iter().any(|path| line.contains(path));
    hold_lines("The tree builds anywhere, and names no path of the machine it was written on", is_bad);
}
