//! Numbers that identify things: the place in the event log.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of an event in the log: the first is 1, each next one higher by one, none ever reused within an
/// [`Epoch`]. The number of a `message.queued` event is also the message's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event: reading since this place gives everything that is kept.
    pub const START: Seq = Seq(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    /// The number before this one; [`Seq::START`] stays where it is.
    #[must_use]
    pub const fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which log a [`Seq`] counts in: drawn when a log begins, so that a place in a log that was replaced (a restored
/// backup, a new state directory) is noticed. At most 2^53 - 1, which every JSON reader keeps exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch that these random bits stand for.
    #[must_use]
    pub const fn from_random(bits: u64) -> Epoch {
        Epoch(bits & ((1 << 53) - 1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
