//! One peer: honest, and in every way that it can be wrong.

use super::server::{Answer, Behaviour, Request, Server, Step};
use super::server::{bytes, file, honest, manifest_of, status};
use super::*;
use netkit_proto::files::manifest::BLOCK;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

pub(super) fn sample(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(super) fn behaves(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Behaviour {
    Arc::new(answer)
}

#[tokio::test]
async fn a_file_comes_whole_and_verified() {
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7] {
        let content = sample(size);
        let sent = content.clone();
        let server = Server::start(behaves(move |request| honest(request, &sent))).await;
        let mut rig = Rig::new();
        assert!(rig.fetched(&server).await == content, "{size} bytes");
        let bob = DownloadSource { name: "bob".into(), id: Some(server.id), bytes: size, trouble: None };
        assert_eq!(rig.sources, [bob]);
    }
}

#[tokio::test]
async fn another_box_is_asked_for_nothing() {
    let server = Server::start(behaves(|_| status("500 Oh"))).await;
    let mut rig = Rig::new();
    let way = Way { id: PeerId([9; 32]), label: "bob".into(), addresses: vec![server.address] };
    let _control = rig.start_by(way).await;
    let End::Failed(failed) = rig.end().await else { panic!() };
    assert_eq!(failed.failure.kind, Kind::Tls);
    assert!(failed.failure.message.contains(&server.id.to_string()), "{failed:?}");
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_peer_is_found_at_whichever_of_its_addresses_it_is() {
    let content = sample(10);
    let sent = content.clone();
    let server = Server::start(behaves(move |request| honest(request, &sent))).await;
    let other = Server::start(behaves(|_| status("500 Oh"))).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let addresses = vec![closed, other.address, server.address];
    let mut rig = Rig::new();
    let _control = rig.start_by(Way { id: server.id, label: "bob".into(), addresses }).await;
    assert!(matches!(rig.end().await, End::Done(_)));
    assert!(other.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_there_or_not_shown_is_not_found() {
    for (answer, kind, retry) in [
        ("404 Not Found", Kind::NotFound, Retry::Never),
        ("307 Temporary Redirect", Kind::Refused, Retry::Never),
        ("503 Service Unavailable", Kind::Refused, Retry::Later),
    ] {
        let server = Server::start(behaves(move |_| status(answer))).await;
        let failed = Rig::new().failed(&server).await;
        assert_eq!((failed.failure.kind, failed.retry), (kind, retry), "{answer}");
        assert!(failed.failure.hint.is_some(), "{answer}");
    }
}

#[tokio::test]
async fn who_blocks_and_what_is_too_large_is_told_as_that() {
    for (answer, kind, word) in [
        ("403 Forbidden", Kind::Refused, "has blocked this box"),
        ("422 Unprocessable Entity", Kind::TooLarge, "1 TiB"),
    ] {
        let server = Server::start(behaves(move |_| status(answer))).await;
        let failed = Rig::new().failed(&server).await;
        assert_eq!((failed.failure.kind, failed.retry), (kind, Retry::Never), "{answer}");
        assert!(failed.failure.message.contains(word), "{failed:?}");
    }
}

fn busy(after: u64) -> Answer {
    Answer {
        head: format!("HTTP/1.1 503 Busy\r\nretry-after: {after}\r\ncontent-length: 0\r\n\r\n"),
        steps: Vec::new(),
    }
}

#[tokio::test]
async fn who_is_busy_for_ever_keeps_no_turn_from_others() {
    let server = Server::start(behaves(|_| busy(0))).await;
    let began = tokio::time::Instant::now();
    let failed = Rig::new().failed(&server).await;
    assert_eq!((failed.failure.kind, failed.retry), (Kind::Busy, Retry::Busy(Duration::ZERO)));
    let (took, times) = (began.elapsed(), server.asked_file().len());
    assert!(took < limits::FETCH_BUSY / 2, "it is long until its next turn, and not in this one: {took:?}");
    assert!((3..=12).contains(&times), "it was asked {times} times");
}

#[tokio::test]
async fn who_is_busy_is_asked_again_and_that_is_no_failure() {
    let content = sample(2 * BLOCK);
    let (sent, asked) = (content.clone(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&asked);
    let server = Server::start(behaves(move |request| match request.is_manifest() {
        true if count.fetch_add(1, Ordering::Relaxed) < 2 => busy(0),
        _ => honest(request, &sent),
    }))
    .await;
    assert!(Rig::new().fetched(&server).await == content);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    // Who asks for more time than a turn has gets it after that.
    let server = Server::start(behaves(move |_| busy(3600))).await;
    let failed = Rig::new().failed(&server).await;
    assert_eq!((failed.failure.kind, failed.retry), (Kind::Busy, Retry::Busy(Duration::from_secs(3600))));
}

#[tokio::test]
async fn a_wrong_block_is_noticed_its_giver_named_and_the_others_kept() {
    let content = sample(4 * BLOCK);
    let (sent, heals) = (content.clone(), Arc::new(AtomicBool::new(false)));
    let healed = Arc::clone(&heals);
    let server = Server::start(behaves(move |request| {
        let mut sent = sent.clone();
        if request.is_manifest() {
            return bytes(manifest_of(&sent), "\"1\"");
        }
        if !healed.load(Ordering::Relaxed) {
            sent[2 * BLOCK as usize + 5] ^= 1;
        }
        file(request, &sent, "\"1\"")
    }))
    .await;
    let mut rig = Rig::new();
    let failed = rig.failed(&server).await;
    assert_eq!((failed.failure.kind, failed.retry), (Kind::Corrupt, Retry::Later));
    assert!(failed.failure.message.starts_with("bob gave a block (number 2)"), "{failed:?}");
    assert!(rig.sources[0].trouble.as_ref().unwrap().contains("number 2"), "{:?}", rig.sources);
    assert!(!rig.noted_blocks().contains(&2), "{:?}", rig.noted_blocks());
    let before = rig.noted_blocks().len();
    assert!(before >= 2, "{before} are kept");
    heals.store(true, Ordering::Relaxed);
    assert!(rig.fetched(&server).await == content);
    let asked: u64 = server.asked_file()[1..]
        .iter()
        .map(|request| request.range.clone().map_or(u64::MAX, |range| range.end.min(4 * BLOCK) - range.start))
        .sum();
    assert!(asked <= 2 * BLOCK, "{asked} bytes were asked for again");
    assert_eq!((rig.sources[0].bytes, rig.sources[0].trouble.as_ref()), (4 * BLOCK, None));
}

#[tokio::test]
async fn data_comes_before_the_manifest_and_counts_with_it() {
    let content = sample(3 * BLOCK);
    let (sent, go) = (content.clone(), Arc::new(Notify::new()));
    let gate = Arc::clone(&go);
    let server = Server::start(behaves(move |request| {
        if !request.is_manifest() {
            return file(request, &sent, "\"1\"");
        }
        let mut manifest = manifest_of(&sent);
        let rest = manifest.split_off(8 + 32);
        let head = format!("HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: {}\r\n\r\n", 40 + rest.len());
        let steps = vec![Step::Send(manifest), Step::Wait(Arc::clone(&gate)), Step::Send(rest)];
        Answer { head, steps }
    }))
    .await;
    let mut rig = Rig::new();
    let _control = rig.start(&server).await;
    // All bytes are there, and one block is known to be right.
    while rig.noted_blocks() != [0] {
        assert!(rig.report().await.is_none());
    }
    let part = std::fs::read_dir(rig.dir.path().join("d")).unwrap().next().unwrap().unwrap();
    while part.metadata().unwrap().len() < 3 * BLOCK {
        assert!(rig.report().await.is_none());
    }
    assert_eq!(rig.noted_blocks(), [0]);
    go.notify_one();
    assert!(matches!(rig.end().await, End::Done(_)));
}

#[tokio::test]
async fn a_manifest_that_lies_is_believed_in_nothing() {
    let content = sample(3 * BLOCK);
    let full = manifest_of(&content);
    let mut wrong_value = full.clone();
    wrong_value[8 + 40] ^= 1;
    let mut wrong_hash = full.clone();
    *wrong_hash.last_mut().unwrap() ^= 1;
    let mut wrong_size = full.clone();
    wrong_size[7] ^= 1;
    let of_another = manifest_of(&sample(3 * BLOCK - 1));
    let huge = [&[0xff; 8][..], &full[8..]].concat();
    let too_long = [&full[..], b"x"].concat();
    let too_short = full[..full.len() - 1].to_vec();
    for (what, manifest, kind) in [
        ("a value", wrong_value, Kind::Corrupt),
        ("the hash", wrong_hash, Kind::Corrupt),
        ("the size", wrong_size, Kind::Changed),
        ("another size", of_another, Kind::Changed),
        ("a huge size", huge, Kind::Corrupt),
        ("too long", too_long, Kind::Corrupt),
        ("too short", too_short, Kind::Short),
        ("nothing", Vec::new(), Kind::Short),
    ] {
        let sent = content.clone();
        let server = Server::start(behaves(move |request| {
            if request.is_manifest() {
                bytes(manifest.clone(), "\"1\"")
            } else {
                file(request, &sent, "\"1\"")
            }
        }))
        .await;
        let mut rig = Rig::new();
        // However much of it was there before.
        for _ in 0..3 {
            let failed = rig.failed(&server).await;
            assert_eq!((failed.failure.kind, failed.retry), (kind, Retry::Later), "{what}: {failed:?}");
            assert!(!rig.dir.path().join("d/f").exists());
        }
    }
}

#[tokio::test]
async fn what_is_all_there_counts_once_the_manifest_came_to_its_end() {
    let content = sample(3 * BLOCK);
    let (sent, lies, gate) = (content.clone(), Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
    let (is_lie, go) = (Arc::clone(&lies), Arc::clone(&gate));
    let server = Server::start(behaves(move |request| {
        if !request.is_manifest() || !is_lie.load(Ordering::Relaxed) {
            return honest(request, &sent);
        }
        let Answer { head, .. } = honest(request, &sent);
        let mut values = manifest_of(&sent);
        let mut hash = values.split_off(8 + 3 * 32);
        hash[0] ^= 1;
        Answer { head, steps: vec![Step::Send(values), Step::Wait(Arc::clone(&go)), Step::Send(hash)] }
    }))
    .await;
    let mut rig = Rig::new();
    for _ in 0..2 {
        let _control = rig.start(&server).await;
        while rig.noted_blocks() != [0, 1, 2] {
            assert!(rig.report().await.is_none());
        }
        gate.notify_one();
        let End::Failed(failed) = rig.end().await else {
            panic!("the hash at the end is not that of the values")
        };
        assert_eq!(failed.failure.kind, Kind::Corrupt);
    }
    lies.store(false, Ordering::Relaxed);
    assert!(rig.fetched(&server).await == content);
    assert_eq!(server.asked_file().pop().unwrap().range, Some(3 * BLOCK - 1..u64::MAX), "nothing came twice");
}

#[tokio::test]
async fn a_manifest_of_other_content_accuses_its_peer() {
    let content = sample(3 * BLOCK);
    let mut other = content.clone();
    other[0] ^= 1;
    let manifest = manifest_of(&other);
    let server = Server::start(behaves(move |request| {
        if request.is_manifest() {
            bytes(manifest.clone(), "\"1\"")
        } else {
            file(request, &content, "\"1\"")
        }
    }))
    .await;
    let failed = Rig::new().failed(&server).await;
    assert_eq!(failed.failure.kind, Kind::Corrupt);
    assert!(failed.failure.message.contains("bob gave a block (number 0)"), "{failed:?}");
}

#[tokio::test]
async fn bodies_that_end_early_never_or_late_do_no_harm() {
    let content = sample(3 * BLOCK);
    let length = |len: u64| {
        format!("HTTP/1.1 200 OK\r\netag: \"1\"\r\naccept-ranges: bytes\r\ncontent-length: {len}\r\n\r\n")
    };
    let endless = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for (what, head, steps, kind) in [
        ("cut", length(3 * BLOCK), vec![Step::Send(content[..1 << 20].to_vec()), Step::Break], Kind::Short),
        ("no chunk", endless, vec![Step::Endless], Kind::Network),
        ("not HTTP", String::new(), vec![Step::Endless], Kind::Network),
        ("longer", length(3 * BLOCK + 1), vec![Step::Send(content.clone()), Step::Break], Kind::Changed),
    ] {
        let sent = content.clone();
        let server = Server::start(behaves(move |request| match request.is_manifest() {
            true => honest(request, &sent),
            false => Answer { head: head.clone(), steps: steps.clone() },
        }))
        .await;
        let failed = Rig::new().failed(&server).await;
        assert_eq!((failed.failure.kind, failed.retry), (kind, Retry::Later), "{what}: {failed:?}");
    }
}

#[tokio::test]
async fn a_break_costs_what_was_under_way_and_no_more() {
    let content = sample(6 * BLOCK);
    let (sent, first) = (content.clone(), Arc::new(AtomicBool::new(true)));
    let server = Server::start(behaves(move |request| {
        let mut answer = honest(request, &sent);
        if !request.is_manifest() && first.swap(false, Ordering::Relaxed) {
            let cut = sent[..(3 * BLOCK + 100) as usize].to_vec();
            answer.steps = vec![Step::Send(cut), Step::Break];
        }
        answer
    }))
    .await;
    let mut rig = Rig::new();
    assert_eq!(rig.failed(&server).await.failure.kind, Kind::Short);
    assert_eq!(rig.noted_blocks(), [0, 1, 2]);
    assert!(rig.fetched(&server).await == content);
    let again = server.asked_file().pop().unwrap();
    assert_eq!((again.range, again.if_range.as_deref()), (Some(3 * BLOCK + 100..u64::MAX), Some("\"1\"")));
    assert_eq!(rig.sources[0].bytes, 6 * BLOCK - 100, "what was there again is nobody's");
}

#[tokio::test]
async fn it_stops_when_told_to_and_goes_on_later() {
    let content = sample(4 * BLOCK);
    let (sent, waits) = (content.clone(), Arc::new(AtomicBool::new(true)));
    let is_waiting = Arc::clone(&waits);
    let server = Server::start(behaves(move |request| {
        let mut answer = honest(request, &sent);
        if !request.is_manifest() && is_waiting.load(Ordering::Relaxed) {
            answer.steps = vec![Step::Send(sent[..2 * BLOCK as usize].to_vec()), Step::Stall];
        }
        answer
    }))
    .await;
    let mut rig = Rig::new();
    let control = rig.start(&server).await;
    while rig.noted_blocks() != [0, 1] {
        assert!(rig.report().await.is_none());
    }
    control.send_modify(|control| control.stop = true);
    assert!(matches!(rig.end().await, End::Stopped));
    waits.store(false, Ordering::Relaxed);
    assert!(rig.fetched(&server).await == content);
    assert_eq!(server.asked_file()[1].range, Some(2 * BLOCK..u64::MAX));
}

#[tokio::test]
async fn a_size_that_no_file_has_is_refused_and_never_noted() {
    let size = Arc::new(AtomicU64::new(0));
    let said = Arc::clone(&size);
    let server = Server::start(behaves(move |_| Answer {
        head: format!(
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\naccept-ranges: bytes\r\ncontent-length: {}\r\n\r\n",
            said.load(Ordering::Relaxed)
        ),
        steps: vec![Step::Stall],
    }))
    .await;
    for said in [(1 << 40) + 1, 1 << 63] {
        size.store(said, Ordering::Relaxed);
        let mut rig = Rig::new();
        let failed = rig.failed(&server).await;
        assert_eq!((failed.failure.kind, failed.retry), (Kind::TooLarge, Retry::Never), "{failed:?}");
        assert!(rig.noted.is_none());
    }
}

#[tokio::test]
async fn what_got_its_name_before_that_was_noted_is_done_and_has_no_other_one() {
    let content = sample(9);
    let sent = content.clone();
    let server = Server::start(behaves(move |request| honest(request, &sent))).await;
    let mut rig = Rig::new();
    assert!(rig.fetched(&server).await == content);
    let asked = server.asked_file().len();
    // A file system that can't rename to a free name alone gives it a second one first.
    let dir = rig.dir.path().join("d");
    std::fs::hard_link(dir.join("f"), dir.join(".netkit-1.part")).unwrap();
    assert!(rig.fetched(&server).await == content);
    assert_eq!((server.asked_file().len(), std::fs::read_dir(&dir).unwrap().count()), (asked, 1));
}
