//! The flags of `tail` and what they mean. Nothing else in `tail` sees flags.

use crate::address::filter_of;
use crate::cmd::rooms::parse_room;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::Format;
use crate::time::{parse_duration, parse_when};
use jiff::Zoned;
use netkit_proto::name::{CursorName, PeerName};
use netkit_proto::rpc::filter::Filter;
use regex::Regex;
use std::time::Duration;

/// Print messages that arrived, and with -f those that arrive
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl tail -f                                     the last 10, then what comes
  netkitctl tail -S 2h -p bob -g 'backup (done|failed)'
  netkitctl tail -f -r ops --sent                       a room, and what we say there
  netkitctl tail -n 0 -C 1 -W 30 -o cat                 wait for one message, at most 30 s
  netkitctl tail -f --cursor bot --exec 'netkitctl send \"$NETKIT_PEER\" - || true'

WHEN is 10m, \"2h ago\", today, yesterday, 08:00, 2026-11-23, \"2026-11-23 08:00\" or RFC 3339.
A cursor is a place in the log with a name: the next tail with it goes on where this one ended.
A ? marks a message without proof of its sender, [new] one of a box that nobody here knows yet.
CMD gets the text on stdin, and NETKIT_SEQ, NETKIT_AT, NETKIT_KIND, NETKIT_PEER, NETKIT_ID,
NETKIT_TRUST (new, known, trusted), NETKIT_ROOM, NETKIT_VERIFIED, NETKIT_ENCODING and NETKIT_BYE in
its environment. Where it fails, tail ends and the message comes again; a command that must not be
stopped by one ends with: || true")]
pub(crate) struct Args {
    /// Wait for what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Print at most so many of the past [default: 10; all with -S or a cursor]
    #[arg(short = 'n', value_name = "N")]
    pub last: Option<usize>,
    /// Only what was stored at or after this time
    #[arg(short = 'S', long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only what was stored before this time
    #[arg(short = 'U', long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Only from (and to) this peer: NAME, NAME~ID, an address, or an address and port
    #[arg(short, long)]
    pub peer: Option<String>,
    /// Only what is said to this room; all: to everybody
    #[arg(short, long, value_parser = parse_room)]
    pub room: Option<PeerName>,
    /// Only messages whose text matches
    #[arg(short = 'g', long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// How to print [default: short]
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
    /// End after so many
    #[arg(short = 'C', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Follow for so long at most, then exit with 6, whatever was printed
    #[arg(short = 'W', long, value_name = "SECS", value_parser = parse_duration)]
    pub within: Option<Duration>,
    /// Go on where the last tail with this cursor ended
    #[arg(long, value_name = "NAME")]
    pub cursor: Option<CursorName>,
    /// Also our own messages and what became of them
    #[arg(long)]
    pub sent: bool,
    /// The whole log
    #[arg(long, conflicts_with = "sent")]
    pub events: bool,
    /// Run this shell command for each message instead of printing it
    #[arg(long, value_name = "CMD", conflicts_with = "output")]
    pub exec: Option<String>,
}

/// What to print, from where, until when.
#[derive(Debug)]
pub(crate) struct Settings {
    pub filter: Filter,
    pub grep: Option<Regex>,
    pub format: Format,
    pub exec: Option<String>,
    pub follow: bool,
    /// Where nothing was read yet: start with so many of the past. `None`: with all that is kept.
    pub last: Option<usize>,
    pub count: Option<u64>,
    pub within: Option<Duration>,
    /// For so long something can still come that is before the `until` of the filter.
    pub until: Option<Duration>,
    pub cursor: Option<CursorName>,
}

/// Turns flags into settings.
pub(crate) fn resolve(args: Args, json: bool, now: &Zoned) -> Outcome<Settings> {
    let when = |text: Option<String>, flag| {
        let parsed = text.map(|text| parse_when(&text, now)).transpose();
        parsed.map_err(|why| Failure::new(Exit::Usage, format!("{flag}: {why}")))
    };
    let topics = match (args.events, args.sent) {
        (true, _) => vec![],
        (false, true) => vec!["message".to_owned()],
        (false, false) => vec!["message.received".to_owned()],
    };
    let grep = args.grep.map(|pattern| Regex::new(&pattern)).transpose();
    let grep = grep.map_err(|e| Failure::new(Exit::Usage, format!("-g: {e}")))?;
    let everything = args.since.is_some() || args.cursor.is_some();
    let filter = Filter {
        topics,
        peer: args.peer.as_deref().map(filter_of),
        room: args.room.map(|room| room.to_string()),
        after: when(args.since, "-S")?,
        until: when(args.until, "-U")?,
    };
    let until = filter.until.map(|until| {
        let left = until.0.saturating_sub(now.timestamp().as_millisecond());
        Duration::from_millis(left.try_into().unwrap_or(0))
    });
    let format = match args.output {
        Some(format) => format,
        None if json => Format::Json,
        None => Format::Short,
    };
    Ok(Settings {
        filter,
        grep,
        format,
        exec: args.exec,
        follow: args.follow || args.within.is_some(),
        last: args.last.or((!everything).then_some(10)),
        count: args.count,
        within: args.within,
        until,
        cursor: args.cursor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(args: Args) -> Outcome<Settings> {
        resolve(args, false, &"2026-11-23T08:30:00+00:00[+00:00]".parse().unwrap())
    }

    #[test]
    fn ten_of_the_past_unless_told_otherwise() {
        let cursor = || Some("c".parse().unwrap());
        for (args, last) in [
            (Args::default(), Some(10)),
            (Args { last: Some(3), ..Args::default() }, Some(3)),
            (Args { since: Some("10m".into()), ..Args::default() }, None),
            (Args { cursor: cursor(), ..Args::default() }, None),
            (Args { cursor: cursor(), last: Some(0), ..Args::default() }, Some(0)),
        ] {
            assert_eq!(resolved(args).unwrap().last, last);
        }
    }

    #[test]
    fn flags_become_a_filter() {
        let settings =
            resolved(Args { sent: true, within: Some(Duration::from_secs(1)), ..Args::default() }).unwrap();
        assert_eq!(settings.filter.topics, ["message"]);
        let room = parse_room("@ops").ok();
        assert_eq!((&room, parse_room("a b").is_err()), (&parse_room("ops").ok(), true));
        let of_room = resolved(Args { room, ..Args::default() }).unwrap();
        assert_eq!(of_room.filter.room.as_deref(), Some("ops"));
        assert!(settings.follow);
        for args in [
            Args { since: Some("soon".into()), ..Args::default() },
            Args { grep: Some("(".into()), ..Args::default() },
        ] {
            assert_eq!(resolved(args).unwrap_err().exit, Exit::Usage);
        }
    }
}
