//! What can be done to queued downloads: `netkitctl queue pause|resume|retry|move|cancel|remove|limit`.

use super::download_id;
use crate::client::Client;
use crate::cmd::downloads::{all, unfinished};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome, common};
use crate::incoming::CallError;
use crate::output::{Out, tell};
use crate::rate::parse_rate;
use netkit_proto::rpc::call::{
    Download, DownloadState, DownloadsCancel, DownloadsLimit, DownloadsMove, DownloadsPause, DownloadsRemove,
    DownloadsResume, DownloadsRetry, Place,
};
use netkit_proto::rpc::code::Kind;

/// Downloads by their ids.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Many {
    /// Which downloads
    #[arg(value_name = "ID", value_parser = download_id, required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<u64>,
    /// All that this can be done to
    #[arg(long)]
    all: bool,
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Pause,
    Resume,
    Retry,
    Cancel,
    Remove,
}

impl Verb {
    /// What `--all` means.
    fn states(self) -> Vec<DownloadState> {
        match self {
            Verb::Pause => vec![DownloadState::Queued, DownloadState::Active, DownloadState::RetryWait],
            Verb::Resume => vec![DownloadState::Paused],
            Verb::Retry => vec![DownloadState::Failed],
            Verb::Cancel => unfinished(),
            Verb::Remove => DownloadState::ALL.into_iter().filter(|state| state.is_ended()).collect(),
        }
    }

    /// Does it; how the download is then, where there still is one.
    fn call(self, client: &mut Client, id: u64) -> Result<Option<Download>, CallError> {
        match self {
            Verb::Pause => client.call(&DownloadsPause { id }).map(Some),
            Verb::Resume => client.call(&DownloadsResume { id }).map(Some),
            Verb::Retry => client.call(&DownloadsRetry { id }).map(Some),
            Verb::Cancel => client.call(&DownloadsCancel { id }).map(Some),
            Verb::Remove => client.call(&DownloadsRemove { id }).map(|_| None),
        }
    }
}

/// Does it to each; one that fails is told, and stops no other.
pub(super) fn many(context: &Context, verb: Verb, which: &Many, mut out: Out) -> Outcome {
    let mut client = context.connect()?;
    let ids = if which.all {
        all(&verb.states(), |page| client.call(page))?.iter().map(|download| download.id).collect()
    } else {
        which.ids.clone()
    };
    let mut failures = Vec::new();
    for id in ids {
        match verb.call(&mut client, id) {
            Ok(Some(download)) if context.json => {
                out.object(&download)?;
                out.flush()?;
            }
            Ok(_) => {}
            // Removed between the list and now: there is nothing left to do.
            Err(CallError::Answer(error)) if which.all && error.kind() == Kind::NotFound => {}
            Err(CallError::Answer(error)) => {
                let failure = Failure::from(error);
                tell(&failure);
                failures.push(failure.exit);
            }
            Err(e) => return Err(e.into()),
        }
    }
    common(failures).map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    /// In front of all others
    First,
    /// Behind all others
    Last,
    /// In front of OTHER
    Before,
    /// Behind OTHER
    After,
}

/// Which download, and where to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Move {
    /// Which download
    #[arg(value_parser = download_id)]
    id: u64,
    /// Where to
    #[arg(value_enum, value_name = "WHERE")]
    to: Where,
    /// In front of which, or behind which
    #[arg(required_if_eq_any = [("to", "before"), ("to", "after")])]
    other: Option<u64>,
}

impl Move {
    fn place(&self) -> Outcome<Place> {
        match (self.to, self.other) {
            (Where::First, None) => Ok(Place::First),
            (Where::Last, None) => Ok(Place::Last),
            (Where::Before, Some(other)) => Ok(Place::Before(other)),
            (Where::After, Some(other)) => Ok(Place::After(other)),
            (Where::First | Where::Last, Some(other)) => Err(Failure::new(
                Exit::Usage,
                format!("the first and the last place need no other id: {other}"),
            )
            .hint(format!("netkitctl queue move {} before {other}", self.id))),
            (Where::Before | Where::After, None) => {
                Err(Failure::new(Exit::Usage, "before and after need the id of another download"))
            }
        }
    }
}

/// Gives it the place.
pub(super) fn move_to(context: &Context, args: &Move) -> Outcome {
    let to = args.place()?;
    context.connect()?.call(&DownloadsMove { id: args.id, to })?;
    Ok(())
}

/// How fast, and what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Limit {
    /// The most bytes a second; 0: no limit. `default`, for all together: what the configuration says
    #[arg(value_parser = rate_or_default)]
    rate: Rate,
    /// Which downloads [default: all together]
    #[arg(value_name = "ID", value_parser = download_id)]
    ids: Vec<u64>,
}

/// `None`: what the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(Option<u64>);

fn rate_or_default(text: &str) -> Result<Rate, String> {
    if text == "default" { Ok(Rate(None)) } else { parse_rate(text).map(|rate| Rate(Some(rate))) }
}

/// Sets the limit.
pub(super) fn limit(context: &Context, args: &Limit) -> Outcome {
    let Rate(limit) = args.rate;
    if limit.is_none() && !args.ids.is_empty() {
        return Err(Failure::new(Exit::Usage, "the configuration has no limit for single downloads")
            .hint("0 takes away a download's own limit: netkitctl queue limit 0 ID"));
    }
    let mut client = context.connect()?;
    if args.ids.is_empty() {
        client.call(&DownloadsLimit { id: None, limit })?;
        return Ok(());
    }
    let mut failures = Vec::new();
    for &id in &args.ids {
        match client.call(&DownloadsLimit { id: Some(id), limit }) {
            Ok(_) => {}
            Err(CallError::Answer(error)) => {
                let failure = Failure::from(error);
                tell(&failure);
                failures.push(failure.exit);
            }
            Err(e) => return Err(e.into()),
        }
    }
    common(failures).map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}
