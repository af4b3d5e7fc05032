//! Every bound of `wire`, with its reason. Named by all of `wire`; nothing here can be set, what can is a flag.

use std::time::Duration;

/// Clients of a listening stream at once: with pipes and files within the 1024 descriptors a process gets.
pub(super) const CLIENTS: usize = 512;
/// Peers of a datagram socket that are remembered; past it the one that was silent longest is forgotten.
pub(super) const PEERS: usize = 1024;
/// The most that one datagram carries over IPv4 (RFC 768); longer ones of a Unix socket are cut.
pub(super) const DATAGRAM: usize = 65_507;
/// What is read from a stream at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// Above it a peer's queue takes nothing more: input waits, and nothing more is read from that peer.
pub(super) const QUEUE: usize = 256 * 1024;
/// The same in messages: those without a byte take room, too.
pub(super) const MESSAGES: usize = 4096;
/// What the system may hold of datagrams for us, as far as it allows.
pub(super) const RECEIVE_BUFFER: usize = 4 << 20;
/// Datagrams received before anything else gets its turn.
pub(super) const BURST: usize = 64;
/// A line of stdin, newline not counted; with its append it still fits a datagram.
pub(super) const LINE: usize = 65_000;
/// What `--file` and `file:` read.
pub(super) const FILE: u64 = 64 << 20;
/// Rules of `--reply`.
pub(super) const RULES: usize = 64;
/// What one source of regular expressions may compile to.
pub(super) const PROGRAM: usize = 1 << 20;
/// What of a stream is kept to find a pattern in.
pub(super) const MEMORY: usize = 64 * 1024;
/// A stream that was silent so long begins a new message: what did not match goes.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// What of one message a terminal is shown.
pub(super) const SHOWN: usize = 4096;
/// Lines for the terminal that wait to be drawn.
pub(super) const UNDRAWN: usize = 1024;
/// A record's size, unless `--record-limit` says otherwise.
pub(super) const RECORD: u64 = 1 << 30;
/// A line of a JSON record that is replayed: a datagram in hex, as text in escapes, and the rest.
pub(super) const JSON_LINE: usize = 1 << 20;
/// A block of a pcapng file that is replayed.
pub(super) const BLOCK: usize = 1 << 20;
/// How long connecting may take.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// What connecting gets of that however short -W is: there is nobody to send to before.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(1);
/// How long answers to datagrams are waited for once everything is sent, since the last of them.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// How long a peer may take to see that we have closed.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);
/// When a datagram that the system had no room for is tried again.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// Lines of stdin that are dealt with before the sockets get their turn.
pub(super) const LINES: usize = 256;
