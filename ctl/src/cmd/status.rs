//! `netkitctl status`: how netkitd is doing, in a few aligned lines or as one JSON object.

use crate::context::Context;
use crate::exit::Outcome;
use crate::format::show_bytes;
use crate::output::{Out, escape_line};
use crate::rate::show_rate;
use crate::time::{self, show_duration, show_time};
use jiff::Zoned;
use netkit_proto::rpc::call::{Access, Call, DownloadStatus, Dropped, NodeStatus, PeerStatus, Status};
use std::time::Duration;

/// Show how netkitd is doing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl status
  netkitctl status --json | jq .chat.received")]
pub(crate) struct Args {}

/// Asks and prints.
pub(crate) fn run(context: &Context, Args {}: Args) -> Outcome {
    let mut client = context.connect()?;
    let mut out = Out::stdout();
    if context.json {
        let answer = client.call_raw(NodeStatus::METHOD, &NodeStatus {})?;
        out.json(answer.get())?;
    } else {
        let status = client.call(&NodeStatus {})?;
        for (name, value) in rows(&status, &time::now()) {
            out.line(&format!("{name:<9} {}", escape_line(&value)))?;
        }
    }
    out.flush()
}

fn rows(status: &Status, now: &Zoned) -> Vec<(&'static str, String)> {
    let Status { log, chat, files, control, .. } = status;
    let age = now.timestamp().as_millisecond().saturating_sub(status.started.0);
    let up = show_duration(Duration::from_millis(age.try_into().unwrap_or(0)));
    let mut rows = vec![
        ("name", status.name.clone()),
        ("netkitd", format!("{}, process {}", status.version, status.pid)),
        ("up", format!("{up}, since {}", show_time(status.started, now))),
    ];
    if let Some(trouble) = &log.trouble {
        rows.push(("TROUBLE", trouble.clone()));
    }
    let unverified = if log.unverified > 0 {
        format!(", {} that strangers caused", log.unverified)
    } else {
        String::new()
    };
    rows.push((
        "log",
        format!("{} events up to {}, {}{unverified}", log.events, log.head, show_bytes(log.bytes)),
    ));
    let plain = if chat.plain { "" } else { " (off)" };
    rows.push((
        "chat",
        format!(
            "{}: plain lines: {} received, {} sent, {} queued{plain}",
            chat.listen, chat.received, chat.sent, chat.queued
        ),
    ));
    rows.extend(show_drops(&chat.dropped).map(|drops| ("dropped", drops)));
    rows.push(("peers", show_peers(&status.peers)));
    let refused = files.refused.not_allowed + files.refused.busy + files.refused.silent;
    let refused = if refused > 0 { format!(", {refused} turned away") } else { String::new() };
    let shares = if files.shares == 1 { "1 share".to_owned() } else { format!("{} shares", files.shares) };
    rows.push((
        "files",
        format!(
            "{}: {shares}, {} served, {}, {} open{refused}",
            files.listen,
            files.served,
            show_bytes(files.bytes),
            files.open
        ),
    ));
    if !status.downloads.dir.is_empty() {
        rows.push(("downloads", format!("{}: {}", status.downloads.dir, queue_in_short(&status.downloads))));
    }
    let may = match status.access {
        Access::Operator => "you may operate",
        Access::Reader => "you may read",
    };
    let refused = if control.refused > 0 { format!(", {} refused", control.refused) } else { String::new() };
    rows.push(("control", format!("{}: {} open{refused}, {may}", control.socket, control.sessions)));
    if control.log_lines_dropped > 0 {
        let lost = format!("{} lines lost, the journal did not take them", control.log_lines_dropped);
        rows.push(("journal", lost));
    }
    rows
}

