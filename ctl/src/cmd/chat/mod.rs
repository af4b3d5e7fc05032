//! `netkitctl chat DEST`: a conversation. At a terminal with a line editor (`terminal`), else plain lines in and out
//! (`pipe`); both speak through `speaker`. `marks` says which lines have not arrived.

mod marks;
mod pipe;
mod speaker;
mod terminal;

use super::delivery;
use crate::address::{is_plain, look_up, name_of};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::say;
use netkit_proto::chat::plain::is_bye;
use netkit_proto::name::{Destination, PeerName};
use netkit_proto::rpc::call::{PeersList, PeersShow, RoomsList, Trust};
use netkit_proto::rpc::event::Event;
use netkit_proto::rpc::filter::Filter;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Talk with a peer or a room; `bye` or Ctrl-D ends it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl chat bob
  netkitctl chat @ops                                   what everybody says there
  netkitctl chat udp://10.0.0.9:7890
  (echo hello; sleep 5) | netkitctl chat bob > answers.txt

At a terminal what the peer sends appears above the line you type; a line that it does not have
within 2 s is told, and when it has it. On a pipe each line of stdin is a message and each message a
line of stdout; at the end of stdin it waits up to 60 s until all is delivered (to a plain peer:
sent). `bye` is sent and ends it; Ctrl-D ends it without a word.")]
pub(crate) struct Args {
    /// With whom: NAME, NAME~ID, @room, @all or udp://HOST:PORT
    dest: String,
}

/// With whom, and where netkitd is.
#[derive(Clone, Debug)]
struct Settings {
    socket: PathBuf,
    /// As events name it.
    peer: String,
    /// Of a conversation with a room: which.
    room: Option<String>,
    /// Print for programs.
    json: bool,
}

impl Settings {
    /// What is said in this conversation, and what became of what was said; [`Settings::is_of_it`] looks closer.
    fn filter(&self, kinds: &[&str]) -> Filter {
        // A message's end does not name its room.
        let peer = self.room.is_none().then(|| self.peer.clone());
        Filter { peer, ..delivery::topics(kinds) }
    }

    /// Whether a message, either way, belongs to this conversation: what a peer says to a room is not said to us alone.
    fn is_of_it(&self, event: &Event) -> bool {
        match event {
            Event::Received { room, .. } | Event::Queued { room, .. } => *room == self.room,
            _ => false,
        }
    }

    /// Whether this ends the conversation. Of a room one leaves, and the others talk on.
    fn is_bye(&self, event: &Event) -> bool {
        match event {
            Event::Received { bye, text, .. } => self.room.is_none() && (*bye || is_bye(text)),
            _ => false,
        }
    }
}

/// Talks until one side ends it.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let (peer, room) = as_events_name_it(context, &args.dest)?;
    let settings = Settings { socket: context.socket.clone(), peer, room, json: context.json };
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if is_terminal && !is_dumb && !settings.json { terminal::run(&settings) } else { pipe::run(&settings) }
}

/// A peer is known by what netkitd calls it, a plain one by its address: a host name is resolved here, once. Whatever
/// either means later, this conversation stays with one peer.
fn as_events_name_it(context: &Context, dest: &str) -> Outcome<(String, Option<String>)> {
    if !is_plain(dest)
        && dest.len() == 52
        && let Ok(id) = dest.parse::<netkit_proto::ids::PeerId>()
    {
        return label(context, id.to_string());
    }
    let parsed: Destination = dest.parse().map_err(|e| Failure::new(Exit::Usage, format!("{dest}: {e}")))?;
    match parsed {
        Destination::Plain { host, port } => {
            let found = look_up(&host, port);
            let name = found.map(name_of);
            let name = name.map_err(|e| Failure::new(Exit::NotFound, format!("looking up {host}: {e}")))?;
            Ok((name, None))
        }
        Destination::Peer { .. } => label(context, dest.to_owned()),
        Destination::Room(room) => {
            enter(context, &room)?;
            Ok((dest.to_owned(), Some(room.to_string())))
        }
        Destination::All => {
            let peers = context.connect()?.call(&PeersList {})?.peers;
            if peers.iter().all(|peer| peer.trust < Trust::Known) {
                return Err(Failure::new(Exit::NotFound, "no peers are known: @all reaches nobody")
                    .hint("netkitctl peers shows who was seen"));
            }
            Ok((dest.to_owned(), Some("all".to_owned())))
        }
    }
}

