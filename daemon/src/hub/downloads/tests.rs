//! The queue without store and engine: what is committed, and what the engine does, is what these tests say.

use super::*;
use crate::hub::orders::{Done, End, Failed, PartRow, Progress, Report, Retry, Start};
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::Place;
use std::ops::RangeInclusive;

const ACTIVE: usize = 2;

/// The queue, a clock, and what was committed and ordered so far.
struct Queue {
    downloads: Downloads,
    now: Timestamp,
    instant: Instant,
    /// Names of events, in the order of their commits.
    log: Vec<String>,
    started: BTreeMap<u64, Start>,
    discarded: Vec<u64>,
}

impl Queue {
    fn new() -> Queue {
        Queue::of(LoadedDownloads { rows: Vec::new(), last_id: 0, limit: None })
    }

    fn of(loaded: LoadedDownloads) -> Queue {
        let (now, instant) = (Timestamp(1_800_000_000_000), Instant::now());
        let (downloads, _) = Downloads::new(loaded, 0, now, instant);
        Queue { downloads, now, instant, log: Vec::new(), started: BTreeMap::new(), discarded: Vec::new() }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus_millis(time.as_millis() as i64);
        self.instant += time;
    }

    /// Gives turns, and commits everything until nothing is left to commit.
    fn turn(&mut self) {
        self.turn_with(|op| match op {
            Op::PartRead(_) => Outcome::Part(None),
            _ => Outcome::Done(true),
        });
    }

    fn turn_with(&mut self, outcome: impl Fn(&Op) -> Outcome) {
        loop {
            self.downloads.schedule(self.now, self.instant, ACTIVE, 16);
            let steps = std::mem::take(&mut self.downloads.steps);
            if steps.is_empty() {
                break;
            }
            for step in steps {
                for op in &step.ops {
                    match op {
                        Op::Append(_, event) | Op::DownloadAdd { event, .. } => self.log.push(word(event)),
                        _ => {}
                    }
                }
                let last = outcome(step.ops.last().unwrap());
                self.downloads.on_committed(self.now, self.instant, step.follow, last);
            }
        }
        for order in std::mem::take(&mut self.downloads.orders) {
            match order {
                Order::Start(start) => drop(self.started.insert(start.id, *start)),
                Order::Discard(id, _) => self.discarded.push(id),
            }
        }
    }

    fn add(&mut self) -> u64 {
        let (reply, mut answer) = oneshot::channel();
        let n = self.downloads.last_id + 1;
        let path = SafePath::parse(format!("f{n}").as_bytes()).unwrap();
        let request = DownloadRequest {
            uid: 0,
            source: format!("http://h/f{n}"),
            target: Target { root: "/d".into(), path },
            named: false,
            force: false,
            checksum: None,
            limit: 0,
            key: None,
        };
        self.downloads.on_add(self.now, request, reply);
        self.turn();
        answer.try_recv().unwrap().unwrap().id
    }

    fn ask(&mut self, id: u64, change: Change) -> oneshot::Receiver<Result<Download, Error>> {
        let (reply, answer) = oneshot::channel();
        self.downloads.on_change(self.now, id, change, reply);
        answer
    }

    /// A change that happens at once.
    fn change(&mut self, id: u64, change: Change) -> Result<DownloadState, Kind> {
        let mut answer = self.ask(id, change);
        self.turn();
        answer.try_recv().unwrap().map(|shown| shown.state).map_err(|error| error.kind())
    }

    fn report(&mut self, report: Report) {
        self.downloads.on_report(self.now, self.instant, 500, report);
        self.turn();
    }

    fn progress(&mut self, id: u64, bytes: u64) {
        let progress = Progress { size: Some(1000), bytes, rate: 7 };
        self.report(Report::Progress(id, progress, None));
    }

    fn end(&mut self, id: u64, end: End) {
        self.started.remove(&id);
        self.report(Report::Ended(id, end));
    }

