//! `netkitctl peers trust`: says that a peer is the box that its id says. Whoever does so has compared the whole id; on a
//! terminal it is shown and asked for.

use super::facts::{grouped, parse_id};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, escape_line};
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::{Peer, PeersShow, PeersTrust};
use std::io::{self, BufRead, Write};

/// Whom to trust.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// NAME, NAME~ID or the whole id
    #[arg(value_name = "NAME")]
    peer: String,
    /// The whole id as it was compared, in groups or not; refused where it is not the peer's
    #[arg(value_name = "ID")]
    id: Vec<String>,
    /// Whatever the id is: the box was seen, and the network is trusted
    #[arg(short, long, conflicts_with = "id")]
    yes: bool,
}

/// Trusts; `person` is who can be asked.
pub(super) fn run(context: &Context, args: &Args, person: Option<impl BufRead>, mut out: Out) -> Outcome {
    let given = match (&args.id[..], parse_id(&args.peer)) {
        ([], whole) => whole.ok(),
        (id, _) => Some(parse_id(&id.concat()).map_err(|why| Failure::new(Exit::Usage, why))?),
    };
    let mut client = context.connect()?;
    let (peer, id) = match given {
        Some(id) => (args.peer.clone(), id),
        None => {
            let peer = client.call(&PeersShow { peer: args.peer.clone() })?;
            match person {
                _ if args.yes => {}
                Some(person) => ask(&peer, person)?,
                None => return Err(nobody_to_ask(&args.peer)),
            }
            // By its id: meanwhile the name may have come to mean another one.
            (peer.id.to_string(), peer.id)
        }
    };
    let trusted = client.call(&PeersTrust { peer, id: Some(id) })?;
    if context.json {
        out.object(&trusted)?;
    }
    out.flush()
}

fn nobody_to_ask(peer: &str) -> Failure {
    Failure::new(Exit::Usage, "nobody is at a terminal to compare the id")
        .hint(format!("name the whole id: netkitctl peers trust {peer} ID; or take whatever it is: --yes"))
}

fn ask(peer: &Peer, mut person: impl BufRead) -> Outcome {
    let question = question(&peer.peer, peer.id);
    let asked = io::stderr().write_all(question.as_bytes()).and_then(|()| io::stderr().flush());
    asked.map_err(|e| Failure::new(Exit::Failed, format!("asking at the terminal: {e}")))?;
    let mut answer = String::new();
    let read = person.read_line(&mut answer);
    read.map_err(|e| Failure::new(Exit::Failed, format!("reading the answer: {e}")))?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("{} is not trusted", peer.peer)))
}

fn question(label: &str, id: PeerId) -> String {
    let label = escape_line(label);
    format!(
        "The id of {label} is\n\n  {}\n\nIs it what `netkitctl peers show me` prints on that box? [y/N] ",
        grouped(id)
    )
}
