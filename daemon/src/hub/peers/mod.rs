//! The other netkit boxes: which there are, how far each is trusted, which link to it is kept, what waits for it and how
//! far its own words are stored here. Plain state with plain methods that take the time as an argument. What they want
//! committed they leave in `steps`, what the chat port is to do in `orders`; the hub takes both, and tells what was
//! committed. `links` is what links tell, `admit` who may have one, `allowance` what strangers may cause, `dial` when
//! somebody is looked for, `post` what is sent, `letters` what waits for one, `fate` what becomes of what is given up,
//! `marks` how far their words are stored, `ask` what people want, `follow` what a commit leads to, `view` what is shown,
//! `files` where their files are.

mod admit;
mod allowance;
mod ask;
mod dial;
mod fate;
mod files;
mod follow;
mod letters;
mod links;
mod marks;
mod name;
mod post;
mod view;

pub use ask::PeerCommand;
pub(super) use follow::Follow;
pub use view::PeerCounts;

use super::answer;
use super::commit::Step;
use super::content::Sought;
use super::handle::Reply;
use super::links::{DialId, Introduction, LinkId, LinkOrder};
use crate::config::{Accept, Config};
use crate::limits;
use crate::store::{HostRow, Letter, LoadedPeers, Op, PeerRow};
use allowance::Allowance;
use dial::{Dialing, Target};
use files::Wanted;
use letters::Letters;
use marks::Marks;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::Trust;
use netkit_proto::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The link that is kept to a peer.
#[derive(Debug)]
struct Link {
    id: LinkId,
    /// See [`super::links::Hello::instance`].
    instance: u64,
    /// We dialled.
    ours: bool,
    address: SocketAddr,
    /// The log that its numbers belong to.
    epoch: Epoch,
    /// It told how far it has stored what we said before: from then on it is spoken to.
    is_ready: bool,
    /// Nothing of it is taken.
    is_refused: bool,
    /// It is to end. What it says meanwhile is passed over, and said again on the next one: some of what came before may
    /// have been, too, and nothing in between may be left out.
    is_over: bool,
    since: Instant,
    /// When it came up.
    up: Timestamp,
    /// When something came on it last.
    heard: Timestamp,
    lost: Option<Lost>,
    /// Nothing comes on it, although there is something to answer; until then, if that is not told again.
    silent: Option<Instant>,
    /// Something came on it since that was told last.
    is_answering: bool,
    rtt: Option<Duration>,
    /// How many of the letters were said on it, from the first on, and their bytes.
    said: usize,
    said_bytes: usize,
}

/// A link that leads nowhere any more, as it seems.
#[derive(Debug)]
struct Lost {
    /// It ends by itself until then, if it does not lead somewhere all the same.
    until: Instant,
    /// Where the peer has called from meanwhile.
    called: Option<SocketAddr>,
}

#[derive(Debug)]
struct Peer {
    row: PeerRow,
    /// The row is in the database.
    is_kept: bool,
    /// How often its trust is being changed.
    changing: usize,
    link: Option<Link>,
    /// Where it announces itself.
    found: Vec<SocketAddr>,
    /// What it has not stored yet, in the order of their numbers.
    letters: Letters,
    /// The highest number that it may have heard.
    heard: u64,
    dialing: Dialing,
    /// It was there before this netkitd started: it is looked for once, even a stranger. It may not know yet that its link
    /// leads nowhere any more.
    is_missed: bool,
    /// Its file port, as its last hello said.
    file_port: Option<u16>,
    /// Messages that it may still say while it is a stranger.
    allowance: Allowance,
    /// Why it could not be reached, or is not let in.
    trouble: Option<String>,
    /// It is there, and said at last that it does not want this box.
    turns_away: bool,
}

#[derive(Debug)]
struct Host {
    row: HostRow,
    configured: bool,
    /// Where it was reached last.
    reached: Option<SocketAddr>,
    dialing: Dialing,
    trouble: Option<String>,
}

