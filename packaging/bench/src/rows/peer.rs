//! Row `peer`: one large file from another netkitd to the disk, encrypted, checked block by block and synced, the page
//! cache warm. Beside it curl from nginx in plain text with a sync behind it and without, scp with AES-GCM and a sync, and
//! what can be had at all with as many threads: a bare loop that reads, decrypts, hashes and writes (`loop`), or by
//! nobody: what the disk takes of a file that is written and synced (`disk`).

use super::Plan;
use super::arrival::{CURL, Fetcher, round};
use super::bare_loop::{self, BareLoop};
use super::servers::{Content, named, nginx, sshd};
use crate::measure::{Subject, interleave_after};
use crate::process::in_path;
use crate::report::Line;
use anyhow::Result;

pub(crate) const ROW: &str = "peer";
/// netkitctl's rate in multiples of theirs.
const ASKED: [(&str, f64); 3] = [("curl && sync", 1.3), ("scp && sync", 2.2), ("loop", 0.9)];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let content = Content::new(if plan.quick { 64 << 20 } else { 1 << 30 })?;
    let bob = named("bob", &content)?;
    let fetcher = Fetcher::linked(&bob)?;
    let bare = BareLoop::start(content.shared().join("f"))?;
    let web = nginx(&content)?.filter(|_| in_path("curl").is_some());
    let ssh = sshd(&content)?;

    let mut names = vec!["netkitctl", "loop", "disk"];
    let mut subjects = vec![
        Subject::new("netkitctl", || fetcher.get("bob:b/f", content.size)),
        Subject::new("loop", || bare.round(&fetcher.file("loop"), content.size)),
        Subject::new("disk", || bare_loop::written(&fetcher.file("disk"), content.size)),
    ];
    let (here, size) = (&fetcher, content.size);
    if let Some((_, address)) = &web {
        for (name, script) in CURL {
            let url = format!("http://{address}/b/f");
            names.push(name);
            subjects.push(Subject::new(name, move || here.curl(script, &url, size)));
        }
    }
    if let Ok(ssh) = &ssh {
        let file = fetcher.file("scp");
        names.push("scp && sync");
        subjects.push(Subject::new("scp && sync", move || {
            let mut shell = ssh.copy("b/f", &file);
            round(&mut shell, &file, size)
        }));
    }
    let values = interleave_after(|| content.warm(), plan.rounds(2, 9), &mut subjects)?;
    drop(subjects);
    fetcher.stop()?;
    bob.stop()?;

    let what = format!("{} MiB, encrypted, verified and synced", content.size >> 20);
    let mut lines: Vec<Line> =
        names.iter().zip(&values).map(|(name, [rate])| Line::new(ROW, *name, "rate", "GB/s", rate)).collect();
    lines[0] = Line::new(ROW, "netkitctl", "rate", "GB/s", &values[0][0]).note(what);
    for (name, [rate]) in names.iter().zip(&values).skip(1) {
        let line = Line::ratio(ROW, "rate", ("netkitctl", &values[0][0]), (name, rate));
        let asked = ASKED.iter().find(|(of, _)| of == name);
        lines.push(match asked {
            Some(&(_, asked)) => line.at_least(asked),
            None => line,
        });
    }
    if web.is_none() {
        lines.push(Line::not_installed(ROW, "nginx and curl"));
    }
    if let Err(why) = ssh {
        lines.push(Line::not_measured(ROW, "scp", &why));
    }
    Ok(lines)
}
