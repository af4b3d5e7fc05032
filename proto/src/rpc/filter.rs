//! Which events a reader wants, told from the stored JSON of each: only the few members that it needs are read.

use super::event::NOUNS;
use crate::limits;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Which events a reader wants. Nothing set: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Kinds, or what they start with before a dot: `message` takes `message.received` too. `gap` always comes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// The peer as events name it; `udp://HOST` takes every port of that host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The room, without its `@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Only events at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// Only events before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The members of a stored body that filters look at.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    peer: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    room: Option<Cow<'a, str>>,
}

impl Filter {
    /// Whether this filter is within bounds.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.topics.len() > limits::TOPICS {
            return Err(format!("{} topics, at most {} are allowed", self.topics.len(), limits::TOPICS));
        }
        let noun = |topic: &str| topic.split('.').next().is_some_and(|noun| NOUNS.contains(&noun));
        if let Some(topic) = self.topics.iter().find(|topic| !noun(topic)) {
            return Err(format!("no event is of the topic {topic:?}; there is {}", NOUNS.join(", ")));
        }
        Ok(())
    }

    /// Whether an event with this time and stored body is wanted.
    #[must_use]
    pub fn matches(&self, at: Timestamp, body: &str) -> bool {
        if self.after.is_some_and(|after| at < after) || self.until.is_some_and(|until| at >= until) {
            return false;
        }
        if self.topics.is_empty() && self.peer.is_none() && self.room.is_none() {
            return true;
        }
        let Ok(head) = serde_json::from_str::<Head<'_>>(body) else { return false };
        (self.topics.is_empty() || self.topics.iter().any(|topic| is_topic_of(topic, &head.kind)))
            && self.peer.as_deref().is_none_or(|want| head.peer.as_deref().is_some_and(|p| is_peer(want, p)))
            && self.room.as_deref().is_none_or(|want| head.room.as_deref() == Some(want))
    }
}

fn is_topic_of(topic: &str, kind: &str) -> bool {
    kind.strip_prefix(topic).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `want` is the peer itself, or its `udp://HOST` without port; a link-local address without its interface
/// (RFC 4007, section 11) means any.
fn is_peer(want: &str, peer: &str) -> bool {
    let is_host = |host: &str| {
        host == want
            || host.split_once('%').is_some_and(|(address, _)| want.strip_suffix(']') == Some(address))
    };
    peer == want
        || (want.starts_with("udp://") && peer.rsplit_once(':').is_some_and(|(host, _)| is_host(host)))
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::received;
    use super::*;

    #[test]
    fn filters_take_what_they_name() {
        let body = received("udp://10.0.0.9:9999").to_body();
        let by = |topics: &[&str], peer: Option<&str>, room: Option<&str>| Filter {
            topics: topics.iter().map(|&t| t.to_owned()).collect(),
            peer: peer.map(str::to_owned),
            room: room.map(str::to_owned),
            ..Filter::default()
        };
        for (filter, expected) in [
            (by(&[], None, None), true),
            (by(&["message"], None, None), true),
            (by(&["message.received"], None, None), true),
            (by(&["mess"], None, None), false),
            (by(&["message.sent", "gap"], None, None), false),
            (by(&[], Some("udp://10.0.0.9:9999"), None), true),
            (by(&[], Some("udp://10.0.0.9"), None), true),
            (by(&[], Some("udp://10.0.0.9:999"), None), false),
            (by(&[], Some("udp://10.0.0"), None), false),
            (by(&[], Some("10.0.0.9"), None), false),
            (by(&[], None, Some("ops")), false),
        ] {
            assert_eq!(filter.matches(Timestamp(5), &body), expected, "{filter:?}");
        }
        let v6 = received("udp://[fe80::1]:9").to_body();
        assert!(by(&[], Some("udp://[fe80::1]"), None).matches(Timestamp(5), &v6));
        let span = |after, until| Filter { after, until, ..Filter::default() };
        assert!(span(Some(Timestamp(5)), Some(Timestamp(6))).matches(Timestamp(5), &body));
        assert!(!span(Some(Timestamp(6)), None).matches(Timestamp(5), &body));
        assert!(!span(None, Some(Timestamp(5))).matches(Timestamp(5), &body));
    }
}
