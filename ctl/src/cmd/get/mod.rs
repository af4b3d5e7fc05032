//! `netkitctl get SOURCE…`: queues downloads, and with `--wait` sees them through. Waiting is in `downloads`; what
//! can be done to a queued download is in `queue`.

#[cfg(test)]
mod tests;

use super::downloads::{Terms, Vigil};
use crate::client::Client;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome, common};
use crate::incoming::CallError;
use crate::output::{Out, can_animate, escape_line, say, tell};
use crate::rate::{RATES, parse_rate};
use crate::time::parse_duration;
use crate::wait::Signals;
use netkit_proto::files::checksum::Checksum;
use netkit_proto::limits;
use netkit_proto::name::Key;
use netkit_proto::rpc::call::{DownloadAdded, DownloadsAdd};
use std::time::Duration;

/// Queue downloads and print their ids; with --wait, see them through and print where the files are
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  netkitctl get --wait bob:isos/debian.iso
  netkitctl get bob:photos/2026/ 'bob:isos/*.iso'
  netkitctl get https://example.org/debian.iso
  netkitctl get --wait --checksum sha256:9f86d0… https://example.org/debian.iso && echo 'it is here'
  netkitctl get --wait=3600 -o isos/ http://10.0.0.9:7891/isos/a.iso tcp://10.0.0.9:7891/b.iso
  netkitctl get --limit 5M --key \"backup-$(date +%F)\" https://example.org/backup.tar

netkitd fetches, into its own directory of downloads, through restarts, whether or not anybody
waits. With --wait the path of each file is printed as soon as that is complete, whichever is
first; with --json the download, as `queue show` has it.

What comes from a peer is encrypted, and checked block by block against what that peer says it
has; other peers that have the same file help. While the peer is away the download waits for it.
A directory appears under its name when all that is in it is there.

{RATES}"))]
pub(crate) struct Args {
    /// What to fetch: PEER:SHARE/path, a directory PEER:SHARE/path/, files PEER:SHARE/path/*.iso,
    /// http(s)://…, or tcp://HOST:PORT/NAME from a server that takes a bare name
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Where to: a path beneath netkitd's downloads.dir, or an absolute one in downloads.dir or
    /// downloads.allow; one that ends with / is a directory [default: the last part of SOURCE]
    #[arg(short, long, value_name = "PATH")]
    output: Option<String>,
    /// What the content must hash to: blake3, sha256, sha512 or md5; else it fails with 7
    #[arg(long, value_name = "ALGO:HEX")]
    checksum: Option<Checksum>,
    /// At most so many bytes a second, for each
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    limit: Option<u64>,
    /// Replace a file that has the name already
    #[arg(long)]
    force: bool,
    /// Queue only once however often this is repeated within 30 days: KEY stands for the first download of then, also
    /// when that failed or was removed; with several sources, number N has the key KEY:N
    #[arg(long, value_name = "KEY")]
    key: Option<Key>,
    /// Wait until all have ended, at most so long; fails as the downloads did
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, value_parser = parse_duration)]
    wait: Option<Option<Duration>>,
    /// While waiting, tell failures only
    #[arg(short, long, requires = "wait")]
    quiet: bool,
}

/// What to queue, and how to wait for it.
struct Settings {
    requests: Vec<DownloadsAdd>,
    wait: Option<Terms>,
    json: bool,
}

fn resolve(args: Args, json: bool, can_animate: bool) -> Outcome<Settings> {
    let usage = |why: &str, hint: &str| Err(Failure::new(Exit::Usage, why).hint(hint));
    let several = args.sources.len() > 1;
    if several && args.output.as_ref().is_some_and(|output| !output.ends_with('/')) {
        return usage("several sources can't all go to one file", "end -o with a / to name a directory");
    }
    if several && args.checksum.is_some() {
        return usage("--checksum is of one file, but there are several sources", "get them one by one");
    }
    let request = |(number, source): (usize, String)| {
        let key = match &args.key {
            Some(key) if several => {
                Some(format!("{key}:{number}").parse().map_err(|e: netkit_proto::name::NameError| {
                    Failure::new(Exit::Usage, format!("--key: {e}"))
                })?)
            }
            key => key.clone(),
        };
        Ok(DownloadsAdd {
            source,
            output: args.output.clone(),
            checksum: args.checksum.clone(),
            limit: args.limit.unwrap_or(0),
            force: args.force,
            key,
        })
    };
    let requests: Outcome<Vec<_>> = (1..).zip(args.sources).map(request).collect();
    let live = can_animate && !json && !args.quiet;
    let wait = args.wait.map(|within| Terms { within, json, live, quiet: args.quiet });
    Ok(Settings { requests: requests?, wait, json })
}

/// Queues, and waits where that was asked for.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let settings = resolve(args, context.json, can_animate())?;
    let out = Out::stdout();
    match settings.wait {
        None => queue(context, &settings, out),
        Some(terms) => {
            // Listening first: nothing that happens to them is missed.
            queue_and_wait(Vigil::begin(context, Signals::catch()?, out, terms)?, &settings)
        }
    }
}

fn queue(context: &Context, settings: &Settings, mut out: Out) -> Outcome {
    let mut client = context.connect()?;
    let mut print = |added: &DownloadAdded| {
        if settings.json { out.object(added) } else { out.line(&added.id.to_string()) }
    };
    let (mut failures, mut printed) = (Vec::new(), Ok(()));
    let answered = add(&mut client, &settings.requests, |answer| match answer {
        Ok(added) => printed = printed.clone().and_then(|()| print(&added)),
        Err(exit) => failures.push(exit),
    });
    printed?;
    out.flush()?;
    answered?;
    common(failures).map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}

fn queue_and_wait(mut vigil: Vigil, settings: &Settings) -> Outcome {
    let mut answers = Vec::new();
    let answered = add(vigil.listener.client(), &settings.requests, |answer| answers.push(answer));
    for answer in answers {
        match answer {
            Ok(added) => vigil.add(added.id),
            Err(exit) => vigil.failed(exit),
        }
    }
    match answered {
        Ok(()) => {}
        Err(_) if vigil.caught().is_some() => {
            say("whether all was queued is not known; see: netkitctl queue");
        }
        // Those that are queued are waited for all the same.
        Err(e) => vigil.fail(e.into()),
    }
    vigil.wait()
}

/// Queues them all; one that fails is told, and stops no other.
///
/// # Errors
/// Where netkitd went away: nothing more will be answered.
fn add(
    client: &mut Client,
    requests: &[DownloadsAdd],
    mut each: impl FnMut(Result<DownloadAdded, Exit>),
) -> Result<(), CallError> {
    for some in requests.chunks(limits::RPC_BATCH) {
        for (request, answer) in some.iter().zip(client.batch(some)?) {
            each(answer.map_err(|error| {
                let failure = Failure::from(error);
                let named = requests.len() > 1 && !failure.message.contains(&request.source);
                let source =
                    if named { format!("{}: ", escape_line(&request.source)) } else { String::new() };
                tell(&Failure { message: format!("{source}{}", failure.message), ..failure });
                failure.exit
            }));
        }
    }
    Ok(())
}
