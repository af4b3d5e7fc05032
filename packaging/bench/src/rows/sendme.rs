//! Row `sendme`: one large file from another netkitd to the disk, encrypted, verified and synced, and by sendme (iroh, QUIC,
//! BLAKE3) with a sync behind it. That runs in a network namespace with loopback alone and without relays, so that it
//! can reach nobody else. Beside both what can be had at all here: the bare loop of row `peer`.

use super::Plan;
use super::arrival::{Fetcher, round};
use super::bare_loop::BareLoop;
use super::servers::{Content, named};
use crate::lab::{Space, missing};
use crate::measure::{Subject, interleave_after};
use crate::process::{Guard, in_path};
use crate::report::Line;
use anyhow::{Context as _, Result};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const ROW: &str = "sendme";
/// netkitctl's rate in multiples of sendme's.
const ASKED: f64 = 5.0;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let content = Content::new(if plan.quick { 64 << 20 } else { 1 << 30 })?;
    let bob = named("bob", &content)?;
    let fetcher = Fetcher::linked(&bob)?;
    let absent = in_path("sendme").is_none().then(|| "not installed".to_owned()).or_else(|| missing(&[]));
    let sender = match &absent {
        None => Some(Sender::start(&content)?),
        Some(_) => None,
    };
    let bare = BareLoop::start(content.shared().join("f"))?;
    let mut subjects = vec![
        Subject::new("netkitctl", || fetcher.get("bob:b/f", content.size)),
        Subject::new("loop", || bare.round(&fetcher.file("loop"), content.size)),
    ];
    if let Some(sender) = &sender {
        let dir = fetcher.file("sendme");
        fs::create_dir(&dir)?;
        subjects.push(Subject::new("sendme && sync", move || {
            round(&mut sender.receive(&dir), &dir.join("f"), content.size)
        }));
    }
    let values = interleave_after(|| content.warm(), plan.rounds(1, 5), &mut subjects)?;
    drop(subjects);
    fetcher.stop()?;
    bob.stop()?;

    let what = format!("{} MiB, encrypted, verified and synced", content.size >> 20);
    let mut lines = vec![Line::new(ROW, "netkitctl", "rate", "GB/s", &values[0][0]).note(what)];
    lines.push(Line::new(ROW, "loop", "rate", "GB/s", &values[1][0]));
    if let Some([sendme]) = values.get(2) {
        lines.push(Line::new(ROW, "sendme && sync", "rate", "GB/s", sendme));
        let line = Line::ratio(ROW, "rate", ("netkitctl", &values[0][0]), ("sendme && sync", sendme));
        lines.push(line.at_least(ASKED));
        let most = Line::ratio(ROW, "rate", ("loop", &values[1][0]), ("sendme && sync", sendme));
        lines.push(most.note("what can be had here"));
    }
    if let Some(why) = absent {
        lines.push(Line::not_measured(ROW, "sendme", &why));
    }
    Ok(lines)
}

/// A sendme that has imported the content and serves it.
struct Sender {
    _guard: Guard, // goes before the namespace that it is in
    space: Space,
    ticket: String,
}

impl Sender {
    fn start(content: &Content) -> Result<Sender> {
        let space = Space::new()?;
        let mut command = space.command("sendme");
        command.args(["send", "--relay", "disabled", "--ticket-type", "addresses", "--no-progress", "b/f"]);
        command.current_dir(content.shared().parent().context("no directory")?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = Guard::spawn("sendme", &mut command)?;
        let said = BufReader::new(guard.child().stdout.take().context("no stdout")?);
        let ticket = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, ticket) = line.split_once("sendme receive ")?;
            Some(ticket.trim().to_owned())
        });
        Ok(Sender { _guard: guard, space, ticket: ticket.context("sendme gives no ticket")? })
    }

    /// Fetches it into a directory, and syncs it.
    fn receive(&self, dir: &Path) -> Command {
        let mut command = self.space.command("sh");
        let script = "sendme receive --relay disabled --no-progress \"$0\" >&2 && sync f";
        command.arg("-c").arg(script).arg(&self.ticket).current_dir(dir);
        command
    }
}
