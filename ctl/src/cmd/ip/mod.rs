//! `netkitctl ip`: what addresses and networks are, and what this machine has. Needs no netkitd. `target` is what was
//! typed, `facts` what is known of it (`class`, `scope`, `registry`, `prefix`), `many` compares and divides, `here` is
//! this machine, `whose` the peers that a netkitd knows.

mod class;
mod facts;
mod here;
mod many;
mod prefix;
mod registry;
mod scope;
mod target;
mod whose;

use crate::context::Context;
use crate::exit::Outcome;
use crate::machine::interfaces::{Interface, having, index_of, interfaces, source_for};
use crate::output::{Out, escape_line};
use facts::{Facts, Reach};
use target::{Target, parse_split};
use whose::Peers;

/// Say what addresses and networks are, and which this machine has
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl ip                                          what this machine has
  netkitctl ip 125.245.245.22                           its class and parts, what it is today
  netkitctl ip 192.168.1.255/23                         a host's, or the broadcast address?
  netkitctl ip 10.0.0.9 10.0.3.1 10.0.2.0/24            the smallest network with all
  netkitctl ip 10.0.0.0/24 --split /26                  the four networks in it
  netkitctl ip 10.0.0.0/8 --contains 10.1.2.3 && echo 'it is ours'
  netkitctl ip 10.0.0.9/24 --json | jq -r .broadcast

Classes are how addresses were divided until 1993, and how they are taught; an address without
prefix is taken by its class. What an address is today follows IANA's registries. Nothing is
sent. --contains fails with 1 where a network does not contain it.")]
pub(crate) struct Args {
    /// Addresses or networks; nothing: this machine's
    #[arg(value_name = "ADDR[/PREFIX]")]
    targets: Vec<Target>,
    /// Divide the networks into ones of this prefix
    #[arg(long, value_name = "PREFIX", value_parser = parse_split, requires = "targets")]
    split: Option<u8>,
    /// At most so many networks of --split [default: 1024 on a terminal, else all]
    #[arg(short = 'n', long = "lines", value_name = "N", requires = "split")]
    most: Option<usize>,
    /// Whether the networks contain this address or network
    #[arg(long, value_name = "ADDR[/PREFIX]", requires = "targets", conflicts_with = "split")]
    contains: Option<Target>,
}

/// Finds out and prints.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let (mut out, json) = (Out::stdout(), context.json);
    if let Some(prefix) = args.split {
        many::split(&mut out, json, &args.targets, prefix, args.most)?;
    } else if let Some(what) = &args.contains {
        many::contains(&mut out, json, &args.targets, what)?;
    } else if args.targets.is_empty() {
        here::show(context, &mut out)?;
    } else {
        let interfaces = interfaces().unwrap_or_default(); // they only name what reaches an address
        let peers = Peers::ask(context);
        for (nth, target) in args.targets.iter().enumerate() {
            let mut facts = Facts::of(target);
            facts.reach = Some(reach(target, &interfaces));
            facts.peers = peers.at(target.address);
            if json {
                out.object(&facts)?;
                continue;
            }
            if nth > 0 {
                out.line("")?;
            }
            for (name, value) in facts.rows() {
                out.line(&format!("{name:<9} {}", escape_line(&value)))?;
            }
        }
        if args.targets.len() > 1 {
            if !json {
                out.line("")?;
            }
            many::compare(&mut out, json, &args.targets)?;
        }
    }
    out.flush()
}

/// Which interface packets to it would leave by.
fn reach(target: &Target, interfaces: &[Interface]) -> Reach {
    let no = |why: String| Reach {
        reached_by: None,
        reached_from: None,
        unreachable_because: Some(why),
        own: false,
    };
    let needs_zone = match target.address {
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.segments()[0] == 0xff02,
        std::net::IpAddr::V4(_) => false,
    };
    let own = having(interfaces, target.address).filter(|own| {
        target
            .zone
            .as_ref()
            .is_none_or(|zone| own.name == *zone || own.index.map(|i| i.to_string()).as_ref() == Some(zone))
    });
    if let Some(own) = own {
        let by = Some(own.name.clone());
        return Reach {
            reached_by: by,
            reached_from: Some(target.address),
            unreachable_because: None,
            own: true,
        };
    }
    let index = match &target.zone {
        Some(zone) => match index_of(interfaces, zone) {
            Some(index) => index,
            None => return no(format!("this machine has no interface {zone}")),
        },
        None if needs_zone => {
            return no(format!("every link has its own: say which, {}%INTERFACE", target.address));
        }
        None => 0,
    };
    match source_for(target.address, index) {
        Ok(from) => {
            let named = interfaces.iter().find(|interface| index != 0 && interface.index == Some(index));
            let by = named.or_else(|| having(interfaces, from)).map(|interface| interface.name.clone());
            Reach { reached_by: by, reached_from: Some(from), unreachable_because: None, own: false }
        }
        Err(e) => no(format!("the kernel has no way there: {e}")),
    }
}
