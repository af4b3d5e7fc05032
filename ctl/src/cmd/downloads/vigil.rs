//! Waiting until downloads have ended: through restarts of netkitd, told as it goes. Events say what happened; what
//! they can't have told (the state at the start, after a gap, in another log) netkitd is asked for. Used by
//! `get --wait` and `queue wait`.

use super::bars::MOST;
use super::fates::{Fates, News};
use super::parting::{goes_on, out_of_time};
use super::{Bars, listen, now};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome, common, exit_of};
use crate::listener::Listener;
use crate::output::{Out, escape_line, say, say_hint, tell};
use crate::wait::{self, Ready, Signals};
use netkit_proto::limits;
use netkit_proto::rpc::call::{Download, DownloadState, DownloadsShow};
use netkit_proto::rpc::code::Kind;
use netkit_proto::rpc::event::{Event, Record};
use std::time::{Duration, Instant};

/// How often progress is drawn.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// However short the time, netkitd has so long to answer how things are.
const LEAST: Duration = Duration::from_secs(1);

/// How it is waited.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// At most so long; `None`: as long as it takes.
    pub within: Option<Duration>,
    /// Print what is done as JSON.
    pub json: bool,
    /// Draw progress on stderr.
    pub live: bool,
    /// Tell failures only.
    pub quiet: bool,
}

/// Downloads that are waited for, from the moment this is made: what happens to them is missed no more.
pub(crate) struct Vigil {
    pub listener: Listener,
    signals: Signals,
    /// Missing once it took no more.
    out: Option<Out>,
    fates: Fates,
    bars: Option<Bars>,
    until: Option<Instant>,
    terms: Terms,
    failures: Vec<Exit>,
}

/// Why there is nothing more to wait for.
enum End {
    AllEnded,
    TimeIsUp,
    Signal(Exit),
}

impl Vigil {
    /// Begins to listen. The time of `terms` runs from now.
    ///
    /// # Errors
    /// Why netkitd can't be listened to.
    pub(crate) fn begin(context: &Context, signals: Signals, out: Out, terms: Terms) -> Outcome<Vigil> {
        let listener = listen(context, &signals)?;
        let until = terms.within.and_then(|time| Instant::now().checked_add(time));
        let bars = terms.live.then(Bars::new);
        let (fates, failures) = (Fates::default(), Vec::new());
        Ok(Vigil { listener, signals, out: Some(out), fates, bars, until, terms, failures })
    }

    /// How to end, where a signal came.
    #[must_use]
    pub(crate) fn caught(&self) -> Option<Exit> {
        self.signals.caught()
    }

    /// Waits for this one too.
    pub(crate) fn add(&mut self, id: u64) {
        self.fates.add(id);
    }

    /// Something failed that was told already: it counts in the verdict.
    pub(crate) fn failed(&mut self, exit: Exit) {
        self.failures.push(exit);
    }

    /// Tells a failure; it counts in the verdict.
    pub(crate) fn fail(&mut self, failure: Failure) {
        tell(&failure);
        self.failures.push(failure.exit);
    }

    /// Waits until all have ended, and says how that was.
    ///
    /// # Errors
    /// The common code of what failed, each told when it happened; [`Exit::Unfinished`] where time is up.
    pub(crate) fn wait(mut self) -> Outcome {
        let end = self.work();
        if let Ok(End::Signal(_)) = end {
            self.bars.iter_mut().for_each(Bars::stay);
        }
        self.bars = None;
        let ids: Vec<u64> = self.fates.pending().collect();
        let unfinished = match end {
            Ok(End::AllEnded) => None,
            Ok(End::TimeIsUp) => Some(out_of_time(&ids)),
            Ok(End::Signal(exit)) => {
                if !ids.is_empty() {
                    tell(&goes_on(exit, &ids));
                }
                return Err(Failure::silent(exit));
            }
            Err(failure) => Some(failure),
        };
        let exits = self.failures.into_iter().chain(unfinished.iter().map(|failure| failure.exit));
        match common(exits) {
            None => Ok(()),
            Some(exit) => {
                Err(unfinished.map_or(Failure::silent(exit), |failure| Failure { exit, ..failure }))
            }
        }
    }

    fn work(&mut self) -> Outcome<End> {
        self.look_at_all()?;
        let mut tick = Instant::now();
        loop {
            self.take_events()?;
            if self.listener.was_replaced() {
                self.look_at_all()?;
                continue;
            }
            if let Some(exit) = self.signals.caught() {
                return Ok(End::Signal(exit));
            }
            if self.fates.is_empty() {
                return Ok(End::AllEnded);
            }
            let now = Instant::now();
            if self.until.is_some_and(|until| until <= now) {
                return Ok(End::TimeIsUp);
            }
            if self.bars.is_some() && tick <= now {
                self.draw()?;
                tick = Instant::now() + TICK;
                continue; // events may have come before the answers
            }
            let next = self.bars.is_some().then_some(tick);
            let deadline = [self.until, next].into_iter().flatten().min();
            let inputs = [self.signals.fd(), self.listener.fd()];
            let ready = wait::readable(&inputs, None, deadline);
            match ready.map_err(|e| Failure::new(Exit::Failed, format!("waiting for downloads: {e}")))? {
                Ready::Input(1) => {
                    self.listener.fill(self.until)?;
                }
                Ready::Input(_) | Ready::Deadline | Ready::OutputClosed => {}
            }
        }
    }

