//! Of what is shared, and of the file port. Part of [`crate::limits`].

use std::time::Duration;

/// Shares that were added while netkitd ran.
pub const SHARES: usize = 256;
/// Entries of a directory that are shown: more is no page to read, and a share can be made of millions.
pub const LISTING: usize = 10_000;
/// Memory that files are read into, in all, as long as the streams are not so many that the smallest pieces exceed it:
/// pieces of 32 KiB for a thousand, which were a quarter faster than of 16.
pub const READ_BUDGET: usize = 32 << 20;
/// Largest piece read at once: larger ones were no faster, and fall out of the processor's cache.
pub const READ_LARGEST: usize = 256 << 10;
/// Smallest piece read at once: with a thousand streams the cost of a call is still small beside its copy.
pub const READ_SMALLEST: usize = 16 << 10;

/// Bytes read at once to be hashed.
pub const HASH_PIECE: usize = 256 << 10;

/// Threads that move bytes to file clients: copying keeps a core busy, and two fill what most boxes have.
pub const FILE_WORKERS: usize = 2;
/// Threads that wait for disks.
pub const FILE_BLOCKING: usize = 32;
/// Connections that the kernel holds until they are accepted.
pub const BACKLOG: i32 = 1024;
/// Descriptors that are not for file clients: the database, the control socket's sessions, what libraries open.
pub const OTHER_DESCRIPTORS: usize = 512;
/// Connections that have said nothing; the oldest goes first.
pub const SILENT: usize = 4096;
/// Connections that are served at once; one address gets half of them at most.
pub const SERVING: usize = 4096;
/// How long a connection may say nothing: the tutorial's client connects before it asks its user.
pub const SILENCE: Duration = Duration::from_secs(5 * 60);
/// How long a request's head may take from its first byte on, and a connection stay idle between requests.
pub const REQUEST_HEAD: Duration = Duration::from_secs(10);
/// Bytes of a request's head; also what waits in a connection to be sent besides one piece of a file.
pub const REQUEST_BYTES: usize = 16 << 10;
/// A bare name is complete when nothing more came for this long: the tutorial's client sends it in one piece.
pub const NAME_PAUSE: Duration = Duration::from_millis(100);
/// The same where what came is the name of a file: a program writes a name at once, or its pieces one after the other,
/// and then the next one is on its way as soon as the first was acknowledged: a LAN's round trip.
pub const KNOWN_NAME_PAUSE: Duration = Duration::from_millis(5);
/// Bytes that a client is sent before the others have their turn, about 15 microseconds of copying: with a thousand
/// clients each waits no longer for its first byte than one of nginx's; with larger turns it was seconds.
pub const TURN: usize = 64 << 10;
/// How long a client may take next to nothing of what it is sent,
pub const STALLED: Duration = Duration::from_secs(60);
/// and how many bytes in that time are more than next to nothing: a kilobyte a second.
pub const PROGRESS: usize = 64 << 10;
/// Memory for what is encrypted and not sent yet, in all, where connections are not so many that the smallest share of
/// it exceeds that:
pub const TLS_BUDGET: usize = 32 << 20;
/// the largest share of a connection, a piece of a file,
pub const TLS_LARGEST: usize = READ_LARGEST;
/// and the smallest, a record of TLS.
pub const TLS_SMALLEST: usize = 16 << 10;
/// How long a client may take to close after it got everything.
pub const LINGER: Duration = Duration::from_secs(2);
/// Listings that are made or sent at once, each of at most [`LISTING_BYTES`].
pub const LISTINGS: usize = 32;
/// Bytes of names in a listing that is sent, each there a few times over.
pub const LISTING_BYTES: usize = 256 << 10;
/// Manifests that are made or sent at once.
pub const MANIFESTS: usize = 16;
/// Blocks that are hashed for them at once: two keep the cores of most boxes busy, and the disks that one waits for.
pub const HASHINGS: usize = 2;
/// Values of a manifest that are sent at once: 64 KiB.
pub const MANIFEST_PIECE: usize = 2048;
/// What a file hashes to is kept where it was not changed for this long: the kernel stamps it by a clock of up to 10 ms,
pub const SETTLED: Duration = Duration::from_millis(100);
/// or where the file system keeps whole seconds, FAT every second one.
pub const SETTLED_SECONDS: Duration = Duration::from_millis(2500);
/// Bytes of a listing in an answer of the control socket, with which it still fits a line.
pub const LISTING_ANSWER: usize = 768 << 10;
/// Directories sent as archives at once: each has a thread.
pub const ARCHIVES: usize = 8;
/// Entries of one directory that an archive is made of: about 100 MB of names at most.
pub const ARCHIVE_LISTING: usize = 200_000;
/// Bytes of a file that goes into an archive of small ones, which is held in memory until its hash is known.
pub const ARCHIVE_SMALL: u64 = 1 << 20;
/// Entries that are told of all that is beneath a directory: some 200 MB of JSON.
pub const TREE: u64 = 1_000_000;
/// The least time between two log lines on what netkitd may not read of what is shared: any client can cause them.
pub const UNREADABLE_TOLD: Duration = Duration::from_secs(60);
/// Directories within directories that an archive follows.
pub const ARCHIVE_DEPTH: usize = 64;
