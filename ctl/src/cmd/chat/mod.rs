//! `netkitctl chat DEST`: a conversation. At a terminal with a line editor (`terminal`), else plain lines in and out
//! (`pipe`); both speak through `speaker`.

mod pipe;
mod speaker;
mod terminal;

use super::delivery;
use crate::address::{look_up, name_of};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use netkit_proto::name::Destination;
use netkit_proto::rpc::event::Filter;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Talk with a peer; `bye` or Ctrl-D ends it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl chat udp://10.0.0.9:7890
  (echo hello; sleep 5) | netkitctl chat udp://10.0.0.9:7890 > answers.txt

At a terminal what the peer sends appears above the line you type. On a pipe each line of stdin is a
message and each message a line of stdout; at the end of stdin it waits up to 60 s until all is sent.
`bye` is sent and ends it; Ctrl-D ends it without a word.")]
pub(crate) struct Args {
    /// With whom: udp://HOST:PORT
    dest: String,
}

/// With whom, and where netkitd is.
#[derive(Clone, Debug)]
struct Settings {
    socket: PathBuf,
    /// As events name it.
    peer: String,
    /// Print for programs.
    json: bool,
}

impl Settings {
    /// What this peer sends, and what became of what it was sent.
    fn live(&self) -> Filter {
        let kinds = [&delivery::TOPICS[..], &["message.received"]].concat();
        Filter { peer: Some(self.peer.clone()), ..delivery::topics(&kinds) }
    }
}

/// Talks until one side ends it.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let peer = as_events_name_it(&args.dest)?;
    let settings = Settings { socket: context.socket.clone(), peer, json: context.json };
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if is_terminal && !is_dumb && !settings.json { terminal::run(&settings) } else { pipe::run(&settings) }
}

/// A plain peer is known by its address, so a host name is resolved here, once: whatever it means later, this
/// conversation stays with one peer.
fn as_events_name_it(dest: &str) -> Outcome<String> {
    let parsed: Destination = dest.parse().map_err(|e| Failure::new(Exit::Usage, format!("{dest}: {e}")))?;
    let Destination::Plain { host, port } = parsed else {
        return Err(Failure::new(Exit::NotFound, format!("no peer is called {dest}"))
            .hint("a plain peer is written udp://HOST:PORT"));
    };
    let found = look_up(&host, port);
    found.map(name_of).map_err(|e| Failure::new(Exit::NotFound, format!("looking up {host}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_peer_is_known_by_its_address() {
        for (dest, expected) in [
            ("udp://10.0.0.9:9", Ok("udp://10.0.0.9:9")),
            ("udp://[0::1]:9", Ok("udp://[::1]:9")),
            ("udp://[::ffff:10.0.0.9]:9", Ok("udp://10.0.0.9:9")),
            ("udp://[fe80::1%lo]:9", Ok("udp://[fe80::1%1]:9")),
            ("bob", Err(Exit::NotFound)),
            ("udp://10.0.0.9", Err(Exit::Usage)),
            ("udp://no-such-host.invalid:9", Err(Exit::NotFound)),
        ] {
            let found = as_events_name_it(dest).map_err(|f| f.exit);
            assert_eq!(found.as_deref(), expected.as_deref(), "{dest}");
        }
    }
}
