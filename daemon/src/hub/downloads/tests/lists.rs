//! What is shown, and how much is remembered.

use super::*;

#[test]
fn the_oldest_that_ended_are_forgotten() {
    let mut queue = Queue::new();
    for _ in 0..limits::DOWNLOADS_ENDED + 3 {
        let id = queue.add();
        queue.pass(Duration::from_millis(1));
        queue.finish(id);
    }
    assert_eq!(queue.downloads.entries.len(), limits::DOWNLOADS_ENDED);
    assert_eq!(queue.downloads.entries.keys().next(), Some(&4));
    assert_eq!(queue.log.iter().filter(|word| word.starts_with("removed")).count(), 3);
}

#[test]
fn a_list_comes_in_pages_what_ended_last() {
    let mut queue = Queue::new();
    let ids: Vec<u64> = (0..2000).map(|_| queue.add()).collect();
    queue.finish(1);
    let (mut listed, mut more) = (Vec::new(), true);
    while more {
        let page = queue.downloads.list(&[], listed.len() as u64);
        assert!((1..500).contains(&page.downloads.len()));
        listed.extend(page.downloads.iter().map(|download| download.id));
        more = page.more;
    }
    assert_eq!(listed, [&ids[1..], &[1]].concat());
    let only = queue.downloads.list(&[DownloadState::Done], 0);
    assert_eq!(only.downloads.iter().map(|download| download.id).collect::<Vec<_>>(), [1]);
    assert!(queue.downloads.list(&[], 5000).downloads.is_empty());
}

#[test]
fn the_queue_has_an_end() {
    let mut queue = Queue::new();
    for _ in 0..limits::DOWNLOADS {
        queue.add();
    }
    let (reply, mut answer) = oneshot::channel();
    queue.downloads.on_add(queue.now, request(0), reply);
    assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::Busy);
    queue.finish(1);
    queue.add(); // those that ended do not count
}
