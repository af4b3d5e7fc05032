//! What is in the log already: the last events that match, or all from a place on.

use super::{End, Stop, Tail};
use crate::incoming::CallError;
use netkit_proto::ids::{Epoch, Seq};
use netkit_proto::limits::EVENTS_PAGE;
use netkit_proto::rpc::call::{Call, EventsRead};
use netkit_proto::rpc::code::Kind;
use netkit_proto::rpc::event::Record;
use serde::Deserialize;
use serde_json::value::RawValue;

/// `call::Page` with its events left as they came.
#[derive(Debug, Deserialize)]
struct RawPage {
    epoch: Epoch,
    events: Vec<Box<RawValue>>,
    next: Seq,
    more: bool,
    head: Seq,
}

impl Tail {
    /// Prints the past; afterwards the position is where to subscribe.
    pub(crate) fn read_history(&mut self) -> Result<Option<End>, Stop> {
        match (self.position.place(), self.settings.last) {
            (None, Some(last)) => self.read_last(last),
            (place, _) => match self.read_on(place) {
                // Only without a cursor: with one, opening it tells.
                Err(Stop::Call(CallError::Answer(e))) if e.kind() == Kind::EpochChanged => {
                    self.say_replaced();
                    self.position.forget();
                    // The new log holds much that was printed already; what comes is what was asked for.
                    self.read_last(0)
                }
                read => read,
            },
        }
    }

    /// Walks back until `wanted` events are found, prints them, and stands at the end of the log.
    fn read_last(&mut self, wanted: usize) -> Result<Option<End>, Stop> {
        let mut found: Vec<(Record, Box<RawValue>)> = Vec::new();
        let mut before = None;
        let mut end = None;
        loop {
            let missing = u32::try_from(wanted - found.len()).unwrap_or(u32::MAX);
            // With a pattern nobody knows how many of a page will match.
            let limit =
                if self.settings.grep.is_some() { EVENTS_PAGE } else { missing.clamp(1, EVENTS_PAGE) };
            let page =
                self.read_page(EventsRead { before, limit: Some(limit), last: true, ..self.request() })?;
            let (epoch, head) = *end.get_or_insert((page.epoch, page.head));
            for raw in page.events.into_iter().rev() {
                if found.len() == wanted {
                    break;
                }
                let record = read_record(&raw)?;
                if self.sink.wants(&record.event) {
                    found.push((record, raw));
                }
            }
            if found.len() == wanted || !page.more {
                // From here on a new cursor is one: what ends this in the middle ends it there.
                let before_all = found.last().map_or(head, |(first, _)| first.seq.prev());
                self.position.handled(epoch, before_all);
                self.flush()?;
                self.commit()?;
                for (record, raw) in found.iter().rev() {
                    if let Some(end) = self.on_event(epoch, record, raw)? {
                        return Ok(Some(end));
                    }
                }
                self.position.handled(epoch, head);
                self.flush()?;
                self.commit()?;
                return Ok(None);
            }
            before = Some(page.next);
        }
    }

    /// Prints everything after `place`, or everything that is kept, and stands where reading ended.
    fn read_on(&mut self, place: Option<(Epoch, Seq)>) -> Result<Option<End>, Stop> {
        let (mut epoch, mut since) = place.unzip();
        loop {
            let page =
                self.read_page(EventsRead { epoch, since, limit: Some(EVENTS_PAGE), ..self.request() })?;
            for raw in &page.events {
                let record = read_record(raw)?;
                if let Some(end) = self.on_event(page.epoch, &record, raw)? {
                    return Ok(Some(end));
                }
            }
            // Past what the filter left out too, so that it is not searched again.
            self.position.handled(page.epoch, page.next);
            self.flush()?;
            self.commit()?;
            if !page.more {
                return Ok(None);
            }
            (epoch, since) = (Some(page.epoch), Some(page.next));
        }
    }

    fn request(&self) -> EventsRead {
        EventsRead { filter: self.settings.filter.clone(), ..EventsRead::default() }
    }

    fn read_page(&mut self, request: EventsRead) -> Result<RawPage, CallError> {
        let answer = self.client.call_raw(EventsRead::METHOD, &request)?;
        serde_json::from_str(answer.get())
            .map_err(|e| CallError::Protocol(format!("a page of events that is none: {e}")))
    }
}

fn read_record(raw: &RawValue) -> Result<Record, CallError> {
    serde_json::from_str(raw.get()).map_err(|e| CallError::Protocol(format!("an event that is none: {e}")))
}
