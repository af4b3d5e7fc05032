//! `netkitctl peers`: the other netkit boxes. `list` and `show` tell of them (`facts` in words, `qr` for a camera), `add`
//! asks a host for one, `trust` is the one decision that a person makes, `wait` waits for links.

mod add;
mod facts;
mod list;
mod qr;
mod show;
#[cfg(test)]
mod tests;
mod trust;
mod wait;

use crate::client::Client;
use crate::context::Context;
use crate::exit::{Failure, Outcome, common};
use crate::incoming::CallError;
use crate::output::{Out, say, tell};
use crate::time::parse_duration;
use clap::Subcommand;
use netkit_proto::rpc::call::{PeersBlock, PeersRemove, PeersShow};
use std::io::IsTerminal;
use std::time::Duration;

/// Show the other netkit boxes, and say whom to trust
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl peers                                       who is there
  netkitctl peers show me                               this box: its name, its id, a QR code
  netkitctl peers add 10.0.0.9 --wait                   ask a host for a peer, until it is linked
  netkitctl peers trust bob                             shows bob's whole id, and asks
  netkitctl peers wait bob -W 60 && netkitctl send bob hi
  netkitctl peers --json | jq -r 'select(.linked).peer'

A peer is new when it was only seen, known when somebody here added it or sent something to it,
trusted when somebody here compared its id. A name is a claim: NAME alone means a peer that is known
here; NAME~ID, with the start of the id, tells namesakes apart.")]
pub(crate) struct Args {
    #[command(flatten)]
    list: list::Flags,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show them
    List(list::Flags),
    /// Show all that is known of a peer
    Show(show::Args),
    /// Ask a host for a peer, from now on and after a restart
    Add {
        /// HOST or HOST:PORT; without a port 7890
        host: String,
        /// Wait until the peer there is linked, 60 s or this long, then print what it is called
        #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, default_missing_value = "60",
              value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// Forget peers, and what waits for them; or ask hosts no longer
    Remove(Many),
    /// Trust a peer: it is the box that its id says
    Trust(trust::Args),
    /// Take nothing from peers and send them nothing, from now on
    Block(Many),
    /// Wait until peers are linked
    Wait {
        /// Which
        #[arg(required = true, value_name = "NAME")]
        peers: Vec<String>,
        /// At most so long, then exit with 6; a peer that is not known yet is waited for, too
        #[arg(short = 'W', long, value_name = "SECS", value_parser = parse_duration)]
        within: Option<Duration>,
    },
}

#[derive(Debug, clap::Args)]
struct Many {
    /// Which
    #[arg(required = true, value_name = "NAME")]
    peers: Vec<String>,
}

/// Does what was asked.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let Some(what) = args.what else { return list::run(context, &args.list, Out::stdout()) };
    if !args.list.is_default() {
        return Err(Failure::new(
            crate::exit::Exit::Usage,
            "an option of the list stands in front of another command",
        ));
    }
    match what {
        What::List(flags) => list::run(context, &flags, Out::stdout()),
        What::Show(args) => show::run(context, &args, Out::stdout()),
        What::Add { host, wait } => add::run(context, host, wait, Out::stdout()),
        What::Remove(Many { peers }) => each(context, peers, remove),
        What::Trust(args) => {
            let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
            trust::run(context, &args, is_terminal.then(|| std::io::stdin().lock()), Out::stdout())
        }
        What::Block(Many { peers }) => {
            let mut out = Out::stdout();
            let block = |client: &mut Client, peer| client.call(&PeersBlock { peer });
            let mut blocked = Vec::new();
            let ended =
                each(context, peers, |client, peer| block(client, peer).map(|peer| blocked.push(peer)));
            if context.json {
                blocked.iter().try_for_each(|peer| out.object(peer))?;
                out.flush()?;
            }
            ended
        }
        What::Wait { peers, within } => wait::run(context, &peers, within, Out::stdout()),
    }
}

/// Has a peer or a host forgotten; what waited for it is told, since it goes, too.
fn remove(client: &mut Client, peer: String) -> Result<(), CallError> {
    let waiting = client.call(&PeersShow { peer: peer.clone() }).map_or(0, |shown| shown.queued);
    client.call(&PeersRemove { peer: peer.clone() })?;
    match waiting {
        0 => {}
        1 => say(&format!("a message that waited for {peer} is given up")),
        many => say(&format!("{many} messages that waited for {peer} are given up")),
    }
    Ok(())
}

fn each(
    context: &Context,
    peers: Vec<String>,
    mut call: impl FnMut(&mut Client, String) -> Result<(), CallError>,
) -> Outcome {
    let mut client = context.connect()?;
    let failures = peers.into_iter().filter_map(|peer| call(&mut client, peer).err()).map(Failure::from);
    verdict(failures.collect())
}

/// One failure is the verb's; of several each is told, and their common code is the verb's.
pub(super) fn verdict(mut failures: Vec<Failure>) -> Outcome {
    if failures.len() == 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    failures.iter().for_each(tell);
    common(failures.iter().map(|failure| failure.exit)).map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}
