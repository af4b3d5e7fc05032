//! Peers that stop, trickle or never end: each is given up in its time, and told as what it is.

use super::peers::{behaves, sample};
use super::server::{Answer, Behaviour, Request, Server, Step, chunk, honest};
use super::trees::{Files, archive, files, shares};
use super::*;
use netkit_proto::files::listing::{EntryKind, TreeEntry, TreeLine};
use netkit_proto::files::manifest::BLOCK;
use std::sync::LazyLock;
use tokio::task::JoinSet;

const MANIFEST: &str = "/.netkit/v1/manifest/";

/// A peer that does so in what it answers to one kind of question, and is honest in all else.
fn but(asked: &'static str, does: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Behaviour {
    let (file, dir) = (sample(3 * BLOCK), files(&[("a", 500), ("b", 500)]));
    behaves(move |request: &Request| {
        let answer = match request.path.starts_with("/s/f/") {
            true => shares(request, &dir),
            false => honest(request, &file),
        };
        if request.path.contains(asked) { does(answer) } else { answer }
    })
}

/// The first bytes of an answer, then these steps with each of the others.
fn after(len: usize, answer: Answer, then: impl Fn(&[u8]) -> Vec<Step>) -> Answer {
    let all: Vec<u8> = answer.steps.into_iter().flat_map(sent).collect();
    let (first, rest) = all.split_at(len.min(all.len()));
    Answer { head: answer.head, steps: [vec![Step::Send(first.to_vec())], then(rest)].concat() }
}

fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// What there is to fetch of a peer that is asked so.
fn source(asked: &str) -> &'static str {
    if asked.starts_with('?') { "bob:s/f/" } else { "bob:s/f" }
}

/// How a download fails that has no other source.
async fn failed(asked: &'static str, lines: &str, behaviour: Behaviour) -> Failed {
    let server = Server::start(behaviour).await;
    let mut rig = Rig::with(lines);
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    let _control = rig.start_of(source(asked), way).await;
    match rig.end().await {
        End::Failed(failed) => failed,
        other => panic!("{asked}: {other:?}"),
    }
}

/// All at once, since each takes as long as a peer may stall.
#[tokio::test]
async fn who_never_answers_stalls_or_trickles_is_given_up_for_a_while() {
    let mut all = JoinSet::new();
    for asked in ["/s/f", MANIFEST, "?tree", "?tar"] {
        let mute = but(asked, |_| Answer { head: String::new(), steps: vec![Step::Stall] });
        let [at_once, midway] =
            [0, 50].map(|len| but(asked, move |answer| after(len, answer, |_| vec![Step::Stall])));
        let drips = but(asked, |answer| {
            after(8, answer, |rest| {
                let drop = |byte: &u8| [Step::Send(vec![*byte]), Step::Pause(Duration::from_secs(2))];
                rest.iter().flat_map(drop).take(200).collect()
            })
        });
        for (what, behaviour) in
            [("mute", mute), ("at once", at_once), ("midway", midway), ("it trickles", drips)]
        {
            all.spawn(async move {
                let until = 2 * limits::FETCH_STALLED;
                let failed = tokio::time::timeout(until, failed(asked, "connections = 2", behaviour)).await;
                let failed = failed.unwrap_or_else(|_| panic!("{asked} {what}: it is waited for"));
                let ended = (failed.failure.kind, failed.retry);
                assert_eq!(ended, (Kind::Timeout, Retry::Later), "{asked} {what}: {failed:?}");
            });
        }
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
}

/// An answer that goes on for ever, with these chunks.
fn endless(status: &str, chunks: fn(u64) -> Vec<u8>) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\netag: \"1\"\r\ntransfer-encoding: chunked\r\n\r\n");
    Answer { head, steps: vec![Step::Count(chunks)] }
}

fn zeros(_: u64) -> Vec<u8> {
    chunk(&[0; 1 << 16])
}

/// Lines of a listing in their order, with long paths, or else there would be very many.
fn lines(number: u64) -> Vec<u8> {
    let path = format!("{number:010}/{}", ["x".repeat(250).as_str(); 12].join("/"));
    let entry = TreeEntry { size: Some(1), ..TreeEntry::new(path.as_bytes(), EntryKind::File) };
    chunk((TreeLine::Entry(entry).to_json() + "\n").as_bytes())
}

/// A file that is in no listing, again and again.
fn members(_: u64) -> Vec<u8> {
    static MEMBER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let bytes = archive(&Files::from([("other".to_owned(), sample(1 << 20))]), "");
        chunk(&bytes[..bytes.len() - 1024]) // without the end
    });
    MEMBER.clone()
}

#[tokio::test]
async fn what_never_ends_is_read_within_bounds() {
    for (asked, chunks, kind) in [
        ("/s/f", zeros as fn(u64) -> Vec<u8>, Kind::Network),
        (MANIFEST, zeros, Kind::Network),
        ("?tree", zeros, Kind::Corrupt),
        ("?tree", lines, Kind::TooLarge),
        ("?tar", members, Kind::Corrupt),
    ] {
        let failed = failed(asked, "", but(asked, move |_| endless("200 OK", chunks))).await;
        assert_eq!(failed.failure.kind, kind, "{asked}: {failed:?}");
    }
}

#[tokio::test]
async fn what_goes_on_behind_all_that_was_wanted_is_not_read() {
    let all = files(&[("a", 500), ("b", 500)]);
    for then in [Step::Count(members), Step::Stall] {
        let there = all.clone();
        let server = Server::start(behaves(move |request| {
            let Answer { head, .. } = endless("200 OK", members);
            let bytes = archive(&there, "");
            let first = Step::Send(chunk(&bytes[..bytes.len() - 1024]));
            match request.path.contains("?tar") {
                true => Answer { head, steps: vec![first, then.clone()] },
                false => shares(request, &there),
            }
        }))
        .await;
        let mut rig = Rig::new();
        let fetched = trees::fetched(&mut rig, &server);
        let fetched = tokio::time::timeout(limits::FETCH_STALLED / 3, fetched).await;
        assert!(fetched.expect("all that is wanted is there") == all);
    }
}