    fn take_events(&mut self) -> Outcome {
        while let Some((record, _)) = self.listener.arrived()? {
            if let Event::Gap { .. } = record.event {
                self.look_at_all()?;
            }
            self.on_event(&record)?;
        }
        Ok(())
    }

    fn on_event(&mut self, record: &Record) -> Outcome {
        match self.fates.on_event(record, now()) {
            Some(News::Done(download)) if self.terms.json => {
                // The event does not tell everything that netkitd knows.
                let ask = [DownloadsShow { id: download.id }];
                let answers = self.listener.ask(&ask, self.patience())?;
                let fuller = answers.and_then(|answers| answers.into_iter().next()).and_then(Result::ok);
                let fuller = fuller.filter(|fuller| fuller.state == DownloadState::Done);
                self.on_done(&fuller.unwrap_or(*download));
            }
            Some(news) => self.on_news(news),
            None => {}
        }
        Ok(())
    }

    fn look_at_all(&mut self) -> Outcome {
        let all: Vec<u64> = self.fates.pending().collect();
        self.look_at(&all)
    }

    /// Asks netkitd how these stand.
    fn look_at(&mut self, ids: &[u64]) -> Outcome {
        for ids in ids.chunks(limits::RPC_BATCH) {
            let asked: Vec<DownloadsShow> = ids.iter().map(|&id| DownloadsShow { id }).collect();
            let Some(answers) = self.listener.ask(&asked, self.patience())? else { return Ok(()) };
            for (&id, answer) in ids.iter().zip(answers) {
                let error = match answer {
                    Ok(download) => {
                        let news = self.fates.on_answer(download, now());
                        news.into_iter().for_each(|news| self.on_news(news));
                        continue;
                    }
                    Err(error) => error,
                };
                self.take_arrived(id)?;
                if error.kind() == Kind::NotFound && self.fates.knows(id) {
                    let news = self.fates.on_absence(id);
                    news.into_iter().for_each(|news| self.on_news(news));
                } else if self.fates.forget(id) {
                    self.fail(error.into());
                }
            }
        }
        Ok(())
    }

    /// What became of a download that is gone may have been told already.
    fn take_arrived(&mut self, id: u64) -> Outcome {
        while self.fates.is_pending(id) {
            let Some((record, _)) = self.listener.arrived()? else { break };
            let news = self.fates.on_event(&record, now());
            news.into_iter().for_each(|news| self.on_news(news));
        }
        Ok(())
    }

    /// Until when netkitd's answer is waited for.
    fn patience(&self) -> Option<Instant> {
        self.until.map(|until| until.max(Instant::now() + LEAST))
    }

    fn draw(&mut self) -> Outcome {
        let ids: Vec<u64> = self.fates.liveliest().iter().take(MOST).map(|download| download.id).collect();
        self.look_at(&ids)?;
        if let Some(bars) = &mut self.bars {
            bars.draw(&self.fates.liveliest(), "Ctrl-C leaves: it goes on", now());
        }
        Ok(())
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Done(download) => self.on_done(&download),
            News::Failed { id, label, why } => {
                let again = format!("to try it again: netkitctl queue retry {id}");
                let hint = why.hint.map_or_else(|| again.clone(), |hint| format!("{hint}; {again}"));
                let message = format!("{label}: {}", why.message);
                let failure = Failure::new(exit_of(why.kind), escape_line(&message));
                self.fail(failure.hint(hint));
            }
            News::Ended { what, hint } => {
                self.fail(Failure { exit: Exit::Failed, message: what, hint });
            }
            News::Note { .. } | News::Waits(_) if self.terms.quiet => {}
            News::Note { what, hint } => {
                say(&escape_line(&what));
                hint.iter().for_each(|hint| say_hint(hint));
            }
            News::Waits(_) if self.bars.is_some() => {} // the lines show it
            News::Waits(what) => say(&escape_line(&what)),
        }
    }

    fn on_done(&mut self, download: &Download) {
        let Some(mut out) = self.out.take() else { return };
        match print(&mut out, download, self.terms.json) {
            Ok(()) => self.out = Some(out),
            // Whoever waits is told by the exit code how it ends, also when nobody reads the paths any more.
            Err(failure) if failure.exit == Exit::Done => {}
            Err(failure) => self.fail(failure),
        }
    }
}

fn print(out: &mut Out, download: &Download, json: bool) -> Outcome {
    if json {
        out.object(download)?;
    } else if out.is_terminal() {
        out.line(&escape_line(&download.path))?;
    } else {
        out.line(&download.path)?;
    }
    out.flush()
}
