//! What the topics share: daemons, commands, plain peers and control sessions, each with a deadline on every wait.

mod command;
mod content;
mod control;
mod fetch;
pub mod kernel;
mod lab;
mod needs;
mod node;
pub mod pair;
mod peer;
mod queue;
mod reply;
mod secure;
mod servers;
mod source;
mod wire;

pub use command::{Ended, Running, command};
pub use content::{MIB, Random, assert_same, blake3, bytes};
pub use control::Control;
pub use fetch::{Answer, connect, fetch_bare, http, parse, raw};
pub use lab::{Host, Lab, has_no_lab};
pub use needs::{has_program, is_root, may_skip};
pub use node::{Node, NodeBuilder};
pub use peer::Peer;
pub use queue::Downloader;
pub use reply::{End, File, Reply};
pub use secure::{Caller, curl, head, openssl};
pub use servers::Server;
pub use source::{Request, Source};
pub use wire::{FAMILIES, bytes_of, every_byte, free, hex, listening, wire, wire_command, wire_with, wiring};

use std::time::{Duration, Instant};

/// How long anything may take before a test gives it up: far more than it ever takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition that announces itself in no other way is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until `look` gives something; fails with `what` after [`DEADLINE`].
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "did not happen within {DEADLINE:?}: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// How many of something: few, or with `./tests/run --all` many.
#[must_use]
pub fn few_or_many<T>(few: T, many: T) -> T {
    let is_all = std::env::var_os("NETKIT_ALL").is_some_and(|all| all == "1");
    if is_all { many } else { few }
}

/// A time of the control socket's, in milliseconds since 1970.
#[track_caller]
pub fn millis(time: &serde_json::Value) -> i64 {
    serde_json::from_value::<netkit_proto::time::Timestamp>(time.clone()).unwrap().0
}

/// The code block of the README in this language that contains `text`.
#[track_caller]
pub fn readme_block(language: &str, text: &str) -> String {
    let readme = include_str!("../../README.md");
    let fence = format!("```{language}\n");
    let blocks = readme.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let found: Vec<&str> = blocks.filter(|block| block.contains(text)).collect();
    assert_eq!(found.len(), 1, "the blocks with {text}");
    found[0].to_owned()
}
