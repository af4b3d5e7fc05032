//! Of who is announced on the LAN. Part of [`crate::limits`].

use super::PEERS;
use std::time::Duration;

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
