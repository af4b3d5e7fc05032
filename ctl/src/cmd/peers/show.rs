//! `netkitctl peers show NAME|me`: all that is known of a peer, or of this box, in aligned lines or as its JSON object;
//! the id in groups that people can compare, and as a QR code.

use super::facts::{ago, grouped, how, round_trip, why_not};
use super::qr;
use crate::context::Context;
use crate::exit::Outcome;
use crate::output::{Out, escape_line};
use crate::time::{self, show_time};
use jiff::Zoned;
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::{Call, Me, Peer, PeersList, PeersShow};
use netkit_proto::time::Timestamp;

/// What to show.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// NAME, NAME~ID or the whole id; me: this box
    #[arg(value_name = "NAME|me")]
    peer: String,
    /// Draw the id as a QR code [default: of this box, on a terminal]
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_value = "auto",
          default_missing_value = "always", hide_default_value = true)]
    qr: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum When {
    /// Of this box, on a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Asks and prints.
pub(super) fn run(context: &Context, args: &Args, mut out: Out) -> Outcome {
    let mut client = context.connect()?;
    let (id, rows) = if args.peer == "me" {
        let me = client.call(&PeersList {})?.me;
        if context.json {
            out.object(&me)?;
            return out.flush();
        }
        (me.id, rows_of_me(&me))
    } else {
        let request = PeersShow { peer: args.peer.clone() };
        if context.json {
            let answer = client.call_raw(PeersShow::METHOD, &request)?;
            out.json(answer.get())?;
            return out.flush();
        }
        let peer = client.call(&request)?;
        (peer.id, rows(&peer, &time::now()))
    };
    for (name, value) in rows {
        out.line(&format!("{name:<9} {}", escape_line(&value)))?;
    }
    let is_drawn = match args.qr {
        When::Auto => args.peer == "me" && out.is_terminal(),
        When::Always => true,
        When::Never => false,
    };
    if is_drawn {
        draw(id, &mut out)?;
    }
    out.flush()
}

fn draw(id: PeerId, out: &mut Out) -> Outcome {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_colors =
        out.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_some_and(|t| t != "dumb");
    qr::lines(id, has_colors).iter().try_for_each(|line| out.line(line))
}

fn in_rooms(rooms: &[PeerName]) -> Option<(&'static str, String)> {
    let rooms: Vec<String> = rooms.iter().map(|room| format!("@{room}")).collect();
    (!rooms.is_empty()).then(|| ("rooms", rooms.join(", ")))
}

fn rows_of_me(me: &Me) -> Vec<(&'static str, String)> {
    let mut rows = vec![("name", me.name.to_string()), ("id", grouped(me.id))];
    rows.extend(in_rooms(&me.rooms));
    rows
}

fn rows(peer: &Peer, now: &Zoned) -> Vec<(&'static str, String)> {
    let at = Timestamp(now.timestamp().as_millisecond());
    let mut rows = vec![("peer", peer.peer.clone())];
    if peer.name.as_str() != peer.peer {
        rows.push(("name", peer.name.to_string()));
    }
    rows.push(("id", grouped(peer.id)));
    rows.push(("trust", peer.trust.to_string()));
    let since =
        peer.linked_since.map(|since| format!(" since {}", show_time(since, now))).unwrap_or_default();
    let linked = match (peer.linked, peer.silent) {
        (true, false) => format!("yes{since}"),
        (true, true) => format!("yes{since}, but it does not answer"),
        (false, _) => format!("no: {}", why_not(peer)),
    };
    rows.push(("linked", linked));
    for address in &peer.addresses {
        rows.push(("address", format!("{} ({})", address.address, how(address.how))));
    }
    if let Some(seen) = peer.seen.filter(|_| !peer.linked) {
        rows.push(("seen", format!("{} ({} ago)", show_time(seen, now), ago(seen, at))));
    }
    rows.extend(peer.rtt_ms.map(|ms| ("answers", format!("in {}", round_trip(ms)))));
    rows.extend(peer.file_port.map(|port| ("files", format!("port {port}"))));
    rows.extend(in_rooms(&peer.rooms));
    match peer.queued {
        0 => {}
        1 => rows.push(("queue", "1 message waits for it, or for its receipt".to_owned())),
        many => rows.push(("queue", format!("{many} messages wait for it, or for its receipts"))),
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_known_is_told() {
        let now: Zoned = "2026-11-23T08:30:00+00:00[+00:00]".parse().unwrap();
        let lines = |peer: &Peer| {
            rows(peer, &now).iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let id = "a".repeat(52);
        let groups = vec!["aaaa"; 13].join(" ");
        let mut peer: Peer = serde_json::from_value(json!({ "peer": "bob~aaaaaa", "name": "bob", "id": id,
            "trust": "known", "linked": true, "linked_since": "2026-11-23T07:00:00Z", "addresses": [{ "address": "10.0.0.9:7890", "how": "linked" }],
            "seen": "2026-11-23T08:00:00Z", "rtt_ms": 0.71, "file_port": 7891, "rooms": ["ops"], "queued": 2 }))
        .unwrap();
        assert_eq!(
            lines(&peer),
            [
                "peer: bob~aaaaaa",
                "name: bob",
                &format!("id: {groups}"),
                "trust: known",
                "linked: yes since 07:00:00",
                "address: 10.0.0.9:7890 (linked)",
                "answers: in 0.7 ms",
                "files: port 7891",
                "rooms: @ops",
                "queue: 2 messages wait for it, or for its receipts",
            ]
        );
        peer.silent = true;
        assert!(lines(&peer).contains(&"linked: yes since 07:00:00, but it does not answer".to_owned()));
        (peer.linked, peer.silent, peer.rtt_ms, peer.addresses) = (false, false, None, Vec::new());
        let told = lines(&peer);
        assert!(told.contains(&"linked: no: no address of it is known".to_owned()), "{told:?}");
        assert!(told.contains(&"seen: 08:00:00 (30 min ago)".to_owned()), "{told:?}");
        peer.trouble = Some("10.0.0.9:7890: connection refused".into());
        assert!(lines(&peer).contains(&"linked: no: 10.0.0.9:7890: connection refused".to_owned()));
    }
}
