//! Whose turn it is, and what comes after a try that failed.

use super::*;

#[test]
fn turns_are_given_in_order_and_to_no_more_than_may_run() {
    let mut queue = Queue::new();
    let ids: Vec<u64> = (0..4).map(|_| queue.add()).collect();
    assert_eq!((ids, queue.running()), (vec![1, 2, 3, 4], vec![1, 2]));
    queue.finish(1);
    assert_eq!(queue.running(), [2, 3]);
    queue.finish(3);
    queue.finish(2);
    queue.finish(4);
    assert!(queue.running().is_empty() && queue.downloads.ready.is_empty());
    assert_eq!(
        queue.log,
        [
            "queued 1", "active 1", "queued 2", "active 2", "queued 3", "queued 4", "done 1", "active 3",
            "done 3", "active 4", "done 2", "done 4"
        ]
    );
    let counts = queue.downloads.counts();
    assert_eq!((counts.active, counts.waiting, counts.rate), (0, 0, 0));
}

#[test]
fn pauses_between_tries_grow_and_end() {
    let mut queue = Queue::new();
    let id = queue.add();
    let mut before = Duration::ZERO;
    for attempt in 1..limits::FETCH_TRIES {
        queue.fail(id, Retry::Later);
        let pause = queue.pause(id);
        let expected = f64::from(1 << (attempt - 1)).min(limits::FETCH_RETRY_LONGEST.as_secs_f64());
        assert!(is_within(pause, 0.75 * expected..=1.25 * expected), "{attempt}: {pause:?}");
        assert!(pause >= before);
        before = pause;
        assert_eq!(queue.state(id), DownloadState::RetryWait);
        queue.pass(pause - Duration::from_millis(1));
        queue.turn();
        assert!(queue.running().is_empty(), "not before its time");
        queue.pass(Duration::from_millis(1));
        queue.turn();
        assert_eq!(queue.running(), [id]);
    }
    queue.fail(id, Retry::Later);
    assert_eq!(queue.state(id), DownloadState::Failed);
    assert_eq!(queue.downloads.show(id).unwrap().attempts, limits::FETCH_TRIES);
}

#[test]
fn a_try_that_brought_something_begins_the_count_anew() {
    let mut queue = Queue::new();
    let id = queue.add();
    let mut attempts = Vec::new();
    for bytes in [0, 0, 10, 10, 5, 11] {
        queue.progress(id, bytes);
        queue.fail(id, Retry::Later);
        attempts.push(queue.downloads.show(id).unwrap().attempts);
        queue.pass(queue.pause(id));
        queue.turn();
    }
    // What is fetched again after it was lost is nothing new.
    assert_eq!(attempts, [1, 2, 1, 2, 3, 1]);
}

#[test]
fn a_source_may_ask_for_time_and_a_failure_may_be_final() {
    let mut queue = Queue::new();
    let [asked, greedy, last] = [queue.add(), queue.add(), queue.add()];
    queue.fail(asked, Retry::After(Duration::from_secs(40)));
    queue.fail(greedy, Retry::After(Duration::from_secs(1 << 40)));
    assert_eq!(queue.pause(asked), Duration::from_secs(40));
    assert_eq!(queue.pause(greedy), limits::FETCH_RETRY_ASKED);
    queue.fail(last, Retry::Never);
    assert_eq!(queue.state(last), DownloadState::Failed);
    let shown = queue.downloads.show(last).unwrap();
    assert_eq!((shown.error.unwrap().kind, shown.retry_at), (Kind::Network, None));
}

#[test]
fn that_a_peer_is_busy_is_no_failed_try() {
    let mut queue = Queue::new();
    let id = queue.add();
    for _ in 0..2 * limits::FETCH_TRIES {
        queue.fail(id, Retry::Busy(Duration::from_secs(1)));
        assert_eq!(queue.downloads.show(id).unwrap().attempts, 1);
        assert_eq!(queue.pause(id), limits::FETCH_BUSY);
        queue.pass(queue.pause(id));
        queue.turn();
        assert_eq!(queue.running(), [id]);
    }
    queue.fail(id, Retry::Busy(Duration::MAX));
    assert_eq!(queue.pause(id), limits::FETCH_RETRY_ASKED);
}

#[test]
fn those_that_failed_together_do_not_come_back_together() {
    let pauses: BTreeSet<Duration> =
        (0..1000).filter_map(|jitter| run::pause(4, Retry::Later, jitter)).collect();
    assert!(pauses.len() > 900);
    assert!(pauses.iter().all(|&pause| is_within(pause, 6.0..=10.0)), "8 s, a quarter more or less");
}

