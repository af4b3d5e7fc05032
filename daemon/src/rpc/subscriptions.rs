//! What a session follows. Each subscription has a place in the log and moves on as fast as its client reads: from
//! the feed while it is near the head, from the log where it fell behind. So it holds no queue and misses nothing.

use super::events;
use crate::hub::feed::Feed;
use crate::limits;
use crate::store::{PageRequest, Reader, StoreError};
use netkit_proto::ids::Seq;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event;
use netkit_proto::rpc::filter::Filter;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// A subscription.
#[derive(Debug)]
struct Subscription {
    /// The last event that was delivered, or passed over by the filter.
    position: Seq,
    filter: Arc<Filter>,
    /// A read of the log for it is under way.
    reading: bool,
}

/// A read of the log that a subscription needs.
#[derive(Debug)]
pub(super) struct Catchup {
    pub subscription: u64,
    request: PageRequest,
}

/// Text to deliver, and the place up to which it reaches.
#[derive(Debug)]
pub(super) struct CaughtUp {
    subscription: u64,
    text: String,
    position: Seq,
}

/// A session's subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_id: BTreeMap<u64, Subscription>,
    last_id: u64,
}

impl Subscriptions {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn add(&mut self, position: Seq, filter: Filter) -> Result<u64, Error> {
        if self.by_id.len() >= limits::SUBSCRIPTIONS {
            let why = format!("this session has {} subscriptions already", limits::SUBSCRIPTIONS);
            return Err(Error::new(Kind::Busy, why).hint("end one with events.unsubscribe"));
        }
        self.last_id += 1;
        self.by_id.insert(self.last_id, Subscription { position, filter: Arc::new(filter), reading: false });
        Ok(self.last_id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Result<(), Error> {
        self.by_id.remove(&id).map(|_| ()).ok_or_else(|| unknown(id))
    }

    /// The last event that a subscription delivered or passed over.
    pub(super) fn position(&self, id: u64) -> Result<Seq, Error> {
        self.by_id.get(&id).map(|subscription| subscription.position).ok_or_else(|| unknown(id))
    }

    /// Appends to `out` what can be delivered from the feed, until `out` is full; gives the reads of the log that
    /// are needed to go on.
    pub(super) fn advance(&mut self, feed: &Feed, out: &mut Vec<u8>) -> Vec<Catchup> {
        let mut reads = Vec::new();
        for (&id, subscription) in &mut self.by_id {
            while !subscription.reading
                && subscription.position < feed.head()
                && out.len() < limits::SESSION_OUTPUT
            {
                let Some(entries) = feed.after(subscription.position, 128) else {
                    subscription.reading = true;
                    let request = PageRequest {
                        since: subscription.position,
                        before: feed.head().next(),
                        limit: 512,
                        bytes: limits::READ_BYTES,
                        last: false,
                        filter: Arc::clone(&subscription.filter),
                    };
                    reads.push(Catchup { subscription: id, request });
                    break;
                };
                let mut text = String::new();
                for entry in entries {
                    subscription.position = entry.seq;
                    if subscription.filter.matches(entry.at, &entry.body) {
                        deliver(&mut text, id, |line| {
                            event::write_line(line, entry.seq, entry.at, &entry.body)
                        });
                    }
                }
                out.extend_from_slice(text.as_bytes());
            }
        }
        reads
    }

    /// Whether there is something to deliver that no read of the log is under way for.
    pub(super) fn are_behind(&self, feed: &Feed) -> bool {
        self.by_id.values().any(|subscription| !subscription.reading && subscription.position < feed.head())
    }

    /// A read of the log is done.
    pub(super) fn caught_up(&mut self, caught_up: &CaughtUp, out: &mut Vec<u8>) {
        if let Some(subscription) = self.by_id.get_mut(&caught_up.subscription) {
            subscription.reading = false;
            subscription.position = caught_up.position;
            out.extend_from_slice(caught_up.text.as_bytes());
        }
    }
}

fn unknown(id: u64) -> Error {
    Error::new(Kind::NotFound, format_args!("this session has no subscription {id}"))
}

/// Appends a notification whose result `write` writes.
fn deliver(out: &mut String, subscription: u64, write: impl FnOnce(&mut String)) {
    let head = r#"{"jsonrpc":"2.0","method":"events.event","params":{"subscription":"#;
    let _ = write!(out, r#"{head}{subscription},"result":"#); // writing to a String can't fail
    write(out);
    out.push_str("}}\n");
}

impl Catchup {
    /// Reads the log.
    pub(super) async fn read(self, reader: &Reader) -> Result<CaughtUp, StoreError> {
        let end = self.request.before.prev();
        let page = reader.page(self.request).await?;
        let mut text = String::new();
        events::for_each_line(&page, |write| deliver(&mut text, self.subscription, write));
        let position = if page.more { page.seen.map_or(end, |(_, last)| last) } else { end };
        Ok(CaughtUp { subscription: self.subscription, text, position })
    }
}