    fn fail(&mut self, id: u64, retry: Retry) {
        let failed = Failed { retry, ..Failed::new(Kind::Network, "no way") };
        self.end(id, End::Failed(failed));
    }

    fn finish(&mut self, id: u64) {
        let name = format!("f{id}");
        self.end(id, End::Done(Done { name, bytes: 1000, blake3: [7; 32], verified: false }));
    }

    fn state(&self, id: u64) -> DownloadState {
        self.downloads.show(id).unwrap().state
    }

    fn running(&self) -> Vec<u64> {
        self.started.keys().copied().collect()
    }

    fn listed(&self) -> Vec<u64> {
        self.downloads.list(&[], 0).downloads.iter().map(|download| download.id).collect()
    }

    /// How long a failed download waits.
    fn pause(&self, id: u64) -> Duration {
        self.downloads.entries[&id].retry.unwrap().saturating_duration_since(self.instant)
    }
}

fn word(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap();
    format!("{} {}", json["kind"].as_str().unwrap().trim_start_matches("download."), json["download"])
}

fn is_within(time: Duration, seconds: RangeInclusive<f64>) -> bool {
    seconds.contains(&time.as_secs_f64())
}

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
fn those_that_failed_together_do_not_come_back_together() {
    let pauses: BTreeSet<Duration> = (0..1000).filter_map(|jitter| pause_of(4, jitter)).collect();
    assert!(pauses.len() > 900);
    assert!(pauses.iter().all(|&pause| is_within(pause, 6.0..=10.0)), "8 s, a quarter more or less");
}

fn pause_of(attempts: u32, jitter: u64) -> Option<Duration> {
    run::pause(attempts, Retry::Later, jitter)
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
    assert_eq!(answers[..3], [paused.clone(), paused.clone(), paused]);
    assert!(matches!(answers[3], Ok(Queued)), "{answers:?}");
    assert!(answers[4..7].iter().all(|answer| [Ok(Queued), active.clone()].contains(answer)), "{answers:?}");
    assert_eq!(answers[7..9], [Ok(Cancelled), Ok(Cancelled)]);
    assert!(matches!(answers[9], Ok(Queued)), "{answers:?}");
    assert!(answers[10].is_ok(), "{answers:?}");
    assert_eq!(answers[11..], [gone.clone(), gone]);
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
        assert!(serde_json::to_vec(&page).unwrap().len() < 1 << 20 && !page.downloads.is_empty());
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
    let target = Target { root: "/d".into(), path: SafePath::parse(b"x").unwrap() };
    let request = DownloadRequest {
        uid: 0,
        source: "http://h/x".into(),
        target,
        named: false,
        force: false,
        checksum: None,
        limit: 0,
        key: None,
    };
    queue.downloads.on_add(queue.now, request, reply);
    assert_eq!(answer.try_recv().unwrap().unwrap_err().kind(), Kind::Busy);
    queue.finish(1);
    queue.add(); // those that ended do not count
}

#[test]
fn the_name_a_file_got_is_shown_once_that_is_committed() {
    let mut queue = Queue::new();
    let id = queue.add();
    let (committed, mut commit) = oneshot::channel();
    let part =
        PartRow { boot: "b".into(), file: (1, 2), size: Some(9), validator: None, complete: Some([1; 32]) };
    queue.downloads.on_report(queue.now, queue.instant, 0, Report::Complete(id, part, committed));
    assert!(commit.try_recv().is_err(), "not before the commit");
    queue.turn();
    assert_eq!((commit.try_recv(), queue.state(id)), (Ok(()), DownloadState::Verifying));
    let done = Done { name: "f1 (1)".into(), bytes: 9, blake3: [1; 32], verified: true };
    queue.end(id, End::Done(done));
    let shown = queue.downloads.show(id).unwrap();
    assert_eq!((&*shown.path, shown.size, shown.verified), ("/d/f1 (1)", Some(9), true));
    assert_eq!(shown.blake3, Some("01".repeat(32)));
}
