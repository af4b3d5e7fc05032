//! `chat.*`: sending.

use crate::ids::Seq;
use crate::name::Key;
use serde::{Deserialize, Serialize};

super::plain_data! {
    /// Parameters of `chat.send`.
    #[serde(deny_unknown_fields)]
    ChatSend {
        /// `NAME`, `NAME~prefix`, `@room`, `@all` or `udp://HOST:PORT`.
        to: String,
        /// At most 64 KiB; to a plain peer at most 1024 bytes in its encoding.
        text: String,
        /// The same key with the same parameters sends nothing twice; kept for 30 days, per user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
        /// Seconds after which the message is given up if it could not be sent; default 7 days.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expire: Option<u64>,
    }

    /// Answer of `chat.send`: the message is committed.
    Sent {
        /// The message's id: the number of its `message.queued` event.
        id: Seq,
        /// The key was used before: this is the message of then, nothing was sent now.
        repeated: bool,
        /// To a room or to all: whom it goes to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        to: Vec<String>,
    }
}
