//! `netkitctl wire`: a network debugging assistant. It opens one socket of its own, shows what arrives, sends what is
//! typed, repeated or replayed, answers by rules, waits for a pattern, records. netkitd is not asked for anything.
//!
//! `flags` are the command line, `settings` what it means. `socket` opens, `run` is the session and its end, `turn`
//! the one poll(2), `receive` and `send` its two directions, `obey` what lines say; `peers` and `journal` are what it keeps. `input` and `prompt` are where
//! lines come from, `screen` where they go. `record` writes what `replay` reads.

mod append;
mod command;
mod entry;
mod flags;
mod input;
mod journal;
mod limits;
mod obey;
mod pattern;
mod payload;
mod peers;
mod prompt;
mod receive;
mod record;
mod replay;
mod reply;
mod run;
mod schedule;
mod screen;
mod send;
mod settings;
mod show;
mod socket;
mod text;
mod turn;

pub(crate) use flags::Args;

use crate::context::Context;
use crate::exit::Outcome;

/// Talks as the command line asks, until one side ends it.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let settings = settings::resolve(args, context.json)?;
    run::run(settings)
}
