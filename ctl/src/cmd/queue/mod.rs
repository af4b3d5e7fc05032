//! `netkitctl queue`: the download queue. `list` shows it (`watch` as it goes on), `show` one of it, `change` does
//! something to it; waiting for it is in `downloads`. Putting something into it is `get`.

mod change;
mod list;
mod show;
#[cfg(test)]
mod tests;
mod watch;

use super::downloads::{Terms, Vigil, all, unfinished};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, can_animate};
use crate::rate::RATES;
use crate::time::parse_duration;
use crate::wait::Signals;
use change::{Many, Verb};
use clap::Subcommand;
use netkit_proto::rpc::call::DownloadsList;
use std::time::Duration;

/// Show the download queue, and change what is in it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  netkitctl queue                                       what is in it
  netkitctl queue --watch                               its progress, until all is done
  netkitctl queue --state failed --json | jq -r .error.message
  netkitctl queue wait 7 8 && echo 'both are here'
  netkitctl queue pause --all
  netkitctl queue retry 7
  netkitctl queue move 9 before 7
  netkitctl queue limit 5M                              all together; queue limit 1M 7: that one

{RATES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    list: list::Flags,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what is in it, in the order of its turn; what has ended stands last
    List(list::Flags),
    /// Show all that is known of a download
    Show {
        /// Which download
        #[arg(value_parser = download_id)]
        id: u64,
    },
    /// Wait until downloads have ended; fails if one failed. Prints as get --wait does
    Wait {
        /// Which downloads [default: all that have not ended]
        #[arg(value_name = "ID", value_parser = download_id)]
        ids: Vec<u64>,
        /// At most so long, then exit with 6
        #[arg(short = 'W', long, value_name = "SECS", value_parser = parse_duration)]
        within: Option<Duration>,
        /// Tell failures only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Stop downloads until they are resumed; what came of them is kept
    Pause(Many),
    /// Let paused downloads go on
    Resume(Many),
    /// Queue failed or cancelled downloads again, under their ids; --all: the failed ones
    Retry(Many),
    /// Give a download another place in the queue
    Move(change::Move),
    /// End downloads and delete what came of them
    Cancel(Many),
    /// Forget downloads, ending them first; complete files stay. --all: those that have ended
    Remove(Many),
    /// Limit the rate of all together, or of these downloads, from now on and after a restart
    Limit(change::Limit),
}

/// Does what was asked.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let Some(what) = args.what else { return list::run(context, args.list) };
    if !args.list.is_default() {
        return Err(Failure::new(Exit::Usage, "an option of the list stands in front of another command")
            .hint("options of a command follow it: netkitctl queue wait -q 7"));
    }
    match what {
        What::List(flags) => list::run(context, flags),
        What::Show { id } => show::run(context, id),
        What::Wait { ids, within, quiet } => {
            let live = can_animate() && !context.json && !quiet;
            let terms = Terms { within, json: context.json, live, quiet };
            wait(Vigil::begin(context, Signals::catch()?, Out::stdout(), terms)?, &ids)
        }
        What::Pause(which) => change::many(context, Verb::Pause, &which, Out::stdout()),
        What::Resume(which) => change::many(context, Verb::Resume, &which, Out::stdout()),
        What::Retry(which) => change::many(context, Verb::Retry, &which, Out::stdout()),
        What::Cancel(which) => change::many(context, Verb::Cancel, &which, Out::stdout()),
        What::Remove(which) => change::many(context, Verb::Remove, &which, Out::stdout()),
        What::Move(args) => change::move_to(context, &args),
        What::Limit(args) => change::limit(context, &args),
    }
}

fn wait(mut vigil: Vigil, ids: &[u64]) -> Outcome {
    ids.iter().for_each(|&id| vigil.add(id));
    if ids.is_empty() {
        let pending = all(&unfinished(), |page: &DownloadsList| vigil.listener.client().call(page));
        let pending = pending.map_err(|e| vigil.caught().map_or(e.into(), Failure::silent))?;
        pending.iter().for_each(|download| vigil.add(download.id));
    }
    vigil.wait()
}

/// A download's id, as it is typed.
fn download_id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a download's id is a number; netkitctl queue shows them".to_owned())
}
