//! Of who is known, and of what waits for them. Part of [`crate::limits`].

use std::time::Duration;

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
/// Orders to the chat port that wait in the hub, beyond which nothing more is heard of links: some for each link.
pub const LINK_BACKLOG: usize = 4 * super::LINKS;
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
