//! What people ask of downloads, while they run and while they do not.

use super::*;

#[test]
fn a_change_of_what_runs_waits_for_the_engine() {
    for (change, discards, state) in [
        (Change::Pause, false, Some(DownloadState::Paused)),
        (Change::Cancel, true, Some(DownloadState::Cancelled)),
        (Change::Remove, true, None),
    ] {
        let mut queue = Queue::new();
        let id = queue.add();
        queue.progress(id, 10);
        let mut answer = queue.ask(id, change);
        queue.turn();
        assert!(answer.try_recv().is_err(), "{change:?}: not yet");
        assert!(queue.started[&id].control.borrow().stop, "{change:?}");
        queue.end(id, End::Stopped);
        if discards {
            assert!(answer.try_recv().is_err(), "{change:?}: its part file is there still");
            assert_eq!(queue.discarded, [id]);
            queue.report(Report::Discarded(id, Ok(())));
        }
        let shown = answer.try_recv().unwrap().unwrap();
        match state {
            Some(state) => assert_eq!((shown.state, queue.state(id)), (state, state)),
            None => assert!(queue.downloads.show(id).is_err()),
        }
        assert!(queue.running().is_empty(), "{change:?}");
    }
}

#[test]
fn whatever_is_asked_at_once_is_answered() {
    let mut queue = Queue::new();
    let id = queue.add();
    let changes = [
        Change::Pause,
        Change::Pause,
        Change::Limit(5),
        Change::Resume,
        Change::Resume,
        Change::Limit(6),
        Change::Retry,
        Change::Cancel,
        Change::Cancel,
        Change::Retry,
        Change::Remove,
        Change::Remove,
        Change::Pause,
    ];
    let mut answers = changes.map(|change| queue.ask(id, change));
    // The engine obeys, as often as it is told to.
    for _ in 0..2 * changes.len() {
        queue.turn();
        let stopped = queue.started.get(&id).is_some_and(|start| start.control.borrow().stop);
        if stopped {
            queue.end(id, End::Stopped);
        }
        for id in std::mem::take(&mut queue.discarded) {
            queue.report(Report::Discarded(id, Ok(())));
        }
    }
    let answers = answers.each_mut().map(|answer| {
        let answer = answer.try_recv().expect("all are answered");
        answer.map(|shown| shown.state).map_err(|error| error.kind())
    });
    use DownloadState::{Active, Cancelled, Paused, Queued};
    let (gone, paused, active) = (Err(Kind::NotFound), Ok(Paused), Ok(Active));
    assert_eq!(answers[..3], [paused, paused, paused]);
    assert!(matches!(answers[3], Ok(Queued)), "{answers:?}");
    assert!(answers[4..7].iter().all(|answer| [Ok(Queued), active].contains(answer)), "{answers:?}");
    assert_eq!(answers[7..9], [Ok(Cancelled), Ok(Cancelled)]);
    assert!(matches!(answers[9], Ok(Queued)), "{answers:?}");
    assert!(answers[10].is_ok(), "{answers:?}");
    assert_eq!(answers[11..], [gone, gone]);
    assert!(queue.downloads.deferred.is_empty());
}

#[test]
fn what_was_done_first_is_done() {
    let mut queue = Queue::new();
    let [id, other] = [queue.add(), queue.add()];
    let mut answer = queue.ask(id, Change::Cancel);
    queue.finish(id);
    assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::Refused);
    assert_eq!(queue.state(id), DownloadState::Done);
    // One that is done goes off the list, and its file stays.
    let mut answer = queue.ask(other, Change::Remove);
    queue.finish(other);
    assert_eq!(answer.try_recv().unwrap().unwrap().state, DownloadState::Done);
    assert!(queue.downloads.show(other).is_err() && queue.discarded.is_empty());
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let mut queue = Queue::new();
    let [done, failed, paused] = [queue.add(), queue.add(), queue.add()];
    queue.finish(done);
    queue.fail(failed, Retry::Never);
    assert_eq!(queue.running(), [paused]);
    let _pausing = queue.ask(paused, Change::Pause);
    queue.end(paused, End::Stopped);
    for (id, change) in [
        (done, Change::Pause),
        (done, Change::Resume),
        (done, Change::Retry),
        (done, Change::Cancel),
        (failed, Change::Pause),
        (failed, Change::Resume),
        (paused, Change::Retry),
    ] {
        assert_eq!(queue.change(id, change), Err(Kind::Refused), "{id} {change:?}");
    }
    assert_eq!(queue.change(99, Change::Pause), Err(Kind::NotFound));
    assert_eq!(queue.change(failed, Change::Retry), Ok(DownloadState::Queued));
    assert_eq!(queue.running(), [failed]);
}

#[test]
fn a_retry_that_waits_comes_at_once_when_asked_for() {
    let mut queue = Queue::new();
    let id = queue.add();
    queue.fail(id, Retry::After(Duration::from_secs(1000)));
    assert_eq!(queue.change(id, Change::Retry), Ok(DownloadState::RetryWait));
    assert_eq!((queue.running(), queue.listed()), (vec![id], vec![id]));
}