#[test]
fn a_clock_that_jumps_keeps_nobody_waiting() {
    // Noted before the jump: in a century, or long ago.
    for (jump, longest) in [(100 * 365 * 86_400_000, limits::FETCH_RETRY_ASKED), (-1_000_000, Duration::ZERO)]
    {
        let mut queue = Queue::new();
        let id = queue.add();
        queue.fail(id, Retry::Later);
        let mut row = queue.downloads.entries[&id].row.clone();
        row.retry_at = Some(queue.now.plus_millis(jump));
        let mut queue = Queue::of(LoadedDownloads { rows: vec![row], last_id: id, limit: None });
        assert!(queue.pause(id) <= longest);
        queue.pass(longest);
        queue.turn();
        assert_eq!(queue.running(), [id]);
    }
}

#[test]
fn what_ran_before_a_restart_runs_again() {
    let mut queue = Queue::new();
    let ids = [queue.add(), queue.add(), queue.add()];
    assert_eq!(queue.change(ids[2], Change::Pause), Ok(DownloadState::Paused));
    queue.downloads.entries.get_mut(&ids[1]).unwrap().row.state = DownloadState::Verifying;
    let rows = queue.downloads.entries.values().map(|entry| entry.row.clone()).collect();
    let mut queue = Queue::of(LoadedDownloads { rows, last_id: 9, limit: Some(5) });
    queue.turn();
    assert_eq!(queue.running(), ids[..2]);
    assert_eq!(queue.state(ids[2]), DownloadState::Paused);
    assert_eq!(queue.downloads.counts().limit, 5);
    assert_eq!(queue.add(), 10, "no id comes twice");
}

#[test]
fn the_name_a_file_got_is_shown_once_that_is_committed() {
    let mut queue = Queue::new();
    let id = queue.add();
    let (committed, mut commit) = oneshot::channel();
    let part = PartRow {
        boot: "b".into(),
        file: (1, 2),
        size: Some(9),
        validator: None,
        complete: Some([1; 32]),
        within: None,
    };
    queue.downloads.on_report(queue.now, queue.instant, 0, Report::Complete(id, Some(part), committed));
    assert!(commit.try_recv().is_err(), "not before the commit");
    queue.turn();
    assert_eq!((commit.try_recv(), queue.state(id)), (Ok(()), DownloadState::Verifying));
    let done = Done { name: "f1 (1)".into(), bytes: 9, blake3: [1; 32], verified: true, manifest: None };
    queue.end(id, End::Done(done));
    let shown = queue.downloads.show(id).unwrap();
    assert_eq!((&*shown.path, shown.size, shown.verified), ("/d/f1 (1)", Some(9), true));
    assert_eq!(shown.blake3, Some("01".repeat(32)));
}

#[test]
fn what_comes_from_a_peer_that_is_away_waits_for_it_however_long() {
    let mut queue = Queue::new();
    let bob = PeerId([7; 32]);
    let (reply, mut answer) = oneshot::channel();
    queue.downloads.on_add(queue.now, DownloadRequest { peer: Some(bob), ..request(1) }, reply);
    queue.turn();
    let id = answer.try_recv().unwrap().unwrap().id;
    assert_eq!((queue.downloads.peer_of(id), queue.running()), (Some(bob), vec![id]));
    for _ in 0..3 * limits::FETCH_TRIES {
        queue.fail(id, Retry::Away);
        assert!(queue.pause(id) >= limits::FETCH_RETRY_LONGEST, "no more often than now and then");
        queue.downloads.on_peer(queue.instant, PeerId([8; 32]));
        queue.turn();
        assert!(queue.running().is_empty(), "that another one is there is of no use");
        queue.downloads.on_peer(queue.instant, bob);
        queue.turn();
        assert_eq!(queue.running(), [id]);
    }
    // It came back before it was told that it is away.
    for _ in 0..3 * limits::FETCH_TRIES {
        queue.fail(id, Retry::Back);
        queue.turn();
        assert_eq!(queue.running(), [id], "nothing is left to be waited for");
    }
    // It comes back while it is still being committed that it is waited for.
    queue.started.remove(&id);
    let away = Failed { retry: Retry::Away, ..Failed::new(Kind::Network, "away") };
    queue.downloads.on_report(queue.now, queue.instant, 0, Report::Ended(id, End::Failed(away)));
    queue.downloads.on_peer(queue.instant, bob);
    queue.turn();
    assert_eq!(queue.running(), [id]);
}
