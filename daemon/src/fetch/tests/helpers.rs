//! Several peers with the same file: each helps, and who lies, is slow or leaves is done without.

use super::peers::{behaves, sample};
use super::server::{Answer, Request, Step, chunk, honest, status};
use super::*;
use netkit_proto::files::manifest::BLOCK;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

fn way(server: &Server, label: &str) -> Way {
    Way { id: server.id, label: label.into(), addresses: vec![server.address] }
}

/// What a helper does that has these bytes, or others.
fn helps(request: &Request, content: &[u8]) -> Answer {
    assert_eq!(request.if_range, None, "what it calls its version is not known");
    server::file(request, content, "\"of its own\"")
}

/// The same, sent in pieces of 64 KiB, each when the one before is read: for whoever is to be slow.
fn paced(answer: Answer, pause: Duration) -> Answer {
    let Answer { head, steps } = answer;
    let pieces = steps.into_iter().flat_map(|step| match step {
        Step::Send(bytes) => bytes
            .chunks(64 << 10)
            .flat_map(|piece| [Step::Send(piece.to_vec()), Step::Pause(pause)])
            .collect(),
        other => vec![other],
    });
    Answer { head, steps: pieces.collect() }
}

#[tokio::test]
async fn of_three_that_have_it_one_lies() {
    let content = sample(48 * BLOCK);
    let hash = blake3::hash(&content).to_string();
    let mut wrong = content.clone();
    wrong.iter_mut().step_by(1000).for_each(|byte| *byte ^= 1);
    let [main, good, liar] = [content.clone(), content.clone(), wrong];
    let pause = Duration::from_millis(2);
    let bob = Server::start(behaves(move |request| paced(honest(request, &main), pause))).await;
    let carol = Server::start(behaves(move |request| paced(helps(request, &good), pause))).await;
    let mallory = Server::start(behaves(move |request| helps(request, &liar))).await;
    let mut rig = Rig::new();
    rig.helpers = vec![way(&carol, "carol"), way(&mallory, "mallory")];
    assert!(rig.fetched(&bob).await == content);
    assert_eq!(rig.sought, [*blake3::hash(&content).as_bytes()]);
    let path = format!("/.netkit/v1/blob/{hash}");
    assert!(carol.asked.lock().unwrap().iter().all(|request| request.path == path));
    let shown: BTreeMap<&str, &DownloadSource> =
        rig.sources.iter().map(|source| (source.name.as_str(), source)).collect();
    assert_eq!(rig.sources.iter().map(|source| source.bytes).sum::<u64>(), 48 * BLOCK, "{shown:?}");
    assert_eq!(shown["mallory"].bytes, 0);
    assert!(shown["mallory"].trouble.as_ref().unwrap().starts_with("mallory gave a block"), "{shown:?}");
    for name in ["bob", "carol"] {
        assert!(shown[name].bytes > 8 * BLOCK && shown[name].trouble.is_none(), "{shown:?}");
    }
}

#[tokio::test]
async fn who_spoils_a_block_with_a_few_wrong_bytes_is_found() {
    let content = sample(24 * BLOCK);
    let [main, other] = [content.clone(), content.clone()];
    let pause = Duration::from_millis(2);
    let bob = Server::start(behaves(move |request| paced(honest(request, &main), pause))).await;
    let mallory = Server::start(behaves(move |request| {
        let mut answer = helps(request, &other);
        for step in &mut answer.steps {
            if let Step::Send(bytes) = step {
                bytes.truncate(1000);
                bytes[999] ^= 1;
            }
        }
        answer.steps.push(Step::Break);
        answer
    }))
    .await;
    let mut rig = Rig::new();
    rig.helpers = vec![way(&mallory, "mallory")];
    assert!(rig.fetched(&bob).await == content);
    let shown: BTreeMap<&str, &DownloadSource> =
        rig.sources.iter().map(|source| (source.name.as_str(), source)).collect();
    let trouble = shown["mallory"].trouble.as_ref().unwrap();
    assert!(trouble.starts_with("mallory gave a block"), "{shown:?}");
    assert_eq!((shown["bob"].bytes, shown["bob"].trouble.as_ref()), (24 * BLOCK, None));
}

#[tokio::test]
async fn the_last_block_does_not_wait_for_the_slowest() {
    let content = sample(32 * BLOCK);
    let [main, fast] = [content.clone(), content.clone()];
    // A quarter of a megabyte a second: alone it would take two minutes.
    let bob = Server::start(behaves(move |request| match request.is_manifest() {
        true => honest(request, &main),
        false => paced(honest(request, &main), Duration::from_millis(250)),
    }))
    .await;
    let carol = Server::start(behaves(move |request| helps(request, &fast))).await;
    let mut rig = Rig::new();
    rig.helpers = vec![way(&carol, "carol")];
    let began = tokio::time::Instant::now();
    assert!(rig.fetched(&bob).await == content);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(rig.sources.iter().any(|source| source.name == "carol" && source.bytes > 24 * BLOCK));
}

#[tokio::test]
async fn where_the_named_one_breaks_off_or_is_wrong_helpers_bring_the_rest() {
    let content = sample(12 * BLOCK);
    for wrong in [false, true] {
        let [main, other] = [content.clone(), content.clone()];
        let bob = Server::start(behaves(move |request| {
            let mut answer = honest(request, &main);
            if !request.is_manifest() {
                let mut cut = main[..4 * BLOCK as usize].to_vec();
                cut[2 * BLOCK as usize] ^= u8::from(wrong);
                answer.steps = vec![Step::Send(cut), Step::Break];
            }
            answer
        }))
        .await;
        let carol = Server::start(behaves(move |request| helps(request, &other))).await;
        let mut rig = Rig::new();
        rig.helpers = vec![way(&carol, "carol")];
        assert!(rig.fetched(&bob).await == content);
        assert!(rig.sources[0].trouble.is_some(), "{:?}", rig.sources);
    }
}

