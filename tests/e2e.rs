//! The end-to-end tests: real netkitd processes on port 0 in temporary directories, netkitctl as scripts call it, and
//! peers that know nothing of netkit. One file per topic; what topics share is in `harness`. A test waits for an
//! event with a deadline, never for time to pass.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod harness;

/// `netkitctl chat` at a terminal and on a pipe.
mod chat;
/// The control socket in JSON-RPC, with and without netkitctl.
mod control;
/// Who is found on a LAN by multicast DNS, and beside whom.
mod discovery;
/// What a download brings, from servers of every kind, and how it is checked.
mod downloads;
/// Those who ask something of the download queue: several at once, the same twice, what does not fit.
mod downloads_callers;
/// Downloads by several connections, from servers that give them less than they promise.
mod downloads_connections;
/// Downloads through kill -9, power loss and restarts.
mod downloads_crash;
/// `netkitctl get` and `netkitctl queue`.
mod downloads_ctl;
/// Downloads onto disks that fill, directories that close, and clocks that jump.
mod downloads_disk;
/// Downloads of bodies that break off, change, lie about themselves or never come.
mod downloads_faults;
/// Where a downloaded file goes and what it is called.
mod downloads_names;
/// Downloads from other boxes, and from several at once.
mod downloads_peers;
/// Downloads from other boxes within bounds: little memory, files of any size, disks that fill.
mod downloads_peers_bounds;
/// The download queue: turns, order, pause, limits, ids, restarts.
mod downloads_queue;
/// Downloads from servers that redirect, refuse, are not there or have no address.
mod downloads_refused;
/// Directories of other boxes, and files that match a pattern.
mod downloads_trees;
/// Cursors, and what survives a restart, a crash, a full disk and retention.
mod durable;
/// Files by HTTP and by bare name, whole and in parts, to clients of every kind.
mod files;
/// Files under load: slow clients, silent ones, many of them, files that change.
mod files_crowd;
/// What files hash to: manifests that are sent while they are made, files by their content, hashes in listings.
mod files_manifest;
/// The file port within TLS: who sees what, for how long, and what is not let in.
mod files_secure;
/// What of a share is shown, under which names and to whom; and what nobody is served.
mod files_shown;
/// All that is beneath a directory: its list, and its small files in one archive.
mod files_tree;
/// `netkitctl ip`: addresses, networks, and this machine.
mod ip;
/// Peers on a LAN that loses, breaks, changes and lies: hosts in network namespaces.
mod lab;
/// Messages between linked boxes: delivered, in order, whoever is away meanwhile.
mod peers;
/// Links through kill -9, restarts, full disks and replaced logs.
mod peers_crash;
/// `netkitctl peers` and `rooms`, and what waits for peers.
mod peers_ctl;
/// Who a box is: made once, kept private, never on two machines.
mod peers_identity;
/// Rooms: who hears, and each member's receipt.
mod peers_rooms;
/// Who is let in, whose messages are taken, who is not who it says.
mod peers_trust;
/// What others see of a link.
mod peers_wire;
/// Chat with plain peers: the tutorial's, netcat, hostile ones.
mod plain;
/// `netkitctl port`: names, ranges, who has a port, what comes of connecting.
mod port;
/// netkitd as a process: configuration, signals, one instance, units.
mod process;
/// Who may do what.
mod rights;
/// `netkitctl send`: what it takes, what it promises, how it ends.
mod send;
/// What is shared: by the configuration and by `share`, and what `ls` shows.
mod shares;
/// `netkitctl ls PEER:`: what another box shows this one.
mod shares_peers;
/// `netkitctl tail`: what it selects and prints, how it ends.
mod tail;
/// `netkitctl wire` with every family against programs that know nothing of it; many clients; how it ends.
mod wire;
/// What `wire` records and replays.
mod wire_record;
/// What `wire` sends by itself: appended, repeated, by rules; and what it waits for.
mod wire_rules;
/// `wire` at a terminal.
mod wire_terminal;
/// The tutorial's two programs, with `wire` alone on the other side.
mod wire_tutorial;
