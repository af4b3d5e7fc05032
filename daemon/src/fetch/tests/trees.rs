//! Directories of peers that are honest, broken or mean: what they tell and send is made only where it was asked for.

use super::peers::{behaves, sample};
use super::server::{Answer, Request, Step, honest, status};
use super::*;
use netkit_proto::files::listing::{EntryKind, TreeEnd, TreeEntry, TreeLine};
use netkit_proto::files::manifest::{BLOCK, to_hex};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tar::{Builder, EntryType, Header};

pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) fn files(of: &[(&str, usize)]) -> Files {
    of.iter().map(|(path, len)| ((*path).to_owned(), sample(*len as u64))).collect()
}

pub(super) fn listing(files: &Files) -> Vec<u8> {
    let mut lines = String::new();
    for (path, content) in files {
        let entry = TreeEntry {
            size: Some(content.len() as u64),
            ..TreeEntry::new(path.as_bytes(), EntryKind::File)
        };
        lines += &(TreeLine::Entry(entry).to_json() + "\n");
    }
    let end = TreeEnd { end: true, entries: files.len() as u64, truncated: false };
    (lines + &TreeLine::End(end).to_json() + "\n").into_bytes()
}

pub(super) fn archive(files: &Files, after: &str) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, content) in
        files.iter().filter(|(path, content)| path.as_str() > after && content.len() <= 1 << 20)
    {
        let hash = to_hex(blake3::hash(content).as_bytes());
        builder.append_pax_extensions([("NETKIT.blake3", hash.as_bytes())]).unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What ends with its chunks, as what is made while it is sent does.
pub(super) fn chunked(bytes: &[u8], is_whole: bool) -> Answer {
    let mut body = format!("{:x}\r\n", bytes.len()).into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n");
    let last = if is_whole { Step::Send(b"0\r\n\r\n".to_vec()) } else { Step::Break };
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    Answer { head, steps: vec![Step::Send(body), last] }
}

/// What an honest box does that has these files in `s/f/`.
pub(super) fn shares(request: &Request, files: &Files) -> Answer {
    match request.path.strip_prefix("/s/f/") {
        Some("?tree") => chunked(&listing(files), true),
        Some(query) if query.starts_with("?tar&small=") => {
            let after = query.split_once("&after=").unwrap().1.replace("%2F", "/");
            chunked(&archive(files, &after), true)
        }
        _ => {
            let name = request.path.rsplit_once("/s/f/").unwrap().1;
            honest(request, &files[name])
        }
    }
}

pub(super) fn found(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(&at).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

pub(super) async fn fetched(rig: &mut Rig, server: &Server) -> Files {
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    let _control = rig.start_of("bob:s/f/", way).await;
    match rig.end().await {
        End::Done(done) => found(&rig.dir.path().join("d").join(done.name)),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn failed(rig: &mut Rig, server: &Server) -> Failed {
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    let _control = rig.start_of("bob:s/f/", way).await;
    match rig.end().await {
        End::Failed(failed) => failed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_gone_on_with_where_it_was() {
    let all = files(&[("a/1", 10), ("a/2", 70_000), ("b", 0), ("c/large", 3 << 20), ("d", 500)]);
    let (sent, tars) = (all.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&tars);
    let server = Server::start(behaves(move |request| {
        if request.path.contains("?tar") && count.fetch_add(1, Ordering::Relaxed) == 0 {
            let bytes = archive(&sent, "");
            return chunked(&bytes[..bytes.len() - 2000], false); // in the middle of the last one
        }
        shares(request, &sent)
    }))
    .await;
    let mut rig = Rig::new();
    assert_eq!(failed(&mut rig, &server).await.failure.kind, Kind::Short);
    let staged = rig.staged.clone().unwrap().1;
    assert!(staged.iter().any(|file| file.path.as_bytes() == b"a/2"), "{staged:?}");
    let found = fetched(&mut rig, &server).await;
    assert!(found == all, "{:?}", found.keys());
    let asked = server.asked.lock().unwrap();
    let after: Vec<&str> = asked
        .iter()
        .filter_map(|request| request.path.split_once("&after="))
        .map(|(_, after)| after)
        .collect();
    assert!(
        after.len() <= 2 && after[0].is_empty() && after.get(1).is_none_or(|after| *after == "b"),
        "{after:?}"
    );
    let large = asked.iter().filter(|request| request.path == "/s/f/c/large").count();
    assert_eq!((large, rig.restarted.len()), (1, 0));
}

#[tokio::test]
async fn a_hostile_listing_makes_nothing() {
    for path in ["../evil", "/etc/evil", "a/../../evil", ".netkit-1.part", ""] {
        let entry = TreeEntry { size: Some(1), ..TreeEntry::new(path.as_bytes(), EntryKind::File) };
        let end = TreeEnd { end: true, entries: 1, truncated: false };
        let lines = format!("{}\n{}\n", TreeLine::Entry(entry).to_json(), TreeLine::End(end).to_json());
        let server = Server::start(behaves(move |_| chunked(lines.as_bytes(), true))).await;
        let mut rig = Rig::new();
        assert_eq!(failed(&mut rig, &server).await.failure.kind, Kind::Corrupt, "{path:?}");
        assert!(!rig.dir.path().join("d/f").exists() && !rig.dir.path().join("evil").exists());
    }
}

#[tokio::test]
async fn a_file_above_which_a_file_stands_is_no_way_out() {
    // `a` is a file and a directory at once: one of them can't be made.
    let all = files(&[("a", 5), ("a/b", 5)]);
    let server = Server::start(behaves(move |request| shares(request, &all))).await;
    let mut rig = Rig::new();
    failed(&mut rig, &server).await;
    assert!(!rig.dir.path().join("d/f").exists());
}

#[tokio::test]
async fn what_an_archive_has_besides_is_not_made_and_what_is_wrong_in_it_is_told() {
    let all = files(&[("a", 5), ("b", 6)]);
    let more = files(&[("a", 5), ("aa", 9), ("b", 6), ("zz/evil", 3)]);
    let (told, sent) = (all.clone(), more.clone());
    let server = Server::start(behaves(move |request| match request.path.contains("?tar") {
        true => chunked(&archive(&sent, ""), true),
        false => shares(request, &told),
    }))
    .await;
    assert!(fetched(&mut Rig::new(), &server).await == all);

    let told = all.clone();
    let server = Server::start(behaves(move |request| match request.path.contains("?tar") {
        true => {
            let mut bytes = archive(&told, "");
            let at = bytes.windows(5).position(|window| window == told["a"]).unwrap();
            bytes[at] ^= 1;
            chunked(&bytes, true)
        }
        false => shares(request, &told),
    }))
    .await;
    let failure = failed(&mut Rig::new(), &server).await.failure;
    assert_eq!(failure.kind, Kind::Corrupt, "{failure:?}");

    // Links out, and files through them.
    let told = all.clone();
    let server = Server::start(behaves(move |request| match request.path.contains("?tar") {
        true => {
            let mut builder = Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, "a", "/etc/passwd").unwrap();
            chunked(&builder.into_inner().unwrap(), true)
        }
        false => shares(request, &told),
    }))
    .await;
    let mut rig = Rig::new();
    assert_eq!(failed(&mut rig, &server).await.failure.kind, Kind::Corrupt);
    assert!(found(&rig.dir.path().join("d")).is_empty());
}

#[tokio::test]
async fn small_files_that_the_stream_leaves_out_come_one_by_one() {
    let all = files(&[("a", 5), ("b", 6), ("c", 7)]);
    let (told, sent) = (all.clone(), files(&[("b", 6)]));
    let server = Server::start(behaves(move |request| match request.path.contains("?tar") {
        true => chunked(&archive(&sent, ""), true),
        false => shares(request, &told),
    }))
    .await;
    assert!(fetched(&mut Rig::new(), &server).await == all);
}

#[tokio::test]
async fn what_a_stream_lacks_each_time_is_asked_for_and_told() {
    let all = files(&[("a", 5), ("b", 6), ("c", 7)]);
    let server = Server::start(behaves(move |request| {
        let rest = files(&[("c", 7)]);
        match request.path.contains("?tar") {
            true => {
                let bytes = archive(&rest, "");
                chunked(&bytes[..bytes.len() - 1024], false) // without its end
            }
            false if request.path.ends_with("?tree") => shares(request, &all),
            false => status("404 Not Found"),
        }
    }))
    .await;
    let mut rig = Rig::new();
    let first = failed(&mut rig, &server).await;
    assert_eq!((first.failure.kind, first.retry), (Kind::Short, Retry::Later), "some came");
    let second = failed(&mut rig, &server).await;
    assert_eq!((second.failure.kind, second.retry), (Kind::NotFound, Retry::Never));
}

#[tokio::test]
async fn an_empty_directory_is_one() {
    let server = Server::start(behaves(move |request| shares(request, &Files::new()))).await;
    let mut rig = Rig::new();
    assert!(fetched(&mut rig, &server).await.is_empty());
    assert!(rig.dir.path().join("d/f").is_dir());
}

#[tokio::test]
async fn what_was_asked_for_as_a_file_and_is_a_directory_comes_as_one() {
    let there = files(&[("a", 5), ("b/c", 100), ("large", (2 << 20) + 7)]);
    let shared = there.clone();
    let server = Server::start(behaves(move |request| match request.path.as_str() {
        "/s/f" => Answer {
            head: "HTTP/1.1 308 Permanent Redirect\r\nlocation: /s/f/\r\ncontent-length: 0\r\n\r\n".into(),
            steps: Vec::new(),
        },
        // It is told sooner, and says less.
        "/.netkit/v1/manifest/s/f" => status("404 Not Found"),
        path if path.starts_with("/.netkit/v1/manifest/s/f/") => {
            let name = path.strip_prefix("/.netkit/v1/manifest/s/f/").unwrap();
            honest(request, &shared[name])
        }
        _ => shares(request, &shared),
    }))
    .await;
    let rig = &mut Rig::new();
    let _control = rig.start(&server).await;
    let End::Done(done) = rig.end().await else { panic!() };
    assert!(found(&rig.dir.path().join("d").join(&done.name)) == there);
}

#[tokio::test]
async fn what_can_not_be_had_is_named_before_anything_is_made() {
    for (unreadable, size, kind) in [(true, 5, Kind::Refused), (false, (1 << 40) + 1, Kind::TooLarge)] {
        let entry = TreeEntry { size: Some(size), unreadable, ..TreeEntry::new(b"secret", EntryKind::File) };
        let end = TreeEnd { end: true, entries: 1, truncated: false };
        let lines = [TreeLine::Entry(entry), TreeLine::End(end)].map(|line| line.to_json() + "\n").concat();
        let server = Server::start(behaves(move |_| chunked(lines.as_bytes(), true))).await;
        let rig = &mut Rig::new();
        let failed = failed(rig, &server).await;
        assert_eq!((failed.failure.kind, failed.retry), (kind, Retry::Never), "{failed:?}");
        assert!(failed.failure.message.contains("\"secret\""), "{failed:?}");
        assert_eq!(rig.dir.path().join("d").read_dir().unwrap().count(), 0);
    }
}

pub(super) const LARGE: u64 = 16 * BLOCK;