#[test]
fn a_limit_holds_at_once_and_is_taken_back_where_it_can_not_be_committed() {
    let mut queue = Queue::new();
    let id = queue.add();
    let mut answer = queue.ask(id, Change::Limit(77));
    assert_eq!(queue.started[&id].control.borrow().limit, 77);
    let step = queue.downloads.steps.pop().unwrap();
    assert!(step.is_asked);
    queue.downloads.on_failed(queue.now, step.follow, &Error::new(Kind::NoSpace, "full"));
    assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::NoSpace);
    assert_eq!(queue.started[&id].control.borrow().limit, 0);
    assert_eq!(queue.downloads.show(id).unwrap().limit, 0);
}

#[test]
fn a_change_that_can_not_be_committed_changes_nothing_and_lets_the_next_pass() {
    let mut queue = Queue::new();
    let id = (queue.add(), queue.add(), queue.add()).2;
    let (mut first, mut second) = (queue.ask(id, Change::Pause), queue.ask(id, Change::Pause));
    let step = queue.downloads.steps.pop().unwrap();
    queue.downloads.on_failed(queue.now, step.follow, &Error::new(Kind::NoSpace, "full"));
    assert_eq!(first.try_recv().unwrap().unwrap_err().kind(), Kind::NoSpace);
    assert_eq!(queue.state(id), DownloadState::Queued);
    queue.turn();
    assert_eq!(second.try_recv().unwrap().unwrap().state, DownloadState::Paused);
}

#[test]
fn places_are_as_asked() {
    let mut queue = Queue::new();
    let ids: Vec<u64> = (0..6).map(|_| queue.add()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    for (id, place, order) in [
        (6, Place::First, [6, 1, 2, 3, 4, 5]),
        (1, Place::Last, [6, 2, 3, 4, 5, 1]),
        (5, Place::Before(2), [6, 5, 2, 3, 4, 1]),
        (6, Place::After(3), [5, 2, 3, 6, 4, 1]),
        (4, Place::Before(4), [5, 2, 3, 6, 4, 1]),
        (1, Place::After(1), [5, 2, 3, 6, 4, 1]),
        (5, Place::After(1), [2, 3, 6, 4, 1, 5]),
    ] {
        let (reply, mut answer) = oneshot::channel();
        queue.downloads.on_move(id, place, reply);
        queue.turn();
        assert_eq!(answer.try_recv().unwrap(), Ok(()));
        assert_eq!(queue.listed(), order, "{id} {place:?}");
    }
    let (reply, mut answer) = oneshot::channel();
    queue.downloads.on_move(1, Place::After(99), reply);
    assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::NotFound);
    // The next turn is the first one's that waits.
    queue.finish(1);
    assert_eq!(queue.running(), [2, 3]);
}

#[test]
fn a_place_outlives_another_change_in_the_same_turn() {
    let mut queue = Queue::new();
    let ids: Vec<u64> = (0..5).map(|_| queue.add()).collect();
    let (reply, _moved) = oneshot::channel();
    queue.downloads.on_move(ids[4], Place::First, reply);
    let _paused = queue.ask(ids[4], Change::Pause);
    queue.turn();
    assert_eq!(queue.listed()[0], ids[4]);
    assert_eq!(queue.change(ids[4], Change::Resume), Ok(DownloadState::Queued));
    assert_eq!(queue.listed()[0], ids[4]);
}

#[test]
fn what_can_not_be_deleted_stays_and_whoever_asked_is_told() {
    let mut queue = Queue::new();
    let [running, other] = [queue.add(), queue.add()];
    queue.fail(other, Retry::Never);
    for (id, state) in [(running, DownloadState::Paused), (other, DownloadState::Failed)] {
        for change in [Change::Cancel, Change::Remove] {
            let mut answer = queue.ask(id, change);
            queue.turn();
            if queue.started.contains_key(&id) {
                queue.end(id, End::Stopped);
            }
            queue.report(Report::Discarded(id, Err("the directory is closed".into())));
            assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::Unavailable);
            assert_eq!(queue.state(id), state, "{change:?}");
        }
    }
}

#[test]
fn what_was_stopped_for_a_change_that_fails_stands_still_and_goes_on_when_it_is_asked_to() {
    for change in [Change::Pause, Change::Cancel, Change::Remove] {
        let mut queue = Queue::new();
        let id = queue.add();
        queue.progress(id, 10);
        let mut answer = queue.ask(id, change);
        queue.started.remove(&id);
        let mut reports = vec![Report::Ended(id, End::Stopped)];
        reports.extend((!matches!(change, Change::Pause)).then_some(Report::Discarded(id, Ok(()))));
        for report in reports {
            queue.downloads.on_report(queue.now, queue.instant, 500, report);
        }
        let full = Error::new(Kind::NoSpace, "the database's disk is full");
        for step in std::mem::take(&mut queue.downloads.steps).into_iter().filter(|step| step.is_asked) {
            queue.downloads.on_failed(queue.now, step.follow, &full);
        }
        assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::NoSpace);
        queue.turn();
        assert_eq!(queue.state(id), DownloadState::Paused, "{change:?}");
        assert_eq!(queue.change(id, Change::Resume), Ok(DownloadState::Queued));
        assert_eq!(queue.running(), [id]);
    }
}
