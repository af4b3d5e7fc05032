//! Bounds that belong to the languages themselves, each with its reason. Bounds of the running daemon
//! (queues, sessions, times) are in the daemon's own `limits`.

/// Longest plain line sent, in bytes of its encoding. Peers in the manner of `recvfrom(1024)` read no more and
/// the kernel drops what they do not read.
pub const PLAIN_LINE: usize = 1024;

/// Longest text of a message in UTF-8 bytes; what is longer is a file.
pub const TEXT: usize = 64 * 1024;

/// Longest JSON-RPC line in bytes without its newline, either way: a message of [`TEXT`] bytes escaped to six
/// times its size still fits.
pub const RPC_LINE: usize = 1024 * 1024;

/// Requests in one JSON-RPC batch.
pub const RPC_BATCH: usize = 100;

/// Events in one answer of `events.read`.
pub const EVENTS_PAGE: u32 = 1000;

/// Longest name of a peer or a room in bytes: one DNS label (RFC 1035, section 2.3.4).
pub const NAME: usize = 63;

/// Longest name of a cursor and longest idempotency key, in bytes: room for a path or a UUID with a prefix.
pub const KEY: usize = 128;

/// Topics in one filter.
pub const TOPICS: usize = 32;

/// Longest source of a download in bytes: what browsers and servers take as a URL.
pub const SOURCE: usize = 8 * 1024;

/// Longest bare file name on the file port, in bytes: the longest path.
pub const BARE_NAME: usize = crate::path::PATH;

/// Longest frame of the peer protocol in bytes: a message of [`TEXT`] bytes escaped to six times its size still fits.
pub const FRAME: usize = 512 * 1024;

/// Highest number of a message, and of a log: what every JSON reader keeps exactly (RFC 7493, section 2.2).
pub const NUMBER: u64 = (1 << 53) - 1;

/// Bytes of memory that what makes frames of a stream keeps between them: many short ones, and no long one's.
pub const DECODER_KEPT: usize = 4 * 1024;

/// Rooms that a box can be in.
pub const ROOMS: usize = 64;

/// Features that a `hello` can name.
pub const FEATURES: usize = 64;
