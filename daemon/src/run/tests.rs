//! The hub and a real store, with one of those that it works with held up.

use crate::config::Config;
use crate::files::Target;
use crate::hub::handle::{Arrived, Change, ChatInput, Command, DownloadRequest};
use crate::hub::links::Introduction;
use crate::hub::orders::{Order, Report};
use crate::hub::{self, Ends, Hub};
use crate::store::{StoreError, Writer};
use crate::{limits, store};
use netkit_proto::chat::plain::{Encoding, Line};
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::path::SafePath;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// As the socket hands them over.
fn batch() -> ChatInput {
    let line = Line { text: "x".into(), encoding: Encoding::Utf8 };
    let arrived = Arrived { from: ([10, 0, 0, 9], 1).into(), local: None, line };
    ChatInput { lines: vec![arrived; limits::INTAKE_BATCH], sent: Vec::new() }
}

/// A hub that works on a store of its own in this file.
fn start(path: &Path) -> (Ends, JoinHandle<Result<Writer, StoreError>>) {
    let (keep, config) = watch::channel(Arc::new(Config::from_text("")));
    let (writer, completions, _reader, loaded) = store::open(path, hub::retention(&config.borrow())).unwrap();
    let introduction = Introduction {
        name: "me".parse().unwrap(),
        instance: 1,
        file_port: None,
        rooms: Vec::new(),
        epoch: Epoch(1),
    };
    let (hub, ends) = Hub::new(config, writer, completions, loaded, PeerId([9; 32]), introduction);
    let hub = async move {
        let _keep = keep;
        hub.run().await
    };
    (ends, tokio::spawn(hub))
}

#[tokio::test]
async fn a_flood_has_no_more_work_ahead_than_two_commits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netkit.db");
    let (ends, hub) = start(&path);
    let snapshot = ends.snapshot.clone();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut taken = 0;
    'taking: while taken < limits::STORE_JOBS {
        for _ in 0..100 {
            if ends.chat_input.try_send(batch()).is_ok() {
                taken += 1;
                continue 'taking;
            }
            tokio::task::yield_now().await; // the hub goes on for as long as it can
        }
        break;
    }
    let waiting = ends.chat_input.max_capacity();
    assert_eq!(taken, limits::STORE_ROWS / limits::INTAKE_BATCH + waiting);
    other.execute_batch("ROLLBACK").unwrap();
    drop(ends); // and the hub ends when all is committed
    hub.await.unwrap().unwrap().join();
    assert_eq!(snapshot.borrow().log.head.0, (taken * limits::INTAKE_BATCH) as u64);
}

fn download(n: usize) -> Box<DownloadRequest> {
    Box::new(DownloadRequest {
        uid: 0,
        source: format!("http://h/f{n}"),
        peer: None,
        target: Target { root: "/d".into(), path: SafePath::parse(format!("f{n}").as_bytes()).unwrap() },
        named: false,
        force: false,
        checksum: None,
        limit: 0,
        key: None,
    })
}

#[tokio::test]
async fn an_engine_that_was_busy_is_given_the_rest_as_soon_as_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ends, hub) = start(&dir.path().join("netkit.db"));
    let mut ids = Vec::new();
    for n in 0..limits::FETCH_ORDERS * 3 {
        let added = ends.handle.ask(|reply| Command::DownloadAdd(download(n), None, reply)).await.unwrap();
        ids.push(added.wait().await.unwrap().id);
    }
    for _ in 0..4 {
        assert!(matches!(ends.orders.recv().await, Some(Order::Start(_))), "those that may run do");
    }
    // No turn of the hub is due but those that somebody causes: time stands still while anybody can go on.
    tokio::time::pause();
    let begin = Instant::now();
    let mut answers = Vec::new();
    for &id in &ids[4..] {
        let cancel = |reply| Command::DownloadChange(id, Change::Cancel, reply);
        answers.push(ends.handle.ask(cancel).await.unwrap());
    }
    for &id in &ids[4..] {
        let order = ends.orders.recv().await;
        assert!(matches!(order, Some(Order::Discard(told, _)) if told == id), "{order:?} for {id}");
    }
    assert_eq!(begin.elapsed().as_millis(), 0);
    tokio::time::resume();
    for &id in &ids[4..] {
        ends.reports.send(Report::Discarded(id, Ok(()))).await.unwrap();
    }
    for answer in answers {
        answer.wait().await.unwrap();
    }
    drop(ends);
    hub.await.unwrap().unwrap().join();
}