/// A room in which somebody is, be it only this box, and waits for others.
fn enter(context: &Context, room: &PeerName) -> Outcome {
    let rooms = context.connect()?.call(&RoomsList {})?.rooms;
    let found = rooms.iter().find(|found| found.name == *room);
    if !found.is_some_and(|room| room.joined || !room.members.is_empty()) {
        return Err(Failure::new(
            Exit::NotFound,
            format!("nobody that is known here is in the room @{room}"),
        )
        .hint("netkitctl rooms shows who is in which"));
    }
    if !found.is_some_and(|room| room.joined) {
        say(&format!("this box is not in @{room} and won't hear the others: netkitctl rooms join {room}"));
    }
    Ok(())
}

fn label(context: &Context, peer: String) -> Outcome<(String, Option<String>)> {
    Ok((context.connect()?.call(&PeersShow { peer })?.peer, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use serde_json::json;

    #[test]
    fn each_is_known_as_events_name_it() {
        let fake = Fake::with(&[]);
        fake.state().add_peer("bob", json!({ "peer": "bob~aaaaaa" }));
        let context = Context { socket: fake.socket(), json: false };
        for (dest, expected) in [
            ("udp://10.0.0.9:9", Ok("udp://10.0.0.9:9")),
            ("udp://[0::1]:9", Ok("udp://[::1]:9")),
            ("udp://[::ffff:10.0.0.9]:9", Ok("udp://10.0.0.9:9")),
            ("udp://[fe80::1%lo]:9", Ok("udp://[fe80::1%1]:9")),
            ("bob", Ok("bob~aaaaaa")),
            ("carol", Err(Exit::NotFound)),
            ("bob:x", Err(Exit::Usage)),
            ("udp://10.0.0.9", Err(Exit::Usage)),
            ("udp://no-such-host.invalid:9", Err(Exit::NotFound)),
        ] {
            let found = as_events_name_it(&context, dest).map_err(|f| f.exit);
            assert_eq!(found, expected.map(|name| (name.to_owned(), None)), "{dest}");
        }
        let room = |name: &str| Ok((format!("@{name}"), Some(name.to_owned())));
        assert_eq!(as_events_name_it(&context, "@ops").unwrap_err().exit, Exit::NotFound);
        for (joined, members) in [(true, json!([])), (false, json!(["bob"]))] {
            fake.state().rooms = vec![json!({ "name": "ops", "joined": joined, "members": members })];
            assert_eq!(as_events_name_it(&context, "@ops"), room("ops"));
        }
        assert_eq!(as_events_name_it(&context, "@all"), room("all"));
        fake.state().peers.clear();
        assert_eq!(as_events_name_it(&context, "@all").unwrap_err().exit, Exit::NotFound);
    }

    #[test]
    fn what_is_said_to_a_room_is_another_conversation() {
        let settings = |room: Option<&str>| Settings {
            socket: PathBuf::new(),
            peer: "bob".into(),
            room: room.map(str::to_owned),
            json: false,
        };
        let said = |room: Option<&str>| -> Event {
            let event = json!({ "kind": "message.received", "peer": "bob", "room": room, "verified": true,
                "encoding": "utf-8", "text": "bye" });
            serde_json::from_value(event).unwrap()
        };
        assert!(settings(None).is_of_it(&said(None)) && !settings(None).is_of_it(&said(Some("ops"))));
        assert!(settings(Some("ops")).is_of_it(&said(Some("ops"))));
        assert!(!settings(Some("ops")).is_of_it(&said(None)));
        assert!(settings(None).is_bye(&said(None)) && !settings(Some("ops")).is_bye(&said(Some("ops"))));
    }
}