#[tokio::test]
async fn a_helper_that_has_it_no_more_is_no_failure() {
    let content = sample(24 * BLOCK);
    let main = content.clone();
    let bob = Server::start(behaves(move |request| honest(request, &main))).await;
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let carol = Server::start(behaves(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        status("404 Not Found")
    }))
    .await;
    let mut rig = Rig::new();
    rig.helpers = vec![way(&carol, "carol")];
    assert!(rig.fetched(&bob).await == content);
    assert!(asked.load(Ordering::Relaxed) <= 1);
}

/// How long a test may take in which somebody hangs: far less than that would be waited for.
const SOON: Duration = limits::FETCH_STALLED.checked_div(3).unwrap();

#[tokio::test]
async fn who_hangs_near_the_end_is_not_waited_for() {
    let content = sample(12 * BLOCK);
    let until = || Arc::new(Notify::new());
    for after in [Some(2 * BLOCK as usize), Some(0), None] {
        let [main, other] = [content.clone(), content.clone()];
        let (asked, helped) = (until(), until());
        let (is_asked, is_helped) = (Arc::clone(&asked), Arc::clone(&helped));
        // It sends the last half only when the helper is at work, so that both have something to do.
        let bob = Server::start(behaves(move |request| {
            let mut answer = honest(request, &main);
            if !request.is_manifest() && request.range.is_none() {
                let (first, rest) = main.split_at(4 * BLOCK as usize);
                let wait = Step::Wait(Arc::clone(&is_asked));
                answer.steps = vec![Step::Send(first.to_vec()), wait, Step::Send(rest.to_vec())];
            }
            answer
        }))
        .await;
        let carol = Server::start(behaves(move |request| {
            let Answer { head, steps } = helps(request, &other);
            is_helped.notify_one();
            let Some(after) = after else {
                return Answer { head: String::new(), steps: vec![Step::Stall] };
            };
            let Some(Step::Send(bytes)) = steps.into_iter().next() else { panic!("it sends") };
            let first = bytes[..after.min(bytes.len())].to_vec();
            Answer { head, steps: vec![Step::Send(first), Step::Stall] }
        }))
        .await;
        let mut rig = Rig::with("connections = 1");
        rig.helpers = vec![way(&carol, "carol")];
        let go_on = async {
            helped.notified().await;
            asked.notify_one();
        };
        let both = async { tokio::join!(rig.fetched(&bob), go_on) };
        let (fetched, ()) = tokio::time::timeout(SOON, both)
            .await
            .unwrap_or_else(|_| panic!("it waits for carol: {after:?}"));
        assert!(fetched == content);
    }
}

#[tokio::test]
async fn a_helper_whose_part_never_ends_gives_what_was_asked_for() {
    let content = sample(24 * BLOCK);
    let [main, other] = [content.clone(), content.clone()];
    let bob = Server::start(behaves(move |request| match request.is_manifest() {
        true => honest(request, &main),
        false => paced(honest(request, &main), Duration::from_millis(20)),
    }))
    .await;
    let carol = Server::start(behaves(move |request| {
        let (size, range) = (other.len() as u64, request.range.clone().unwrap());
        let last = range.end.min(size) - 1;
        let status = "HTTP/1.1 206 Partial Content\r\netag: \"of its own\"\r\ntransfer-encoding: chunked";
        let head = format!("{status}\r\ncontent-range: bytes {}-{last}/{size}\r\n\r\n", range.start);
        let part = chunk(&other[range.start as usize..=last as usize]);
        Answer { head, steps: vec![Step::Send(part), Step::Count(|_| chunk(&[7; 1000]))] }
    }))
    .await;
    let mut rig = Rig::with("connections = 1");
    rig.helpers = vec![way(&carol, "carol")];
    assert!(rig.fetched(&bob).await == content);
    assert!(rig.sources.iter().any(|source| source.name == "carol" && source.bytes > 0), "{:?}", rig.sources);
}

#[tokio::test]
async fn who_is_relieved_because_it_is_slow_is_told_of() {
    let content = sample(12 * BLOCK);
    let [main, fast] = [content.clone(), content.clone()];
    let told = Arc::new(Notify::new());
    let is_told = Arc::clone(&told);
    let bob = Server::start(behaves(move |request| match (request.is_manifest(), &request.range) {
        (true, _) => honest(request, &main),
        (false, None) => paced(honest(request, &main), Duration::from_millis(250)),
        // It stays with what was found.
        (false, Some(_)) => Answer { head: String::new(), steps: vec![Step::Stall] },
    }))
    .await;
    let carol = Server::start(behaves(move |request| {
        let Answer { head, mut steps } = helps(request, &fast);
        // What is not shared at a block's end is all that was left to bob.
        if !request.range.clone().unwrap().start.is_multiple_of(BLOCK) {
            steps.insert(0, Step::Wait(Arc::clone(&is_told)));
        }
        Answer { head, steps }
    }))
    .await;
    let mut rig = Rig::with("connections = 1");
    rig.helpers = vec![way(&carol, "carol")];
    let _control = rig.start(&bob).await;
    let slow = |source: &DownloadSource| {
        source.name == "bob" && source.trouble.as_ref().is_some_and(|why| why.starts_with("bob is slow"))
    };
    while !rig.sources.iter().any(slow) {
        assert!(rig.report().await.is_none(), "{:?}", rig.sources);
    }
    told.notify_one();
    assert!(matches!(rig.end().await, End::Done(_)));
}
