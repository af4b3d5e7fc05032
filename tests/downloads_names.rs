//! Where a downloaded file goes and what it is called: what was asked for decides, never a server; nothing is ever
//! overwritten unasked, and nothing comes to lie outside.

use crate::files::{directory, share};
use crate::harness::{Downloader, File, MIB, NodeBuilder, Reply, Source, assert_same, blake3, bytes, http};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};

/// Serves one content under every name.
fn serving(content: &std::sync::Arc<[u8]>) -> Source {
    let file = File::new(content);
    Source::http(move |request| file.answer(request))
}

#[test]
fn a_file_is_called_as_the_last_segment_of_what_was_asked_for() {
    let mut downloader = Downloader::new();
    let source = serving(&bytes(1, 1000));
    let long = "\u{957f}".repeat(85);
    for (asked, name) in [
        ("a/b/c.iso?x=/y", "c.iso".to_owned()),
        ("%E4%BD%A0%20x.txt#y", "\u{4f60} x.txt".to_owned()),
        ("\u{4f60}\u{597d}", "\u{4f60}\u{597d}".to_owned()),
        ("a+b&c=d", "a+b&c=d".to_owned()),
        ("100%25", "100%".to_owned()),
        (&long, long.clone()),
        (&format!("{}.iso", "\u{957f}".repeat(100)), format!("{}.iso", "\u{957f}".repeat(83))),
    ] {
        let id = downloader.add(&source.url(asked));
        assert_eq!(downloader.done(id)["path"], downloader.path(&name).display().to_string());
        assert_same(&downloader.read(&name), &bytes(1, 1000), asked);
    }
    for asked in ["", "a/", "%2e%2e", "a%2Fb", "a%00b", "a%0Ab", "%FF", ".netkit-7.part", "x%E2%80%AEy"] {
        let refused = downloader.try_add(&source.url(asked), json!({})).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_params", "{asked}: {refused}");
        // Under a name of our own it can be had.
        let id = downloader.add_with(&source.url(asked), json!({"output": "own", "force": true}));
        downloader.done(id);
    }
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let mut downloader = Downloader::new();
    let long = "\u{957f}".repeat(85);
    for (asked, numbered) in [
        ("f.txt", ["f (1).txt".to_owned(), "f (2).txt".to_owned()]),
        ("f.tar.gz", ["f (1).tar.gz".to_owned(), "f (2).tar.gz".to_owned()]),
        (".dot", [".dot (1)".to_owned(), ".dot (2)".to_owned()]),
        (&long, [1, 2].map(|n| format!("{} ({n})", "\u{957f}".repeat(83)))),
    ] {
        for (n, name) in [asked.to_owned()].iter().chain(&numbered).enumerate() {
            let content = bytes(n as u64, 5000 + n);
            let source = serving(&content);
            let id = downloader.add(&source.url(asked));
            assert_eq!(downloader.done(id)["path"], downloader.path(name).display().to_string());
            assert_same(&downloader.read(name), &content, name);
        }
        assert_same(&downloader.read(asked), &bytes(0, 5000), "the first one is untouched");
    }
    // A directory has a name, too; a link that leads nowhere is one.
    std::fs::create_dir(downloader.path("d")).unwrap();
    symlink("/nonexistent/place", downloader.path("l")).unwrap();
    let source = serving(&bytes(9, 100));
    for (asked, name) in [("d", "d (1)"), ("l", "l (1)")] {
        let id = downloader.add(&source.url(asked));
        assert_eq!(downloader.done(id)["path"], downloader.path(name).display().to_string());
    }
}

#[test]
fn many_of_one_name_at_once_get_a_name_each() {
    let mut downloader = Downloader::with("active = 8");
    let source = Source::http(|request| {
        let n: u64 = request.path.split('/').nth(1).unwrap().parse().unwrap();
        File::new(&bytes(n, 3000)).answer(request)
    });
    let ids: Vec<u64> = (0..40).map(|n| downloader.add(&source.url(&format!("{n}/same.bin")))).collect();
    let mut paths = std::collections::BTreeSet::new();
    for (n, id) in ids.into_iter().enumerate() {
        let path = downloader.done(id)["path"].as_str().unwrap().to_owned();
        assert_same(&std::fs::read(&path).unwrap(), &bytes(n as u64, 3000), &path);
        paths.insert(path);
    }
    assert_eq!(paths.len(), 40);
    assert_eq!(downloader.names().len(), 40);
}

