//! `events.read`, `events.subscribe`, `events.position` and `events.unsubscribe`.

use super::{Handle, Progress, Session};
use crate::limits;
use crate::rpc::Context;
use crate::rpc::events::for_each_line;
use crate::store::{self, PageRequest};
use netkit_proto::ids::Seq;
use netkit_proto::limits as wire;
use netkit_proto::rpc::call::{
    Empty, EventsPosition, EventsRead, EventsSubscribe, EventsUnsubscribe, Page, Position, Subscribed,
};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Record;
use netkit_proto::rpc::filter::Filter;
use std::sync::Arc;

const DEFAULT_LIMIT: u32 = 100;

fn check_filter(filter: &Filter) -> Result<(), Error> {
    filter.check().map_err(|why| Error::new(Kind::InvalidParams, why))
}

impl Handle for EventsSubscribe {
    async fn start(self, session: &mut Session) -> Result<Progress<Subscribed>, Error> {
        session.context.check_epoch(self.epoch)?;
        check_filter(&self.filter)?;
        let (epoch, head) = (session.context.epoch, session.context.feed.head());
        let since = self.since.unwrap_or(head);
        if since > head {
            return Err(Error::new(
                Kind::InvalidParams,
                format_args!("{since} is beyond the log's end {head}"),
            ));
        }
        let subscription = session.subscriptions.add(since, self.filter)?;
        Ok(Progress::Done(Subscribed { subscription, epoch, head }))
    }
}

impl Handle for EventsPosition {
    async fn start(self, session: &mut Session) -> Result<Progress<Position>, Error> {
        let seq = session.subscriptions.position(self.subscription)?;
        Ok(Progress::Done(Position { seq }))
    }
}

impl Handle for EventsUnsubscribe {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        session.subscriptions.remove(self.subscription)?;
        Ok(Progress::Done(Empty {}))
    }
}

impl Handle for EventsRead {
    async fn start(self, session: &mut Session) -> Result<Progress<Page>, Error> {
        session.context.check_epoch(self.epoch)?;
        check_filter(&self.filter)?;
        if !(1..=wire::EVENTS_PAGE).contains(&self.limit.unwrap_or(DEFAULT_LIMIT)) {
            return Err(Error::new(
                Kind::InvalidParams,
                format_args!("limit is not from 1 to {}", wire::EVENTS_PAGE),
            ));
        }
        let context = Arc::clone(&session.context);
        Ok(Progress::large(async move { read(&context, self).await }))
    }
}

/// Reads the log a bounded stretch at a time until the page is full or the range ends.
async fn read(context: &Context, params: EventsRead) -> Result<Page, Error> {
    let head = context.feed.head();
    let from_oldest = params.since.is_none();
    let filter = Arc::new(params.filter);
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let (mut since, mut before) = (params.since.unwrap_or(Seq::START), head.next());
    if let Some(wanted) = params.before {
        before = before.min(wanted);
    }
    let mut stretches: Vec<Vec<Record>> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    let more = loop {
        let request = PageRequest {
            since,
            before,
            limit: limit - count,
            bytes: limits::READ_BYTES.saturating_sub(bytes),
            last: params.last,
            filter: Arc::clone(&filter),
        };
        let mut page = context.reader.page(request).await.map_err(|e| unreadable(&e))?;
        if from_oldest {
            page.gaps.retain(|gap| gap.from != Seq::START.next()); // nothing that was promised is missing there
        }
        bytes += page.entries.iter().map(|entry| entry.body.len()).sum::<usize>();
        count += page.entries.len();
        if let Some((first, last)) = page.seen {
            if params.last { before = first } else { since = last }
        }
        stretches.push(records(&page)?);
        if !page.more || count >= limit || bytes > limits::READ_BYTES {
            break page.more;
        }
    };
    if params.last {
        stretches.reverse();
    }
    let next = match (params.last, more) {
        (true, true) => before,
        (true, false) => head,
        (false, true) => since,
        (false, false) => since.max(before.prev()),
    };
    Ok(Page { epoch: context.epoch, events: stretches.concat(), next, more, head })
}

fn records(page: &store::Page) -> Result<Vec<Record>, Error> {
    let mut records = Vec::with_capacity(page.entries.len());
    let mut line = String::new();
    let mut broken = None;
    for_each_line(page, |write| {
        line.clear();
        write(&mut line);
        match serde_json::from_str(&line) {
            Ok(record) => records.push(record),
            Err(error) => broken = Some(error),
        }
    });
    match broken {
        None => Ok(records),
        Some(error) => {
            Err(Error::new(Kind::InternalError, format_args!("an event in the log is damaged: {error}")))
        }
    }
}

fn unreadable(error: &store::StoreError) -> Error {
    Error::new(Kind::Unavailable, format_args!("can't read the log: {error}"))
        .hint("look into netkitd's log: journalctl -u netkitd")
}