/// What of the configuration holds for peers.
#[derive(Clone, Debug)]
struct Rules {
    accept: Accept,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Peers {
    me: PeerId,
    introduction: watch::Sender<Introduction>,
    rules: Rules,
    peers: BTreeMap<PeerId, Peer>,
    /// Those that are being removed: nobody finds them any more, unless that fails.
    leaving: BTreeMap<PeerId, Peer>,
    /// Which peers call themselves so.
    names: HashMap<PeerName, Vec<PeerId>>,
    hosts: BTreeMap<String, Host>,
    links: HashMap<LinkId, PeerId>,
    /// How far the logs of peers are stored here.
    marks: Marks,
    dials: HashMap<DialId, Target>,
    last_dial: DialId,
    rooms: BTreeSet<PeerName>,
    /// Letters that are being committed, and the bytes of their texts; in all, and for each peer.
    posting: (usize, usize),
    posting_to: HashMap<PeerId, (usize, usize)>,
    /// Letters in all, and the bytes of their texts.
    queued: usize,
    queued_bytes: usize,
    /// Known and trusted peers, and strangers, when they were counted last.
    counted: (u64, u64),
    /// Links that were ended because they were too many, or too much was said on them.
    refused: u64,
    /// Messages not taken because too many waited.
    full: u64,
    /// Events of the log that strangers may still cause by coming, all together.
    newcomers: Allowance,
    /// Which files others are asked for, and who waits for those who have them.
    wanted_files: HashMap<BlockHash, Wanted>,
    /// Who was linked, or turned this box away, since that was looked at last: it is there.
    pub arrived: Vec<PeerId>,
    /// What [`Peers::trust_view`] gives is another one.
    pub is_trust_changed: bool,
    pub steps: Vec<Step<Follow>>,
    pub orders: VecDeque<LinkOrder>,
    /// For whom messages were committed that may be said.
    to_speak: BTreeSet<PeerId>,
    /// What peers ask for by its hash.
    pub sought: VecDeque<Sought>,
}

impl Peers {
    /// The peers as a starting daemon finds them.
    pub(super) fn new(
        me: PeerId,
        introduction: Introduction,
        loaded: LoadedPeers,
        config: &Config,
        (now, instant): (Timestamp, Instant),
    ) -> (Peers, watch::Receiver<Introduction>) {
        let rooms: BTreeSet<PeerName> = loaded.rooms.into_iter().collect();
        let introduction = Introduction { rooms: rooms.iter().cloned().collect(), ..introduction };
        let (introduction, introduced) = watch::channel(introduction);
        let mut peers = Peers {
            me,
            introduction,
            rules: Rules { accept: config.chat.accept },
            peers: BTreeMap::new(),
            leaving: BTreeMap::new(),
            names: HashMap::new(),
            hosts: BTreeMap::new(),
            links: HashMap::new(),
            marks: Marks::default(),
            dials: HashMap::new(),
            last_dial: 0,
            rooms,
            posting: (0, 0),
            posting_to: HashMap::new(),
            queued: 0,
            queued_bytes: 0,
            counted: (0, 0),
            refused: 0,
            full: 0,
            newcomers: Allowance::new(limits::NEWCOMERS_RATE, limits::NEWCOMERS_BURST, instant),
            wanted_files: HashMap::new(),
            arrived: Vec::new(),
            is_trust_changed: false,
            steps: Vec::new(),
            orders: VecDeque::new(),
            to_speak: BTreeSet::new(),
            sought: VecDeque::new(),
        };
        for row in loaded.peers {
            peers.insert(Peer { is_kept: true, ..Peer::new(row, instant) });
        }
        peers.miss_strangers(instant);
        for (id, letter) in loaded.letters {
            match peers.why_not(id) {
                None => peers.keep_letter(id, letter),
                Some(why) => {
                    // A netkitd that was killed did not come to that.
                    let event = fate::refused(letter.message, peers.label(id), why, true);
                    peers.note(vec![Op::GiveUp(now, id, letter.n, event)]);
                }
            }
        }
        for peer in peers.peers.values_mut() {
            // A netkitd that was killed may have said any of them.
            peer.heard = peer.letters.back().map_or(0, |letter| letter.n);
        }
        for (id, epoch, n) in loaded.high {
            let gone = peers.stored_up_to((id, epoch), n);
            peers.marks.store((id, epoch), n);
            if let Some(gone) = gone {
                peers.note(vec![gone]);
            }
        }
        for row in loaded.hosts {
            peers.hosts.insert(row.host.clone(), Host::new(row, instant));
        }
        peers.on_config(config, instant);
        (peers, introduced)
    }