#[test]
fn a_name_of_our_own_is_used_as_it_is_or_not_at_all() {
    let mut downloader = Downloader::new();
    let (content, other) = (bytes(1, 2 * MIB + 9), bytes(2, 1000));
    let source = serving(&content);
    std::fs::create_dir_all(downloader.path("sub")).unwrap();
    let beneath = downloader.path("sub/absolute").display().to_string();
    for (output, name) in [
        ("own", "own"),
        ("sub/own name", "sub/own name"),
        ("sub/", "sub/f"),
        ("new/deep/own", "new/deep/own"),
        ("new/other/", "new/other/f"),
        (&beneath, "sub/absolute"),
    ] {
        let id = downloader.add_with(&source.url("f"), json!({ "output": output }));
        assert_eq!(downloader.done(id)["path"], downloader.path(name).display().to_string());
        assert_same(&downloader.read(name), &content, output);
    }
    // What is there already stays.
    std::fs::write(downloader.path("taken"), &other).unwrap();
    let before = source.sent();
    for more in [json!({}), json!({"checksum": format!("blake3:{}", blake3(&content))})] {
        let mut more = more;
        more["output"] = "taken".into();
        let id = downloader.add_with(&source.url("f"), more);
        let failed = downloader.failed(id, "exists");
        assert!(failed["error"]["hint"].as_str().is_some_and(|hint| hint.contains("force")), "{failed}");
        assert!(!downloader.part(id).exists());
    }
    assert_same(&downloader.read("taken"), &other, "untouched");
    assert_eq!(source.sent(), before, "nothing is fetched for it");
    // Unless it is said that it may go.
    let id = downloader.add_with(&source.url("f"), json!({"output": "taken", "force": true}));
    downloader.done(id);
    assert_same(&downloader.read("taken"), &content, "replaced");
    let mode = downloader.path("taken").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    // A directory is nothing that could be replaced.
    for name in ["sub", "new"] {
        let id = downloader.add_with(&source.url("f"), json!({"output": name, "force": true}));
        downloader.failed(id, "exists");
    }
    assert_same(&downloader.read("sub/own name"), &content, "all that was in it");
}

#[test]
fn of_two_that_want_one_name_the_second_fails_before_it_fetches() {
    let content = bytes(1, 4 * MIB);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).stall_after(MIB));
    let mut downloader = Downloader::new();
    let first = downloader.add_with(&source.url("a"), json!({"output": "own"}));
    downloader.until(first, "1 MiB is there", |shown| shown["bytes"] == MIB);
    let second = downloader.add_with(&source.url("b"), json!({"output": "own"}));
    downloader.failed(second, "exists");
    source.go_on();
    downloader.done(first);
    assert_eq!(source.gets().len(), 1);
    assert_eq!(downloader.names(), ["own"]);
}

#[test]
fn a_part_goes_when_an_identical_file_came_by_other_ways() {
    let content = bytes(1, 4 * MIB);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).stall_after(MIB));
    let mut downloader = Downloader::new();
    let checksum = format!("blake3:{}", blake3(&content));
    let id = downloader.add_with(&source.url("f"), json!({"checksum": checksum}));
    downloader.until(id, "1 MiB is there", |shown| shown["bytes"] == MIB);
    downloader.tell("pause", id);
    std::fs::write(downloader.path("f"), &content).unwrap();
    downloader.tell("resume", id);
    assert_eq!(downloader.done(id)["verified"], true);
    assert_eq!((downloader.names(), source.gets().len()), (vec!["f".to_owned()], 1));
}

