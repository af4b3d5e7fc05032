//! Of the database. Part of [`crate::limits`].

use std::time::Duration;

/// Jobs given to the writer and not yet answered; also keeps the answers' channel from ever filling. A message that is
/// sent is one: as many as a commit should carry at 50,000 a second.
pub const STORE_JOBS: usize = 2048;
/// Rows in one transaction: the cost of its sync is spread thinly by then, and the next caller waits no longer.
pub const STORE_GROUP: usize = 4096;
/// Rows given to the writer and not yet committed, beyond which nothing more is heard: a transaction under way and the
/// next. A line's batch is one job of a thousand rows, so a bound on jobs alone lets a flood have seconds of work ahead.
/// What somebody says counts as a row more for each KiB: some 8 MiB of texts at most.
pub const STORE_ROWS: usize = 2 * STORE_GROUP;
/// Pages of write-ahead log before a checkpoint (16 MiB): at full rate one checkpoint a second instead of four.
pub const STORE_CHECKPOINT_PAGES: u32 = 4096;
/// Bytes of write-ahead log up to which room is made ahead: a checkpoint's worth, with a header for each page.
pub const STORE_ROOM: u64 = STORE_CHECKPOINT_PAGES as u64 * (4096 + 24);
/// Bytes of room made at once: some fifteen commits of a message, and no wait to speak of on a memory card.
pub const STORE_ROOM_STEP: usize = 256 * 1024;
/// With fewer free bytes than these on the disk none is made ahead: what there is belongs to messages and files.
pub const STORE_ROOM_FREE: u64 = 1 << 30;
/// Rows that retention removes in a transaction of its own, so that no caller waits long behind it.
pub const RETENTION_CHUNK: u64 = 2000;
/// How often the age of the oldest event is looked at.
pub const RETENTION_PERIOD: Duration = Duration::from_secs(60);
/// Unverified events, those that strangers cause, may fill this share of the log (1/n), so that a flood never pushes out
/// what known peers said.
pub const UNVERIFIED_SHARE: u64 = 2;
/// Unverified events go first only while they fill more than this share (1/n), so that a log full of other
/// events still keeps a plain peer's newest lines.
pub const UNVERIFIED_FLOOR: u64 = 10;
/// What a stored event costs besides its JSON, for the log's size.
pub const EVENT_OVERHEAD: u64 = 24;
/// Reads waiting for the reader thread.
pub const READS: usize = 64;
/// Rows one read looks at before it lets the next one have its turn.
pub const READ_ROWS: u32 = 20_000;
/// Bytes of events in one page; the last one may exceed it by a datagram of control characters, six bytes each in
/// JSON, and with that a page still fits a line.
pub const READ_BYTES: usize = 256 << 10;
/// Files that one read looks up.
pub const READ_FILES: usize = 1000;
/// Bytes of what shared files hash to that are kept: 2 TiB of large files, or a quarter of a million small ones.
pub const MANIFEST_BYTES: u64 = 64 << 20;
/// Files of one content in one share that are looked at for one that is unchanged.
pub const HOLDERS: u32 = 64;
/// How long an idempotency key is remembered.
pub const KEY_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Idempotency keys remembered; the oldest go first.
pub const KEYS: u64 = 1_000_000;
/// Cursors a user may have.
pub const CURSORS_PER_USER: u64 = 1000;
