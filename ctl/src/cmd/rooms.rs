//! `netkitctl rooms`: who is in which room, and which this box is in.

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::output::{Out, say};
use crate::table::{self, Column};
use clap::Subcommand;
use netkit_proto::name::{NameError, PeerName};
use netkit_proto::rpc::call::{Room, RoomsJoin, RoomsLeave, RoomsList};

/// Show, join or leave rooms: what is sent to @ROOM reaches whoever is in it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl rooms
  netkitctl rooms join ops                              from now on and after a restart
  netkitctl send @ops 'going down for an update'
  netkitctl tail -f -r ops

A room is there as soon as somebody is in it. A message to it goes to the known and trusted peers
that are in it, whether or not this box is; strangers hear nothing. Every known peer is in @all.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show all rooms that this box or a known peer is in
    List,
    /// Be in rooms
    Join {
        /// Which
        #[arg(required = true, value_name = "ROOM", value_parser = parse_room)]
        rooms: Vec<PeerName>,
    },
    /// Be in rooms no longer
    Leave {
        /// Which
        #[arg(required = true, value_name = "ROOM", value_parser = parse_room)]
        rooms: Vec<PeerName>,
    },
}

/// A room, with or without its `@`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_room(text: &str) -> Result<PeerName, String> {
    text.strip_prefix('@').unwrap_or(text).parse().map_err(|e: NameError| e.to_string())
}

/// Does what was asked.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let (rooms, joins) = match args.what.unwrap_or(What::List) {
        What::List => return list(context, Out::stdout()),
        What::Join { rooms } => (rooms, true),
        What::Leave { rooms } => (rooms, false),
    };
    let mut client = context.connect()?;
    let mut failures = Vec::new();
    for room in rooms {
        let done = if joins { client.call(&RoomsJoin { room }) } else { client.call(&RoomsLeave { room }) };
        failures.extend(done.map_err(Failure::from).err());
    }
    super::peers::verdict(failures)
}

fn list(context: &Context, mut out: Out) -> Outcome {
    const COLUMNS: [Column; 3] =
        [Column::words("ROOM", 0), Column::words("WE", 1), Column::words("MEMBERS", 0)];
    let rooms = context.connect()?.call(&RoomsList {})?.rooms;
    if context.json {
        rooms.iter().try_for_each(|room| out.object(room))?;
        return out.flush();
    }
    let rows: Vec<Vec<String>> = rooms.iter().map(row).collect();
    table::lines(&COLUMNS, &rows, out.width()).iter().try_for_each(|line| out.line(line))?;
    out.flush()?;
    if rooms.is_empty() {
        say("nobody is in a room; netkitctl rooms join ROOM");
    }
    Ok(())
}

fn row(room: &Room) -> Vec<String> {
    let we = if room.joined { "joined" } else { "" };
    vec![format!("@{}", room.name), we.to_owned(), room.members.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use serde_json::json;
    use std::io::{Read, Seek};

    #[test]
    fn rooms_are_listed_with_who_is_in_them() {
        let fake = Fake::with(&[]);
        let rooms = [
            json!({ "name": "ops", "joined": true, "members": ["bob", "carol~k7q2xm"] }),
            json!({ "name": "night", "joined": false, "members": ["bob"] }),
        ];
        fake.state().rooms = rooms.to_vec();
        let print = |json| {
            let mut file = tempfile::tempfile().unwrap();
            let context = Context { socket: fake.socket(), json };
            list(&context, Out::to(file.try_clone().unwrap())).unwrap();
            let mut printed = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut printed).unwrap();
            printed
        };
        assert_eq!(
            print(false),
            "ROOM    WE      MEMBERS\n@ops    joined  bob, carol~k7q2xm\n@night          bob\n"
        );
        assert!(
            print(true)
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .eq(rooms)
        );
    }

    #[test]
    fn an_at_is_taken_and_what_is_no_room_is_not() {
        assert_eq!(parse_room("@ops"), parse_room("ops"));
        assert!(parse_room("@").is_err() && parse_room("a b").is_err() && parse_room("@@a").is_err());
    }
}
