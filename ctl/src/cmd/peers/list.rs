//! `netkitctl peers list`: who is there, as a table that fits the terminal, as names or as JSON; and the hosts that are
//! asked for peers.

use super::facts::{address, ago, how, round_trip};
use crate::context::Context;
use crate::exit::Outcome;
use crate::output::{Out, say};
use crate::table::{self, Column};
use crate::time;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use netkit_proto::rpc::call::{Peer, PeerHost, PeerList, PeersList, Trust};
use netkit_proto::time::Timestamp;

/// What to show.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub(crate) struct Flags {
    /// Only those that are linked now
    #[arg(short, long)]
    linked: bool,
    /// Only those that are trusted so; can be given several times
    #[arg(short, long, value_name = "TRUST", value_parser = trust())]
    trust: Vec<Trust>,
    /// Only their names, as send takes them
    #[arg(short, long)]
    quiet: bool,
    /// Instead the hosts that are asked for peers
    #[arg(long, conflicts_with_all = ["linked", "trust", "quiet"])]
    hosts: bool,
}

impl Flags {
    /// Whether nothing was asked for.
    pub(super) fn is_default(&self) -> bool {
        *self == Flags::default()
    }

    fn wants(&self, peer: &Peer) -> bool {
        (peer.linked || !self.linked) && (self.trust.is_empty() || self.trust.contains(&peer.trust))
    }
}

fn trust() -> impl TypedValueParser<Value = Trust> {
    PossibleValuesParser::new(Trust::ALL.map(Trust::as_str)).try_map(|word| word.parse::<Trust>())
}

/// At 80 columns all of them fit where names are short and addresses are IPv4.
const COLUMNS: [Column; 8] = [
    Column::words("NAME", 0),
    Column::words("ID", 4),
    Column::words("TRUST", 0),
    Column::words("FOUND", 1),
    Column::words("ADDRESS", 3),
    Column::words("SEEN", 5),
    Column::numbers("RTT", 6),
    Column::numbers("QUEUE", 2),
];

const HOST_COLUMNS: [Column; 4] = [
    Column::words("HOST", 0),
    Column::words("FROM", 2),
    Column::words("PEER", 1),
    Column::words("TROUBLE", 0),
];

/// Asks and prints.
pub(super) fn run(context: &Context, flags: &Flags, mut out: Out) -> Outcome {
    let list = context.connect()?.call(&PeersList {})?;
    let peers: Vec<&Peer> = list.peers.iter().filter(|peer| flags.wants(peer)).collect();
    if flags.hosts {
        if context.json {
            list.hosts.iter().try_for_each(|host| out.object(host))?;
        } else {
            hosts(&list, &list.hosts.iter().collect::<Vec<_>>(), &mut out)?;
        }
    } else if context.json {
        peers.iter().try_for_each(|peer| out.object(peer))?;
    } else if flags.quiet {
        peers.iter().try_for_each(|peer| out.line(&crate::output::escape_line(&peer.peer)))?;
    } else {
        let now = Timestamp(time::now().timestamp().as_millisecond());
        let rows: Vec<Vec<String>> = peers.iter().map(|peer| row(peer, now)).collect();
        let lines = table::lines(&COLUMNS, &rows, out.width());
        lines.iter().try_for_each(|line| out.line(line))?;
        if flags.is_default() {
            let silent: Vec<&PeerHost> = list.hosts.iter().filter(|host| is_silent(host)).collect();
            if !lines.is_empty() && !silent.is_empty() {
                out.line("")?;
            }
            hosts(&list, &silent, &mut out)?;
        }
        out.flush()?;
        if list.peers.is_empty() && list.hosts.is_empty() {
            say("no peers yet; netkitctl peers add HOST asks a host for one");
        }
    }
    out.flush()
}

/// Nobody is there yet, or not who is expected.
fn is_silent(host: &PeerHost) -> bool {
    host.id.is_none() || host.trouble.is_some()
}

fn row(peer: &Peer, now: Timestamp) -> Vec<String> {
    let at = peer.addresses.first();
    let seen = peer.seen.map(|seen| ago(seen, now)).unwrap_or_default();
    vec![
        peer.peer.clone(),
        peer.id.short(),
        peer.trust.to_string(),
        if peer.linked { "linked" } else { at.map_or("", |at| how(at.how)) }.to_owned(),
        at.map(|at| address(at.address)).unwrap_or_default(),
        match (peer.linked, peer.silent) {
            (true, false) => "now".to_owned(),
            (true, true) => "no answer".to_owned(),
            (false, _) => seen,
        },
        peer.rtt_ms.map(round_trip).unwrap_or_default(),
        if peer.queued > 0 { peer.queued.to_string() } else { String::new() },
    ]
}

fn hosts(list: &PeerList, hosts: &[&PeerHost], out: &mut Out) -> Outcome {
    let row = |host: &&PeerHost| {
        let called = |id| list.peers.iter().find(|peer| peer.id == id).map(|peer| peer.peer.clone());
        vec![
            host.host.clone(),
            if host.configured { "configuration" } else { "peers add" }.to_owned(),
            host.id.map(|id| called(id).unwrap_or_else(|| id.short())).unwrap_or_default(),
            host.trouble.clone().unwrap_or_else(|| {
                if host.id.is_none() { "nobody answered yet".to_owned() } else { String::new() }
            }),
        ]
    };
    let rows: Vec<Vec<String>> = hosts.iter().map(row).collect();
    table::lines(&HOST_COLUMNS, &rows, out.width()).iter().try_for_each(|line| out.line(line))
}
