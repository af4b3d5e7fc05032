//! Bounds of the running daemon, each with its reason. Bounds of the languages are in `netkit_proto::limits`; those of
//! downloads in `downloads`, under names that tell.

mod downloads;

pub use downloads::*;

use std::time::Duration;

// --- chat: the UDP socket and what waits behind it ---------------------------------------------------------

/// Asked of the kernel for the socket's receive buffer, in bytes: about 10,000 short datagrams, 0.1 s of the
/// fastest flood measured, while the chat thread is held up.
pub const RECEIVE_BUFFER: usize = 4 << 20;
/// Bytes of the largest datagram: UDP's 65,507 rounded up; also the most that one coalesced receive holds.
pub const DATAGRAM: usize = 64 << 10;
/// Memory of the lines that wait between the socket and the log: about 100,000 short ones, more than a second of
/// the fastest rate the log commits.
pub const INTAKE_BYTES: usize = 32 << 20;
/// What a waiting line costs besides its text.
pub const INTAKE_OVERHEAD: usize = 192;
/// Sources with a queue of their own while lines wait; further ones share one queue, so that forged source
/// addresses cost a bounded amount of memory and cannot multiply their share.
pub const INTAKE_SOURCES: usize = 1024;
/// Lines handed to the hub at once: enough to make a commit worth its sync, few enough for 20 ms of work.
pub const INTAKE_BATCH: usize = 1024;
/// Receives per turn before the chat task looks at what it has to send.
pub const RECEIVES_PER_TURN: usize = 16;
/// Datagrams handed to the chat task and not yet sent.
pub const SENDS_IN_FLIGHT: usize = 256;
/// Plain peers whose encoding and local address are remembered.
pub const CONVERSATIONS: usize = 4096;

// --- chat: QUIC and the links to peers ---------------------------------------------------------------------

/// QUIC packets that wait for the endpoint, of connections and of handshakes each: 1.5 MB, and many round trips of a LAN.
/// What does not fit is dropped, and sent again by its sender.
pub const QUIC_INBOX: usize = 1024;
/// Bytes of the largest QUIC packet taken: what fits an Ethernet frame, and the most that quinn looks for.
pub const QUIC_PACKET: u16 = 1472;
/// Bytes that a peer may send before the hub took the last ones: 256 MB a second at a round trip of a millisecond.
pub const STREAM_WINDOW: u32 = 256 << 10;
/// Bytes sent to a peer that it has not acknowledged; its own window is smaller if it is one of ours.
pub const SEND_WINDOW: u64 = 512 << 10;
/// How often an idle connection is kept alive: routers forget UDP after 30 s and more (RFC 4787, section 4.3 asks for 120).
pub const LINK_KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long a peer may be silent: three times [`LINK_KEEP_ALIVE`], so that two may be lost.
pub const LINK_IDLE: Duration = Duration::from_secs(30);
/// How long a peer may leave packets unanswered until it is called a second time: on a LAN what is lost is repeated some six
/// times until then, unless QUIC takes its round trip for far longer than it is.
pub const LINK_SILENCE: Duration = Duration::from_secs(2);
/// How often that is looked at, while there is something to answer.
pub const LINK_LOOK: Duration = Duration::from_millis(250);
/// The round trip taken for granted at first: a third of what RFC 9002 (section 6.2.2) has for the internet, ten times a
/// LAN's, so that a handshake whose first packet is lost is repeated soon.
pub const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// The least time between two stateless resets: one for each of a thousand peers must not take longer than a second.
pub const RESET_INTERVAL: Duration = Duration::from_millis(1);
/// Links in all: 60 MB at 30 KB each.
pub const LINKS: usize = 2048;
/// Connections whose hello has not come, in all; who calls then is not answered, and calls again by itself: many do where
/// a box is started anew.
pub const GREETINGS: usize = 256;
/// ... from where on a caller must first show that its address is its own (RFC 9000, section 8.1.2).
pub const GREETINGS_UNPROVEN: usize = 64;
/// Connections of one address whose hello has not come; from half of it on the address must be shown to be its own.
pub const GREETINGS_PER_ADDRESS: usize = 16;
/// How long a caller may take to say hello, from its first packet on: a few lost packets, each repeated.
pub const GREETING: Duration = Duration::from_secs(10);
/// Addresses of one peer tried at once: a cable, a radio and one more; the next follow when these have failed.
pub const DIAL_ADDRESSES: usize = 3;
/// Addresses of a host name that are tried: a box has one or two of each family, and who answers names may say thousands.
pub const RESOLVED: usize = 16;
/// How long an address may take to answer: a box of the LAN that is there answers in milliseconds.
pub const DIAL: Duration = Duration::from_secs(5);
/// Messages in one report: enough for the store to commit many at once, little enough to stop soon.
pub const LINK_BATCH: usize = 512;
/// Bytes of text in one report, the last message may exceed it: reports wait in a queue that is bounded by their number.
pub const LINK_BATCH_BYTES: usize = 256 << 10;
/// Pieces of a stream read at once, each at most a packet: as many as come while the last ones are taken in.
pub const LINK_PIECES: usize = 32;
/// Bytes of frames written at once, the last frame may exceed it: some forty packets, so that receipts wait for few messages.
pub const LINK_WRITE: usize = 64 << 10;
/// Bytes of messages that wait to be written to one peer: several times what the hub has on the way.
pub const LINK_OUTPUT: usize = 16 << 20;
/// Refusals that wait to be written to one peer: one for each message of a few reports.
pub const LINK_REFUSALS: usize = 16 * LINK_BATCH;
/// Files that peers are asked for at once: one for each download that runs, and many of those.
pub const FILES_WANTED: usize = 256;
/// Questions about files that wait to be written to one peer: some for each download.
pub const LINK_QUESTIONS: usize = 64;
/// Answers to what a peer seeks that wait to be written to it: more than it can use at a time.
pub const LINK_ANSWERS: usize = 1024;
/// What peers seek that waits for the file port to look: each takes microseconds.
pub const SOUGHT: usize = 64;
/// How often a link tells how it is.
pub const LINK_PULSE: Duration = Duration::from_secs(10);
/// How long packets that only look like QUIC's are taken for it after a connection to their sender ended: a few round trips.
pub const LINK_LINGER: Duration = Duration::from_secs(3);
/// How long a link that ends may take to hand over what was said before: a megabyte over a slow radio link.
pub const LINK_FLUSH: Duration = Duration::from_secs(2);
/// Characters kept of a reason that a peer gives: a sentence, as it is shown in one line.
pub const PEER_REASON: usize = 200;
/// The least time between two log lines on peers' mistakes: who makes them on purpose fills no journal.
pub const MISTAKES: Duration = Duration::from_secs(1);

