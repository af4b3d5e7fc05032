//! What is another thing at the source between two tries, or two questions: never mixed, and no try for ever.

use super::peers::{behaves, sample};
use super::server::{Answer, Request, Server, Step, bytes, file, honest, manifest_of, status};
use super::trees::{Files, LARGE, chunked, failed, files, found, listing, shares};
use super::*;
use netkit_proto::files::listing::{EntryKind, TreeEntry, TreeLine};
use netkit_proto::files::manifest::BLOCK;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[tokio::test]
async fn a_file_that_was_replaced_is_fetched_anew_and_never_mixed() {
    let (old, new) = (sample(4 * BLOCK), sample(3 * BLOCK + 9));
    let replaced = Arc::new(AtomicBool::new(false));
    let (is_new, now, then) = (Arc::clone(&replaced), new.clone(), old.clone());
    let server = Server::start(behaves(move |request| {
        let (content, etag) = if is_new.load(Ordering::Relaxed) { (&now, "\"2\"") } else { (&then, "\"1\"") };
        if request.is_manifest() {
            return bytes(manifest_of(content), etag);
        }
        let mut answer = file(request, content, etag);
        if etag == "\"1\"" {
            answer.steps = vec![Step::Send(content[..2 * BLOCK as usize].to_vec()), Step::Break];
        }
        answer
    }))
    .await;
    let mut rig = Rig::new();
    assert_eq!(rig.failed(&server).await.failure.kind, Kind::Short);
    replaced.store(true, Ordering::Relaxed);
    assert!(rig.fetched(&server).await == new);
    assert_eq!(rig.restarted.len(), 1, "{:?}", rig.restarted);
    assert_eq!(rig.sources[0].bytes, new.len() as u64);
}

#[tokio::test]
async fn a_manifest_of_a_newer_file_is_a_change_of_its_own_kind() {
    let content = sample(2 * BLOCK);
    let server = Server::start(behaves(move |request| {
        if request.is_manifest() {
            bytes(manifest_of(&content), "\"2\"")
        } else {
            file(request, &content, "\"1\"")
        }
    }))
    .await;
    let failed = Rig::new().failed(&server).await;
    assert_eq!((failed.failure.kind, failed.retry), (Kind::Changed, Retry::Later));
}

/// A large file as one connection after the other brings it: at first six blocks come, then all but eight, then all.
fn by_and_by(request: &Request, content: &[u8], phase: usize) -> Answer {
    let mut answer = honest(request, content);
    let start = request.range.as_ref().map_or(0, |range| range.start);
    match (phase, start < 6 * BLOCK) {
        (0 | 1, _) if request.is_manifest() => {}
        (0, true) => {
            answer.steps =
                vec![Step::Send(content[start as usize..6 * BLOCK as usize].to_vec()), Step::Stall];
        }
        (0, false) | (1, true) => answer.steps = vec![Step::Stall],
        _ => {}
    }
    answer
}

/// Fetches until the block is there, and is told to stop then.
async fn until_noted(rig: &mut Rig, server: &Server, source: &str, block: u64) {
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    let control = rig.start_of(source, way).await;
    while !rig.noted_blocks().contains(&block) {
        if let Some(end) = rig.report().await {
            panic!("{source}, before block {block}: {end:?}");
        }
    }
    control.send_modify(|control| control.stop = true);
    assert!(matches!(rig.end().await, End::Stopped));
}

#[tokio::test]
async fn blocks_of_a_part_file_that_is_gone_are_not_taken_for_those_of_the_next() {
    for (source, why) in [
        ("bob:s/f/", "what was staged of it is gone"),
        // What was a file goes into a directory of that name.
        ("bob:s/f", "it is a directory at the source now"),
    ] {
        let all = Files::from([("x".to_owned(), sample(LARGE))]);
        let (sent, phase) = (all.clone(), Arc::new(AtomicUsize::new(0)));
        let now = Arc::clone(&phase);
        let server = Server::start(behaves(move |request| match now.load(Ordering::Relaxed) {
            _ if request.path.contains("?tree") => shares(request, &sent),
            1.. if request.path == "/s/f" => Answer {
                head: "HTTP/1.1 308 Moved\r\nlocation: /s/f/\r\ncontent-length: 0\r\n\r\n".into(),
                steps: Vec::new(),
            },
            1.. if request.path == "/.netkit/v1/manifest/s/f" => status("404 Not Found"),
            phase => by_and_by(request, &sent["x"], phase),
        }))
        .await;
        let rig = &mut Rig::with("connections = 2");
        until_noted(rig, &server, source, 5).await;
        if rig.staged.is_some() {
            std::fs::remove_dir_all(rig.dir.path().join("d/.netkit-1.part")).unwrap();
        }
        phase.store(1, Ordering::Relaxed);
        until_noted(rig, &server, source, LARGE / BLOCK - 1).await;
        assert!(rig.noted_blocks().iter().all(|block| *block >= 6), "{:?}", rig.noted_blocks());
        phase.store(2, Ordering::Relaxed);
        let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
        let _control = rig.start_of(source, way).await;
        let End::Done(done) = rig.end().await else { panic!("{source}") };
        assert!(found(&rig.dir.path().join("d").join(done.name)) == all, "{source}: it has holes");
        assert_eq!(rig.restarted, [why]);
    }
}

