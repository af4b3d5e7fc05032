//! `netkitctl queue --watch`: the queue as it goes on, drawn on a terminal or as lines of JSON. Both go on through
//! restarts of netkitd and end when nothing is unfinished.

use crate::cmd::downloads::{Bars, TICK, all, download_of, listen, now, unfinished};
use crate::cmd::status::queue_in_short;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::listener::Listener;
use crate::output::Out;
use crate::wait::{self, Ready, Signals};
use netkit_proto::rpc::call::{Call, Download, DownloadState, DownloadsList, DownloadsShow, NodeStatus};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Instant;

/// The queue, as long as there is something unfinished in it.
pub(super) struct Watch {
    listener: Listener,
    signals: Signals,
    /// Only what is in these states; none: all.
    states: Vec<DownloadState>,
}

impl Watch {
    /// Begins to listen.
    ///
    /// # Errors
    /// Why netkitd can't be listened to.
    pub(super) fn begin(context: &Context, signals: Signals, states: Vec<DownloadState>) -> Outcome<Watch> {
        Ok(Watch { listener: listen(context, &signals)?, signals, states })
    }

    /// Draws progress on stderr.
    ///
    /// # Errors
    /// The signal that ended it, or what netkitd answered.
    pub(super) fn draw(mut self) -> Outcome {
        let mut bars = Bars::new();
        let outcome = self.draw_on(&mut bars);
        if self.signals.caught().is_some() {
            bars.stay();
        }
        outcome
    }

    fn draw_on(&mut self, bars: &mut Bars) -> Outcome {
        let states = if self.states.is_empty() { unfinished() } else { self.states.clone() };
        loop {
            let list = self.ask(&DownloadsList { states: states.clone(), skip: 0 })?;
            let status = self.ask(&NodeStatus {})?.downloads;
            if status.active + status.waiting + status.paused == 0 {
                return Ok(());
            }
            let downloads: Vec<&Download> = list.downloads.iter().collect();
            let foot = format!("{}; Ctrl-C leaves", queue_in_short(&status));
            bars.draw(&downloads, &foot, now());
            let tick = Instant::now() + TICK;
            while self.wait(None, Some(tick))? != Ready::Deadline {
                while self.listener.arrived()?.is_some() {} // drawn at the next tick
            }
        }
    }

    /// Prints each download as it is, and again when its state has changed.
    ///
    /// # Errors
    /// As [`Watch::draw`], or what stdout does not take.
    pub(super) fn print(mut self, mut out: Out) -> Outcome {
        let mut seen = BTreeMap::new();
        self.print_all(&mut seen, &mut out)?;
        loop {
            while let Some((record, _)) = self.listener.arrived()? {
                if let Event::Gap { .. } = record.event {
                    self.print_all(&mut seen, &mut out)?;
                }
                let Some(id) = download_of(&record.event) else { continue };
                let answer = self.listener.ask(&[DownloadsShow { id }], None)?.ok_or_else(|| self.left())?;
                match answer.into_iter().next() {
                    Some(Ok(download)) => self.print_one(&download, &mut seen, &mut out)?,
                    Some(Err(_)) | None => {
                        seen.remove(&id); // it was removed
                    }
                }
            }
            if self.listener.was_replaced() {
                seen.clear();
                self.print_all(&mut seen, &mut out)?;
            }
            out.flush()?;
            if seen.values().all(|(state, _)| state.is_ended())
                || self.wait(Some(&out), None)? == Ready::OutputClosed
            {
                return Ok(());
            }
        }
    }

    fn print_all(&mut self, seen: &mut Seen, out: &mut Out) -> Outcome {
        for download in all(&[], |page| self.ask(page))? {
            self.print_one(&download, seen, out)?;
        }
        Ok(())
    }

    fn print_one(&self, download: &Download, seen: &mut Seen, out: &mut Out) -> Outcome {
        let state = (download.state, download.changed);
        let is_new = seen.insert(download.id, state) != Some(state);
        let is_wanted = self.states.is_empty() || self.states.contains(&download.state);
        if is_new && is_wanted { out.object(download) } else { Ok(()) }
    }

    /// Waits for events, taking them in, until `deadline`.
    fn wait(&mut self, out: Option<&Out>, deadline: Option<Instant>) -> Outcome<Ready> {
        let inputs = [self.signals.fd(), self.listener.fd()];
        let ready = wait::readable(&inputs, out.map(Out::fd), deadline);
        let ready = ready.map_err(|e| Failure::new(Exit::Failed, format!("waiting for downloads: {e}")))?;
        if ready == Ready::Input(1) {
            self.listener.fill(None)?;
        }
        self.signals.caught().map_or(Ok(ready), |exit| Err(Failure::silent(exit)))
    }

    fn ask<C: Call + Clone>(&mut self, call: &C) -> Outcome<C::Answer> {
        let answers = self.listener.ask(std::slice::from_ref(call), None)?;
        let answer = answers.and_then(|answers| answers.into_iter().next()).ok_or_else(|| self.left())?;
        Ok(answer?)
    }

    /// The signal that ended a call.
    fn left(&self) -> Failure {
        Failure::silent(self.signals.caught().unwrap_or(Exit::Failed))
    }
}

/// How downloads were when they were printed last.
type Seen = BTreeMap<u64, (DownloadState, Timestamp)>;
