//! Of QUIC and the links to peers. Part of [`crate::limits`].

use std::time::Duration;

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
