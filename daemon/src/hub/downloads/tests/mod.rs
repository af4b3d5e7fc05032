//! The queue without store and engine: what is committed, and what the engine does, is what these tests say.

mod changes;
mod lists;
mod turns;

use super::*;
use crate::hub::orders::{Done, End, Failed, PartRow, Progress, Report, Retry, Start};
use netkit_proto::ids::PeerId;
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
            Op::PartRead(_) => Outcome::Part(Box::default()),
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
                Order::List(_) => {} // no business of the queue
            }
        }
    }

    fn add(&mut self) -> u64 {
        let (reply, mut answer) = oneshot::channel();
        let request = request(self.downloads.last_id + 1);
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
        self.end(id, End::Done(Done { name, bytes: 1000, blake3: [7; 32], verified: false, manifest: None }));
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

/// For the file `f` and a number.
fn request(n: u64) -> DownloadRequest {
    let path = SafePath::parse(format!("f{n}").as_bytes()).unwrap();
    DownloadRequest {
        uid: 0,
        source: format!("http://h/f{n}"),
        peer: None,
        target: Target { root: "/d".into(), path },
        named: false,
        force: false,
        checksum: None,
        limit: 0,
        key: None,
    }
}

fn word(event: &Event) -> String {
    match event {
        Event::DownloadQueued { download, .. } => format!("queued {download}"),
        Event::DownloadActive { download, .. } => format!("active {download}"),
        Event::DownloadDone { download, .. } => format!("done {download}"),
        Event::DownloadRemoved { download } => format!("removed {download}"),
        other => format!("{other:?}"),
    }
}

fn is_within(time: Duration, seconds: RangeInclusive<f64>) -> bool {
    seconds.contains(&time.as_secs_f64())
}
