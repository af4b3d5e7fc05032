//! Of the chat port: the UDP socket and what waits behind it. Part of [`crate::limits`].

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