fn show_peers(peers: &PeerStatus) -> String {
    let mut parts = vec![format!("{} linked, {} known", peers.linked, peers.known)];
    for (count, what) in [
        (peers.new, "new"),
        (peers.queued, "queued"),
        (peers.refused, "turned away"),
        (peers.dropped, "packets dropped"),
        (peers.full, "not taken (too many wait)"),
        (peers.challenged, "had to prove their address"),
        (peers.mistakes, "did not keep to the protocol"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}

/// How many downloads do what, and how fast. `queue --watch` shows it, too.
#[must_use]
pub(crate) fn queue_in_short(queue: &DownloadStatus) -> String {
    let mut parts = vec![format!("{} active", queue.active)];
    for (count, what) in [(queue.waiting, "waiting"), (queue.paused, "paused"), (queue.failed, "failed")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if queue.active > 0 {
        parts.push(show_rate(queue.rate));
    }
    if queue.limit > 0 {
        parts.push(format!("at most {}", show_rate(queue.limit)));
    }
    parts.join(", ")
}

/// What was dropped and where, if anything was.
fn show_drops(dropped: &Dropped) -> Option<String> {
    let drops: Vec<String> = [
        (dropped.kernel, "by the kernel (the buffer was full)"),
        (dropped.saturated, "over their share while netkitd was saturated"),
        (dropped.not_allowed, "from outside chat.allow"),
        (dropped.not_accepted, "not accepted"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, why)| format!("{count} {why}"))
    .collect();
    (!drops.is_empty()).then(|| drops.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let now: Zoned = "2026-11-23T08:30:00+00:00[+00:00]".parse().unwrap();
        let mut status: Status = serde_json::from_value(serde_json::json!({
            "name": "box1", "version": "0.1.0", "pid": 7, "started": "2026-11-22T08:00:00Z", "access": "operator",
            "log": { "epoch": 1, "head": 9, "events": 9, "bytes": 2048, "unverified": 0 },
            "chat": { "listen": "[::]:7890", "plain": true, "received": 1, "sent": 2, "queued": 0,
                "dropped": { "kernel": 0, "saturated": 0, "not_allowed": 0, "not_accepted": 0 } },
            "files": { "listen": "[::]:7891", "shares": 1, "open": 0, "served": 2, "bytes": 3,
                "refused": { "not_allowed": 0, "busy": 0, "silent": 0 } },
            "control": { "socket": "/run/x", "sessions": 1, "refused": 0, "log_lines_dropped": 0 },
        }))
        .unwrap();
        let lines = |status: &Status| {
            rows(status, &now).iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&status),
            [
                "name: box1",
                "netkitd: 0.1.0, process 7",
                "up: 1 d 0 h, since 2026-11-22 08:00:00",
                "log: 9 events up to 9, 2.0 KiB",
                "chat: [::]:7890: plain lines: 1 received, 2 sent, 0 queued",
                "peers: 0 linked, 0 known",
                "files: [::]:7891: 1 share, 2 served, 3 bytes, 0 open",
                "control: /run/x: 1 open, you may operate",
            ]
        );
        status.log.trouble = Some("the disk is full".into());
        status.chat.dropped.kernel = 3;
        (status.peers.linked, status.peers.known, status.peers.new, status.peers.queued) = (2, 3, 1, 4);
        (status.peers.refused, status.peers.dropped, status.peers.full) = (5, 6, 7);
        (status.peers.challenged, status.peers.mistakes) = (8, 9);
        let peers = "peers: 2 linked, 3 known, 1 new, 4 queued, 5 turned away, 6 packets dropped, 7 not taken (too many \
                     wait), 8 had to prove their address, 9 did not keep to the protocol";
        assert!(lines(&status).contains(&peers.to_owned()));
        status.downloads.dir = "/d".into();
        assert!(lines(&status).contains(&"downloads: /d: 0 active".to_owned()));
        (status.downloads.active, status.downloads.failed) = (2, 1);
        (status.downloads.rate, status.downloads.limit) = (1024, 1 << 20);
        let lines = lines(&status);
        let downloads = "downloads: /d: 2 active, 1 failed, 1.0 KiB/s, at most 1.0 MiB/s";
        assert!(lines.contains(&downloads.to_owned()), "{lines:?}");
        assert!(lines.contains(&"TROUBLE: the disk is full".to_owned()));
        assert!(lines.iter().any(|line| line.starts_with("dropped: 3 by the kernel")));
    }
}
