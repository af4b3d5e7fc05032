//! `events.*`: reading and following the log.

use crate::ids::{Epoch, Seq};
use crate::rpc::event::Record;
use crate::rpc::filter::Filter;
use serde::{Deserialize, Serialize};

super::plain_data! {
    /// Parameters of `events.read`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    EventsRead {
        /// Which log the numbers belong to; another one than the present is an error.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// Read what comes after this number. Missing: from the oldest event that is kept, without a gap.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Seq>,
        /// Read only what comes before this number.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Seq>,
        /// At most so many events, 1 to 1000; default 100.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// The last ones that match instead of the first ones; still in rising order.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        last: bool,
        /// Which events.
        filter: Filter,
    }

    /// Answer of `events.read`.
    Page {
        /// Which log this is.
        epoch: Epoch,
        /// Events in rising order.
        events: Vec<Record>,
        /// With `more`, ask again with `since` = this; with `last`, with `before` = this. Otherwise the place up
        /// to which the log was read: subscribe since here to miss nothing.
        next: Seq,
        /// Whether there may be more to read in this direction.
        more: bool,
        /// The highest number in the log.
        head: Seq,
    }

    /// Parameters of `events.subscribe`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    EventsSubscribe {
        /// Which log `since` belongs to; another one than the present is an error.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// Deliver what comes after this number. Missing: only what happens from now on.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Seq>,
        /// Which events.
        filter: Filter,
    }

    /// Answer of `events.subscribe`; the events follow it.
    Subscribed {
        /// The number that this session's notifications carry.
        subscription: u64,
        /// Which log this is.
        epoch: Epoch,
        /// The highest number in the log at this moment.
        head: Seq,
    }

    /// Parameters of the notification `events.event`.
    Delivery {
        /// Which subscription.
        subscription: u64,
        /// The event.
        result: Record,
    }

    /// Parameters of `events.position`.
    #[serde(deny_unknown_fields)]
    EventsPosition {
        /// Which subscription.
        subscription: u64,
    }

    /// Answer of `events.position`.
    Position {
        /// Every event up to this number was delivered, or passed over by the filter.
        seq: Seq,
    }

    /// Parameters of `events.unsubscribe`.
    #[serde(deny_unknown_fields)]
    EventsUnsubscribe {
        /// Which subscription.
        subscription: u64,
    }
}