// --- outbox ------------------------------------------------------------------------------------------------

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

// --- store -------------------------------------------------------------------------------------------------

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

// --- hub ---------------------------------------------------------------------------------------------------

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

// --- files -------------------------------------------------------------------------------------------------

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

// --- control socket ----------------------------------------------------------------------------------------

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

// --- discovery ---------------------------------------------------------------------------------------------

/// Announced instances that are remembered: as many as [`PEERS`], which the hub has room for.
pub const INSTANCES: usize = PEERS;
/// Instances that say that they are the same peer: one has a box, and another one for a while after a new name.
pub const INSTANCES_OF_PEER: usize = 4;
/// Bytes of an instance's name: DNS has 255, each written with up to four where it is escaped.
pub const INSTANCE_NAME: usize = 1020;
/// How long the hub is told nothing of a peer after something was heard: what is said on several interfaces, by IPv4
/// and IPv6, comes within this.
pub const SIGHTING_PAUSE: Duration = Duration::from_millis(100);
/// How often the hub is told of the same peer at most: each time it may be dialled.
pub const SIGHTINGS_OF_PEER: Duration = Duration::from_secs(1);
/// How long interfaces are left to settle after one changed,
pub const INTERFACES_PAUSE: Duration = Duration::from_millis(300);
/// and how often they are looked at where the kernel does not tell of changes.
pub const INTERFACES_POLL: Duration = Duration::from_secs(10);
/// How long the announcer looks at the interfaces each second after one changed.
pub const ANNOUNCER_LOOKS: Duration = Duration::from_secs(3);
/// How long after the announcer is on a new address all are asked for anew: for a second whoever spoke just before says
/// nothing more (RFC 6762, section 6), and half of one is for those who are late. Where addresses keep coming, the pause
/// doubles
pub const ASKED_ANEW_AFTER: Duration = Duration::from_millis(1500);
/// up to this: all of the LAN answer, and some boxes make interfaces all day,
pub const ASKED_ANEW_LONGEST: Duration = Duration::from_secs(60);
/// and how long somebody who was heard before may leave it unanswered: it is asked four or five times meanwhile.
pub const ASKED_ANEW_ANSWER: Duration = Duration::from_secs(20);
/// Records that the announcer may hold, some 20 MB: a LAN of a thousand boxes takes a fifth of it. It has no bound of its
/// own, so that it is ended where somebody makes it hold more.
pub const ANNOUNCER_RECORDS: i64 = 50_000;
/// Times that the announcer may wait for, 32 MB: each record that is heard again adds two, which last for up to 75 minutes.
/// Three hundred boxes that are switched on together and all answer each other make that many.
pub const ANNOUNCER_TIMERS: i64 = 2_000_000;
/// How often that is looked at: in this time a flood takes some 100 MB at most.
pub const DISCOVERY_TEND: Duration = Duration::from_secs(5);
/// How long there is no discovery after it failed.
pub const DISCOVERY_PAUSE: Duration = Duration::from_secs(60);
/// How long our own announcement, which comes back to us, may take to be heard: it is made at once, and a second later.
pub const DISCOVERY_DEAF: Duration = Duration::from_secs(15);
/// How often it is noted that an announcement is left out.
pub const DISCOVERY_NOTE: Duration = Duration::from_secs(10);

