//! What is committed together, what fails with what, and what is told before it is synced.

use super::super::Letter;
use super::super::schema::open_writer;
use super::*;
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::rpc::event::Event;
use std::path::Path;

fn receipt() -> Request {
    let event = Event::Delivered { messages: vec![Seq(1)], peer: "bob".into() };
    let ops = vec![Op::Delivered(Timestamp(1), PeerId([1; 32]), 1, event)];
    Request { ops, order: Order::Free }
}

fn line() -> Request {
    let event = Event::Sent { message: Seq(1), peer: "udp://10.0.0.9:9".into() };
    Request { ops: vec![Op::Append(Timestamp(1), event)], order: Order::Free }
}

/// A writer, called from here, and what it tells.
fn writer(path: &Path) -> (WriterThread, mpsc::Receiver<Completion>) {
    let db = open_writer(path).unwrap();
    let (answers, told) = mpsc::channel(4);
    let writer = WriterThread {
        epoch: Epoch(1),
        limit: Retention { age: Duration::from_secs(1 << 40), messages: 1000, size: 1 << 30 },
        stats: log::stats(&db).unwrap(),
        retainer: retention::Retainer::default(),
        answers,
        failed: None,
        room: Room::of(path),
        db,
    };
    (writer, told)
}

#[test]
fn a_group_fails_what_comes_after_a_failure_and_gives_all_ops_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _told) = writer(&dir.path().join("netkit.db"));
    writer.failed = Some(StoreError::NoSpace);
    let ordered = |order| Request { order, ..line() };
    let group = [Order::Free, Order::After, Order::Behind, Order::Again].map(ordered).into();
    let answers = writer.answer(group);
    let is_done: Vec<bool> = answers.iter().map(|answer| answer.result.is_ok()).collect();
    assert_eq!(is_done, [true, false, false, true]);
    assert!(answers.iter().all(|answer| answer.ops.len() == 1) && writer.failed.is_none());
    assert_eq!(writer.stats.head, Seq(2));
}

#[test]
fn a_failure_that_somebody_is_told_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _told) = writer(&dir.path().join("netkit.db"));
    let unstorable = |order| Request { ops: vec![Op::DownloadLimit(Some(u64::MAX))], order };
    for order in [Order::Free, Order::Behind] {
        assert!(writer.answer(vec![unstorable(order)])[0].result.is_err());
        assert!(writer.failed.is_none(), "{order:?}");
    }
    assert!(writer.answer(vec![unstorable(Order::After)])[0].result.is_err());
    assert!(writer.failed.is_some());
}

#[test]
fn what_waits_for_a_peer_goes_with_it_whatever_is_committed_together() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _told) = writer(&dir.path().join("netkit.db"));
    let post = || {
        let event = Event::Sent { message: Seq(1), peer: "bob".into() };
        let text = "x".repeat(limits::BUNDLE / 2).into();
        let letter =
            Letter { n: 0, message: Seq::START, room: None, text, at: Timestamp(1), expires: Timestamp(2) };
        let ops = vec![Op::Post { event, to: vec![PeerId([1; 32])], letter, key: None }];
        Request { ops, order: Order::Free }
    };
    let remove = Request { ops: vec![Op::PeerRemove(PeerId([1; 32]))], order: Order::Free };
    let answers = writer.answer(vec![post(), post(), post(), remove, post()]);
    assert!(answers.iter().all(|answer| answer.result.is_ok()), "{answers:?}");
    let left: Vec<u64> = letters::load(&writer.db).unwrap().iter().map(|(_, letter)| letter.n).collect();
    assert_eq!(left, [1003]);
}

#[test]
fn only_what_comes_again_is_told_before_it_is_synced() {
    assert!(comes_again(&[receipt(), receipt()]));
    assert!(!comes_again(&[receipt(), line()]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netkit.db");
    let (mut writer, mut told) = writer(&path);
    for (request, head) in [(receipt(), 1), (line(), 2), (receipt(), 3)] {
        writer.serve(vec![request]).unwrap();
        let completion = told.try_recv().unwrap();
        assert!(matches!(completion.answers[..], [JobAnswer { result: Ok(_), .. }]), "{completion:?}");
        assert_eq!(completion.stats.head, Seq(head));
        let sync: i64 = writer.db.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(sync, 2, "commits are synced again");
        let events = "SELECT count(*) FROM events";
        let kept: u64 = open_writer(&path).unwrap().query_row(events, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, head);
    }
}