#[test]
fn an_identical_file_that_is_there_already_is_done_at_once() {
    let mut downloader = Downloader::new();
    let content = bytes(1, 3 * MIB + 1);
    let source = serving(&content);
    let checksum = format!("blake3:{}", blake3(&content));
    std::fs::create_dir_all(downloader.path("")).unwrap();
    for name in ["f", "own"] {
        std::fs::write(downloader.path(name), &content).unwrap();
    }
    for more in [json!({}), json!({"output": "own"}), json!({"output": "own", "force": true})] {
        let name = more["output"].as_str().unwrap_or("f").to_owned();
        let mut more = more;
        more["checksum"] = checksum.clone().into();
        let id = downloader.add_with(&source.url("f"), more);
        let shown = downloader.done(id);
        assert_eq!(shown["path"], downloader.path(&name).display().to_string());
        assert_eq!((&shown["verified"], &shown["blake3"]), (&json!(true), &json!(blake3(&content))));
        assert_eq!(shown["bytes"], content.len());
    }
    assert_eq!(source.gets().len(), 0, "nothing was fetched");
    assert_eq!(downloader.names(), ["f", "own"]);
    // Without a checksum nobody knows whether it is the same.
    let id = downloader.add(&source.url("f"));
    assert_eq!(downloader.done(id)["path"], downloader.path("f (1)").display().to_string());
    // One that is of another content is another file.
    std::fs::write(downloader.path("g"), &content[1..]).unwrap();
    let id = downloader.add_with(&source.url("g"), json!({"checksum": checksum}));
    assert_eq!(downloader.done(id)["path"], downloader.path("g (1)").display().to_string());
}

/// Adds it, and gives why it is refused or fails.
fn kind_of_refusal(downloader: &mut Downloader, source: &str, output: &str) -> Value {
    match downloader.try_add(source, json!({"output": output, "force": true})) {
        Err(refused) => refused["data"]["kind"].clone(),
        Ok(added) => {
            let id = added["id"].as_u64().unwrap();
            let shown =
                downloader.until(id, "ends", |shown| shown["state"] == "failed" || shown["state"] == "done");
            assert_eq!(shown["state"], "failed", "{output}: {shown}");
            shown["error"]["kind"].clone()
        }
    }
}

#[test]
fn nothing_comes_to_lie_outside() {
    let (outside, allowed) = (directory(), directory());
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let allow = format!("allow = [\"{}\"]", allowed.path().display());
    let mut downloader = Downloader::with(&allow);
    let content = bytes(1, 100_000);
    let source = serving(&content);
    std::fs::create_dir_all(downloader.path("sub")).unwrap();
    symlink(outside.path(), downloader.path("link")).unwrap();
    symlink(outside.path().join("secret"), downloader.path("file")).unwrap();
    symlink("../../..", downloader.path("sub/up")).unwrap();
    let dir = downloader.path("").display().to_string();
    let dir = dir.trim_end_matches('/');
    let out = outside.path().display().to_string();
    for output in [
        "../x".to_owned(),
        "..".to_owned(),
        "../".to_owned(),
        "sub/../../x".to_owned(),
        "sub/../x".to_owned(),
        "/".to_owned(),
        format!("{out}/x"),
        format!("{out}/"),
        format!("{dir}/../x"),
        format!("{dir}-other/x"),
        format!("{}/../x", allowed.path().display()),
        "link/x".to_owned(),
        "link/".to_owned(),
        "link/secret".to_owned(),
        "sub/up/x".to_owned(),
        "x\0y".to_owned(),
        ".netkit-1.part".to_owned(),
        "sub/.netkit-99.part".to_owned(),
    ] {
        let kind = kind_of_refusal(&mut downloader, &source.url("f"), &output);
        assert!(
            ["invalid_params", "denied", "permission", "refused"].iter().any(|k| kind == *k),
            "{output:?}: {kind}"
        );
    }
    assert_eq!(source.sent(), 0, "nothing is fetched for them");
    // A link in the file's place is replaced, not followed.
    let id = downloader.add_with(&source.url("f"), json!({"output": "file", "force": true}));
    downloader.done(id);
    assert_same(&downloader.read("file"), &content, "the link's place");
    assert!(!downloader.path("file").is_symlink());
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(!downloader.node.path("x").exists());

    // What the configuration allows is fine.
    let target = allowed.path().join("x");
    for (output, path) in
        [(target.clone(), target), (allowed.path().join("deep/"), allowed.path().join("deep/f"))]
    {
        let id = downloader.add_with(&source.url("f"), json!({"output": output.display().to_string()}));
        assert_eq!(downloader.done(id)["path"], path.display().to_string());
        assert_same(&std::fs::read(&path).unwrap(), &content, "where it is allowed");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    }
}