// --- stopping ----------------------------------------------------------------------------------------------

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

// --- peers -------------------------------------------------------------------------------------------------

/// Peers that are remembered; strangers that are of no use make room.
pub const PEERS: usize = 2_000;
/// Hosts that can be added to be asked for peers: some for each box of a LAN where multicast is blocked.
pub const HOSTS: usize = 1_000;
/// Addresses of one peer that are tried: two interfaces with some of each family.
pub const PEER_ADDRESSES: usize = 8;
/// Attempts to reach peers at a time: many more would be noticed on a small LAN.
pub const DIALS: usize = 16;
/// First and longest pause before a peer is looked for again; it doubles in between.
pub const DIAL_FIRST: Duration = Duration::from_secs(1);
/// See [`DIAL_FIRST`]: a peer that comes back is found within this time even where multicast is blocked.
pub const DIAL_LONGEST: Duration = Duration::from_secs(30);
/// Messages that wait for one peer, or for its receipts: twice what is promised, so that a burst behind a long absence fits;
pub const LETTERS_PER_PEER: usize = 20_000;
/// and the bytes of their texts: 10,000 messages of 1600 bytes, or what a session asks for at once to somebody who is there.
/// Whoever is away takes no more of what there is for all.
pub const LETTERS_BYTES_PER_PEER: usize = 16 << 20;
/// The same for all peers, 15 MB besides their texts,
pub const LETTERS: usize = 100_000;
/// and the bytes of their texts, which are held in memory: four peers that are away may have all they can, and a box with
/// half a gigabyte of memory keeps most of it.
pub const LETTERS_BYTES: usize = 64 << 20;
/// Bytes of messages for one peer that share a row of the store: what is given up is taken out of such a row.
pub const BUNDLE: usize = 64 << 10;
/// Messages said on a link that the peer has not stored yet: what comes in at 100,000 a second while a disk syncs.
pub const LINK_WINDOW: usize = 4096;
/// The same in bytes of text.
pub const LINK_WINDOW_BYTES: usize = 1 << 20;
/// What waits for the chat port to do with links, and what it tells: one turn of the hub gives a few for each link.
pub const LINK_ORDERS: usize = 64;
/// Links to strangers that dialled (KDE Connect's bound after CVE-2020-26164).
pub const STRANGERS: usize = 42;
/// Messages that a stranger may say a second,
pub const STRANGER_RATE: u32 = 20;
/// and at once.
pub const STRANGER_BURST: u32 = 500;
/// Events of the log that strangers may cause a second by coming or by claiming a name, all together,
pub const NEWCOMERS_RATE: u32 = 200;
/// and at once: a new key costs nothing. A thousand boxes that all come for the first time are let in within seconds.
pub const NEWCOMERS_BURST: u32 = 100;
/// Logs of peers of which it is remembered how far they are stored here: those of all peers that are remembered, and of
/// some strangers that were, in about a megabyte. Strangers' go first.
pub const STORED_MARKS: usize = 10_000;
/// Logs of one peer of those: it begins another one when its state is lost, and goes back to one when it is set back.
pub const LOGS_OF_PEER: usize = 4;