#[tokio::test]
async fn what_was_a_directory_comes_as_the_file_that_it_is_now() {
    let (all, file) = (files(&[("a", 5), ("x", 2 << 20)]), sample(3 * BLOCK));
    let (sent, now, phase) = (all.clone(), file.clone(), Arc::new(AtomicUsize::new(0)));
    let at = Arc::clone(&phase);
    let server = Server::start(behaves(move |request| match at.load(Ordering::Relaxed) {
        0 if request.path.ends_with("/f") && request.is_manifest() => status("404 Not Found"),
        0 if request.path == "/s/f" => Answer {
            head: "HTTP/1.1 308 Moved\r\nlocation: /s/f/\r\ncontent-length: 0\r\n\r\n".into(),
            steps: Vec::new(),
        },
        0 if request.path.ends_with("/f/x") && !request.is_manifest() => {
            let answer = honest(request, &sent["x"]);
            Answer { steps: vec![Step::Send(sent["x"][..BLOCK as usize].to_vec()), Step::Break], ..answer }
        }
        0 => shares(request, &sent),
        2 if request.path.ends_with("/f") => honest(request, &now),
        _ => status("404 Not Found"),
    }))
    .await;
    let rig = &mut Rig::new();
    assert_eq!(rig.failed(&server).await.failure.kind, Kind::Short);
    let staged = rig.dir.path().join("d/.netkit-1.part/a");
    assert!(staged.exists() && rig.noted_blocks() == [0], "{:?}", rig.noted);
    // Nothing is shown at present, which may pass.
    phase.store(1, Ordering::Relaxed);
    assert_eq!(rig.failed(&server).await.failure.kind, Kind::NotFound);
    assert!(staged.exists() && rig.staged.is_some() && rig.restarted.is_empty(), "{:?}", rig.restarted);
    phase.store(2, Ordering::Relaxed);
    assert!(rig.fetched(&server).await == file);
    assert_eq!(rig.restarted, ["it is a file at the source now"]);
    assert!(!rig.dir.path().join("d/.netkit-1.part").exists());
}

#[tokio::test]
async fn what_was_a_file_and_is_a_directory_now_takes_its_place() {
    let before = files(&[("a", 5), ("b", 6), ("x", 2 << 20)]);
    let after = files(&[("a/1", 5), ("b", 6), ("x/1", 2 << 20)]);
    let changed = Arc::new(AtomicBool::new(false));
    let (is_changed, then, now) = (Arc::clone(&changed), before.clone(), after.clone());
    let server = Server::start(behaves(move |request| {
        if is_changed.load(Ordering::Relaxed) {
            return match request.path.ends_with("?tree") {
                true => {
                    let dir =
                        |name: &[u8]| TreeLine::Entry(TreeEntry::new(name, EntryKind::Dir)).to_json() + "\n";
                    let files = String::from_utf8(listing(&now)).unwrap();
                    let (before, behind) = files.split_at(files.find("{\"path\":\"x/").unwrap());
                    let behind = behind.replace("\"entries\":3", "\"entries\":5");
                    chunked((dir(b"a") + before + &dir(b"x") + &behind).as_bytes(), true)
                }
                false => shares(request, &now),
            };
        }
        let mut answer = shares(request, &then);
        if request.path.ends_with("/f/x") && !request.is_manifest() {
            answer.steps = vec![Step::Send(then["x"][..BLOCK as usize].to_vec()), Step::Break];
        }
        answer
    }))
    .await;
    let rig = &mut Rig::new();
    failed(rig, &server).await;
    changed.store(true, Ordering::Relaxed);
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    let _control = rig.start_of("bob:s/f/", way).await;
    let end = rig.end().await;
    assert!(matches!(end, End::Done(_)), "{end:?}");
    assert!(found(&rig.dir.path().join("d/f")) == after, "and nothing that was left of a part");
}
