//! The hub and a real store, which somebody holds up.

use crate::config::Config;
use crate::hub::handle::{Arrived, ChatInput};
use crate::hub::links::Introduction;
use crate::hub::{self, Hub};
use crate::{limits, store};
use netkit_proto::chat::plain::{Encoding, Line};
use netkit_proto::ids::{Epoch, PeerId};
use std::sync::Arc;
use tokio::sync::watch;

/// As the socket hands them over.
fn batch() -> ChatInput {
    let line = Line { text: "x".into(), encoding: Encoding::Utf8 };
    let arrived = Arrived { from: ([10, 0, 0, 9], 1).into(), local: None, line };
    ChatInput { lines: vec![arrived; limits::INTAKE_BATCH], sent: Vec::new() }
}

#[tokio::test]
async fn a_flood_has_no_more_work_ahead_than_two_commits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netkit.db");
    let (_keep, config) = watch::channel(Arc::new(Config::from_text("")));
    let (writer, completions, _reader, loaded) =
        store::open(&path, hub::retention(&config.borrow())).unwrap();
    let introduction = Introduction {
        name: "me".parse().unwrap(),
        instance: 1,
        file_port: None,
        rooms: Vec::new(),
        epoch: Epoch(1),
    };
    let (hub, ends) = Hub::new(config, writer, completions, loaded, PeerId([9; 32]), introduction);
    let snapshot = ends.snapshot.clone();
    let hub = tokio::spawn(hub.run());
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
