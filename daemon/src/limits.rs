//! Bounds of the running daemon, each with its reason, a file for each room that has many of them. Bounds of the languages
//! are in `netkit_proto::limits`.

mod chat;
mod discovery;
mod downloads;
mod files;
mod links;
mod peers;
mod store;

pub use chat::*;
pub use discovery::*;
pub use downloads::*;
pub use files::*;
pub use links::*;
pub use peers::*;
pub use store::*;

use std::time::Duration;

// --- outbox --------------------------------------------------------------------------------------------------

/// Messages to plain peers that wait to be sent, in all: days of a script's, while a network is down.
pub const OUTBOX: usize = 10_000;
/// How long a message waits when its sender names no time.
pub const EXPIRE_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest time that a sender may name.
pub const EXPIRE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// First and longest pause after a send that failed; it doubles in between.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_FIRST`].
pub const RETRY_LONGEST: Duration = Duration::from_secs(60);

// --- hub -----------------------------------------------------------------------------------------------------

/// Commands waiting for the hub.
pub const HUB_COMMANDS: usize = 256;
/// Commands that the hub takes in one turn: what it looks at between two turns costs more than a command.
pub const HUB_TURN: usize = 64;
/// How often the hub looks at what has become due.
pub const HUB_TICK: Duration = Duration::from_millis(500);
/// Recent events kept in memory for live subscribers; slower ones read the log.
pub const FEED_EVENTS: usize = 8192;
/// Bytes of those events.
pub const FEED_BYTES: usize = 4 << 20;

// --- control socket ------------------------------------------------------------------------------------------

/// Sessions in all.
pub const SESSIONS: usize = 256;
/// Sessions of one user that is not an operator, so that a reader can't take them all.
pub const SESSIONS_PER_READER: usize = 32;
/// Sessions that only operators get, so that readers together can't lock them out.
pub const SESSIONS_OF_OPERATORS: usize = 64;
/// Calls of one session begun and not answered, one of them large; then its further lines wait in the socket. A batch that
/// is begun below it is begun whole. Enough for one session to fill the commits that follow each other.
pub const CALLS_IN_FLIGHT: usize = 1024;
/// Bytes that those were asked for with, as a bound on memory.
pub const CALLS_BYTES: usize = 4 << 20;
/// Subscriptions of one session.
pub const SUBSCRIPTIONS: usize = 16;
/// Bytes waiting to be read by the client; then its lines wait, and its subscriptions go on from the log.
pub const SESSION_OUTPUT: usize = 256 << 10;
/// Bytes read from a session at once.
pub const SESSION_INPUT: usize = 16 << 10;
/// How long a host name may take to resolve.
pub const RESOLVE: Duration = Duration::from_secs(5);

// --- stopping ------------------------------------------------------------------------------------------------

/// How long a session may take to hand over its last answers; less than [`STOP_EDGES`].
pub const STOP_SESSION: Duration = Duration::from_secs(3);
/// How long the edges may take to end.
pub const STOP_EDGES: Duration = Duration::from_secs(5);
/// How long all links may take to end: more than [`LINK_FLUSH`], less than [`STOP_EDGES`].
pub const STOP_LINKS: Duration = Duration::from_secs(3);
/// How long it is waited for late packets of connections that are closed, to answer them: a few round trips of a LAN.
pub const STOP_QUIC: Duration = Duration::from_millis(200);
/// How long the goodbye to the LAN may take.
pub const STOP_DISCOVERY: Duration = Duration::from_millis(500);
/// How long the last log lines may take.
pub const STOP_LOG: Duration = Duration::from_secs(1);