#[test]
fn what_a_server_says_of_names_does_not_count() {
    let mut downloader = Downloader::new();
    let content = bytes(1, 10_000);
    let theirs = content.clone();
    let source = Source::http(move |request| match request.path.as_str() {
        "/moved" => Reply::redirect("/elsewhere/other.bin?x=../../y"),
        "/absolute" => Reply::redirect("/../../../etc/passwd"),
        _ => File::new(&theirs)
            .answer(request)
            .header("Content-Disposition: attachment; filename=\"../../evil\"; filename*=UTF-8''..%2Fevil"),
    });
    for name in ["asked", "moved", "absolute"] {
        let id = downloader.add(&source.url(name));
        assert_eq!(downloader.done(id)["path"], downloader.path(name).display().to_string());
        assert_same(&downloader.read(name), &content, name);
    }
    assert_eq!(downloader.names(), ["absolute", "asked", "moved"]);
    assert!(!downloader.node.path("evil").exists());
}

#[test]
fn a_target_that_appears_meanwhile_is_not_overwritten() {
    let mut downloader = Downloader::new();
    let content = bytes(1, 2 * MIB);
    let theirs = content.clone();
    let source = Source::http(move |request| File::new(&theirs).answer(request).stall_after(MIB));
    let free = downloader.add(&source.url("f.bin"));
    let own = downloader.add_with(&source.url("f"), json!({"output": "own"}));
    let forced = downloader.add_with(&source.url("f"), json!({"output": "forced", "force": true}));
    source.wait_sent(3 * MIB);
    for name in ["f.bin", "own", "forced"] {
        std::fs::write(downloader.path(name), "theirs").unwrap();
    }
    source.go_on();
    assert_eq!(downloader.done(free)["path"], downloader.path("f (1).bin").display().to_string());
    assert_same(&downloader.read("f (1).bin"), &content, "beside it");
    downloader.done(forced);
    assert_same(&downloader.read("forced"), &content, "replaced");
    downloader.failed(own, "exists");
    assert_eq!((downloader.read("f.bin"), downloader.read("own")), (b"theirs".to_vec(), b"theirs".to_vec()));
    // All that was fetched is kept: when the name is free again, nothing is fetched.
    std::fs::remove_file(downloader.path("own")).unwrap();
    let before = source.sent();
    downloader.tell("retry", own);
    downloader.done(own);
    assert_same(&downloader.read("own"), &content, "tried again");
    assert_eq!(source.sent(), before);
}

#[test]
fn a_file_that_is_not_complete_is_shown_to_nobody() {
    let dir = directory();
    let builder = NodeBuilder::default().downloads(&format!("dir = \"{}\"", dir.path().display()));
    let node = builder.sections(&share("pub", dir.path(), "access = \"public\"\ndot_files = true")).start();
    let mut downloader = Downloader::on(node);
    let content = bytes(1, 2 * MIB);
    let theirs = content.clone();
    let source = Source::http(move |request| File::new(&theirs).answer(request).stall_after(MIB));
    let id = downloader.add(&source.url("f"));
    source.wait_sent(MIB);
    let part = format!(".netkit-{id}.part");
    let there: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(there, [part.as_str()], "beside where it is to go");
    let mode = dir.path().join(&part).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    let files = downloader.node.files();
    let listing = || {
        let answer = http(files, "GET /pub/", &["Accept: application/json"]);
        serde_json::from_slice::<Value>(&answer.body).unwrap()["entries"].take()
    };
    assert_eq!(listing(), json!([]));
    assert_eq!(http(files, &format!("GET /pub/{part}"), &[]).status, 404);
    assert_eq!(crate::files::bare(files, &part), b"no_file");
    source.go_on();
    downloader.done(id);
    assert_eq!(listing()[0]["name"], "f");
    assert_same(&http(files, "GET /pub/f", &[]).body, &content, "and then to all");
}
