//! Bounds of the download queue and its engine, each with its reason. Part of [`crate::limits`].

use std::time::Duration;

/// Orders for the download engine that wait, and reports of it.
pub const FETCH_ORDERS: usize = 64;
/// Threads that read from sources.
pub const FETCH_WORKERS: usize = 2;
/// How long a connection may take to be made.
pub const FETCH_CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take from a question on: some servers make a file first. As long as one may stall later.
pub const FETCH_ANSWER: Duration = FETCH_STALLED;
/// How long a source may send next to nothing,
pub const FETCH_STALLED: Duration = Duration::from_secs(30);
/// and how many bytes in that time are more than that: a kilobyte a second, of files and of what a directory has. A netkitd
/// tells of a directory in pieces of more than that, however slow its disk.
pub const FETCH_PROGRESS: u64 = 30 << 10;
/// As many of a manifest: a block's value. A peer that hashes the file meanwhile reads a MiB for it, which a slow disk or a
/// network mount does in that time; the file itself may come far more slowly.
pub const FETCH_VALUES: u64 = 32;
/// How long a download waits for a peer that is busy before others get its turn: as long as a short rush takes. Some that
/// wait for a peer that is busy for ever would else hold all turns,
pub const FETCH_BUSY_TURN: Duration = Duration::from_secs(5);
/// and how long then at least until it has another one: long beside the former.
pub const FETCH_BUSY: Duration = Duration::from_secs(60);
/// The shortest pause before a peer that is busy is asked again, whatever it says.
pub const FETCH_BUSY_PAUSE: Duration = Duration::from_millis(500);
/// Redirects that are followed: as many as curl's users see followed in practice, far fewer than a loop makes.
pub const FETCH_REDIRECTS: usize = 10;
/// Helpers that are asked at once for one file: more would only divide what one box can take.
pub const FETCH_HELPERS: usize = 8;
/// How long an answer of one is waited for where nobody else is left to ask: several round trips.
pub const FETCH_HELP: Duration = Duration::from_secs(2);
/// Bytes that must be missing for helpers to be looked for: less is there before they have answered.
pub const FETCH_HELPED: u64 = 8 << 20;
/// Parts of wrong blocks of which it is kept what was given, until the right bytes show whose were wrong: a helper that is
/// honest makes one or two in all.
pub const FETCH_SUSPECTS: usize = 4096;
/// Entries of a directory that is fetched, which are held in memory.
pub const FETCH_TREE: usize = 200_000;
/// Bytes of all their paths: 160 for each of so many.
pub const FETCH_TREE_PATHS: usize = 32 << 20;
/// Bytes of a line that tells of one: the longest path, each byte of it escaped to six, and the rest.
pub const FETCH_TREE_LINE: usize = 32 << 10;
/// Bytes of a file that comes in one stream with others, and is held in memory until its hash is known.
pub const FETCH_SMALL: u64 = 1 << 20;
/// Bytes of such files, and of their headers, that come beside those that were told of: as many as could be copied into the
/// directory between both answers.
pub const FETCH_TREE_MORE: u64 = 256 << 20;
/// Files that have come and wait to be noted.
pub const FETCH_STAGED: usize = 256;
/// How long a connection is kept for another part of the same file.
pub const FETCH_POOL_IDLE: Duration = Duration::from_secs(10);
/// How much older than its answer a file's date must be to tell its content from another: RFC 9110 asks for more than
/// the clock's second, and RFC 7232 gave a minute as what covers clocks that differ.
pub const FETCH_DATE_AGE: Duration = Duration::from_secs(60);
/// Bytes read from a bare connection at once.
pub const FETCH_PIECE: usize = 256 << 10;
/// Bytes that a connection to a peer reads ahead.
pub const FETCH_BUFFER: usize = 1 << 20;
/// Connections to a peer that a download keeps for another request: each of its own makes one more at most.
pub const FETCH_SPARE: usize = 4;
/// How long a peer may take to list a directory, with all that is tried until it is reached.
pub const LIST_PEER: Duration = Duration::from_secs(30);
/// Bytes of JSON of a peer's listing: ten thousand entries with long names take 5 MB.
pub const LIST_BYTES: usize = 6 << 20;
/// Peers that are asked for a listing at once; each answer may take some 50 MB while it is read.
pub const LISTS: usize = 2;
/// Pieces that wait for a download's writer: about 2 MiB, enough for the reader to go on while the disk pauses.
pub const FETCH_PIECES: usize = 8;
/// A run of bytes is shared by two connections while each gets this much: less is not worth a request.
pub const FETCH_SHARED: u64 = 4 << 20;
/// Or while it would take so long still: then each block counts.
pub const FETCH_URGENT: Duration = Duration::from_millis(200);
/// How long nothing comes of a run before somebody who has nothing to do takes it over: far longer than a question and its
/// answer take on a LAN, and what people notice at the end of a download.
pub const FETCH_SILENT: Duration = Duration::from_secs(1);
/// How much faster somebody is who takes over all of a run: less is not worth that both ask for the same again.
pub const FETCH_FAR_FASTER: f64 = 4.0;
/// How long bytes are counted for a connection's speed: long enough to see past the bursts of a socket.
pub const FETCH_SPEED: Duration = Duration::from_millis(100);
/// Bytes written before a sync of them is asked for. With 1 GiB that came in 2 s, on a disk that takes 0.55 GB/s, the
/// sync at the end took 0.1 s so, 1.3 s where writing was only begun early (sync_file_range(2)), and as long with neither.
pub const FETCH_SYNC: u64 = 8 << 20;
/// How many of those may wait: 128 MiB, about a second of a hard disk. Who writes more waits for the disk.
pub const FETCH_UNSYNCED: usize = 16;
/// Bytes handed to the kernel at once: of 1 GiB in writes of 1 MiB to claimed space, on ext4 with its way to the disk
/// begun early, the sync came after 1.8 s, and with these after 0.5 s.
pub const FETCH_WRITE: usize = 256 << 10;
/// Bytes written before the disk's free space is looked at again, where it could not be claimed.
pub const FETCH_SPACE_CHECK: u64 = 4 << 20;
/// Bytes read at once for a checksum.
pub const VERIFY_PIECE: usize = 256 << 10;
/// How often a running download tells how far it is.
pub const FETCH_REPORT: Duration = Duration::from_millis(250);
/// How often what a part file holds is noted: what came since is fetched again after a crash.
pub const FETCH_NOTE: Duration = Duration::from_secs(1);
/// Downloads that are not done, in all.
pub const DOWNLOADS: usize = 10_000;
/// Downloads that have ended and are remembered; the oldest go first.
pub const DOWNLOADS_ENDED: usize = 1000;
/// Bytes of downloads in one answer.
pub const DOWNLOADS_PAGE: usize = 256 << 10;
/// First and longest pause before a download is tried again; it doubles in between.
pub const FETCH_RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`FETCH_RETRY_FIRST`]. A server may ask for more, up to an hour.
pub const FETCH_RETRY_LONGEST: Duration = Duration::from_secs(300);
/// See [`FETCH_RETRY_LONGEST`].
pub const FETCH_RETRY_ASKED: Duration = Duration::from_secs(3600);
/// Tries that bring nothing before a download is given up: about a quarter of an hour.
pub const FETCH_TRIES: u32 = 10;
/// Names with a number that are tried for a file whose own name is taken.
pub const NUMBERED_NAMES: u32 = 10_000;