    /// The configuration is another one.
    pub(super) fn on_config(&mut self, config: &Config, instant: Instant) {
        self.rules = Rules { accept: config.chat.accept };
        let configured: BTreeSet<String> = config.discovery.peers.iter().map(name::of_host).collect();
        for host in &configured {
            let row = HostRow { host: host.clone(), added: false, peer: None };
            self.hosts.entry(host.clone()).or_insert_with(|| Host::new(row, instant));
        }
        for host in self.hosts.values_mut() {
            host.configured = configured.contains(&host.row.host);
        }
        self.hosts.retain(|_, host| host.is_asked() || host.row.peer.is_some());
        let accept = self.rules.accept;
        let changed = self.peers.values().filter_map(|peer| {
            let link = peer.link.as_ref()?;
            (link.is_refused == is_taken(accept, peer.row.trust)).then_some(link.id)
        });
        for link in changed.collect::<Vec<_>>() {
            self.close(link, super::links::Parting::Renewed);
        }
    }

    /// Looks at what has become due.
    pub(super) fn on_tick(&mut self, now: Timestamp, instant: Instant) {
        self.expire(now);
        self.dial(instant);
        self.seek_no_more();
        self.count();
    }

    /// Ends a link, which [`LinkReport::Down`](super::links::LinkReport::Down) will tell of.
    fn close(&mut self, link: LinkId, why: super::links::Parting) {
        let peer = self.links.get(&link).and_then(|id| self.peers.get_mut(id));
        if let Some(kept) = peer.and_then(|peer| peer.link.as_mut()).filter(|kept| kept.id == link) {
            kept.is_over = true;
        }
        self.refused += u64::from(why == super::links::Parting::Busy);
        self.orders.push_back(LinkOrder::Close(link, why));
    }

    fn note(&mut self, ops: Vec<Op>) {
        if !ops.is_empty() {
            self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
        }
    }

    fn insert(&mut self, peer: Peer) {
        self.is_trust_changed |= peer.row.trust != Trust::New;
        self.names.entry(peer.row.name.clone()).or_default().push(peer.row.id);
        self.peers.insert(peer.row.id, peer);
    }

    /// Takes a peer out of all lists.
    fn take(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.peers.remove(&id)?;
        self.is_trust_changed |= peer.row.trust != Trust::New;
        if let Some(namesakes) = self.names.get_mut(&peer.row.name) {
            namesakes.retain(|namesake| *namesake != id);
            if namesakes.is_empty() {
                self.names.remove(&peer.row.name);
            }
        }
        Some(peer)
    }

    /// A peer calls itself otherwise.
    fn rename(&mut self, id: PeerId, name: PeerName) {
        if let Some(mut peer) = self.take(id) {
            peer.row.name = name;
            self.insert(peer);
        }
    }
}

impl Host {
    fn new(row: HostRow, instant: Instant) -> Host {
        Host { row, configured: false, reached: None, dialing: Dialing::now(instant), trouble: None }
    }

    /// Somebody here wants it asked; else only who is there is remembered.
    fn is_asked(&self) -> bool {
        self.configured || self.row.added
    }

    /// Where it is: as it was given, or else as its name led there last.
    fn address(&self) -> Option<SocketAddr> {
        self.row.host.parse().ok().or(self.reached)
    }
}

impl Peer {
    fn new(row: PeerRow, instant: Instant) -> Peer {
        Peer {
            row,
            is_kept: false,
            link: None,
            found: Vec::new(),
            letters: Letters::default(),
            heard: 0,
            dialing: Dialing::now(instant),
            is_missed: false,
            changing: 0,
            file_port: None,
            allowance: Allowance::new(limits::STRANGER_RATE, limits::STRANGER_BURST, instant),
            trouble: None,
            turns_away: false,
        }
    }

    /// Whether it may have heard a message that it has not stored, as far as is known here.
    fn may_have(&self, letter: &Letter) -> bool {
        letter.n <= self.heard
    }

    /// It is there.
    fn is_at(&mut self, address: SocketAddr) {
        let addresses = &mut self.row.addresses;
        if addresses.first() != Some(&address) {
            addresses.retain(|other| *other != address);
            addresses.insert(0, address);
            addresses.truncate(limits::PEER_ADDRESSES);
        }
    }
}

/// Whether messages of a peer that is trusted so far are taken.
fn is_taken(accept: Accept, trust: Trust) -> bool {
    match accept {
        Accept::Anyone => trust >= Trust::New,
        Accept::Known => trust >= Trust::Known,
        Accept::Trusted => trust >= Trust::Trusted,
    }
}

#[cfg(test)]
mod tests;
