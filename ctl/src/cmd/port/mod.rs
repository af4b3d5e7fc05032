//! `netkitctl port`: what a port is called, who may bind it, who has it, whether it is free; and `port check`, which
//! connects to ports elsewhere. Needs no netkitd. `asked` is what was typed, `survey` what this machine looks like,
//! `facts` what is known of one port, `check` tries ports of a host.

mod asked;
mod check;
mod facts;
mod survey;

use crate::context::Context;
use crate::exit::{Failure, Outcome, common};
use crate::machine::services::Services;
use crate::output::{Out, escape_line, say, tell};
use crate::time::parse_duration;
use asked::Asked;
use clap::Subcommand;
use facts::Facts;
use serde::Serialize;
use std::collections::HashSet;
use std::time::Duration;
use survey::Survey;

/// Say what ports are, who has them, and whether they can be reached
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  netkitctl port                                        who listens on this machine
  netkitctl port 80                                     its name, who may bind it, who has it
  netkitctl port http domain
  netkitctl port 8000-8010                              a line for each
  netkitctl port 7890 --json | jq .free.udp4
  netkitctl port check 10.0.0.9 22 80 7891              open, refused or filtered?
  netkitctl port check -W 1 box2 ssh && ssh box2

The sockets of all users are shown, their processes to root alone. To see whether a port is
free it is bound for a moment; only `check` sends anything."
)]
pub(crate) struct Args {
    /// Ports, ranges, or names of services; nothing: all that is listened to
    #[arg(value_name = "N|NAME|N-M")]
    ports: Vec<Asked>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Connect to TCP ports of a host, and tell what comes of it
    #[command(after_help = "\
Examples:
  netkitctl port check 10.0.0.9 22 80 7891              open, refused or filtered?
  netkitctl port check box2 8000-8100 --json | jq -r 'select(.state == \"open\").port'
  netkitctl port check -W 1 box2 ssh && ssh box2

Exit codes: 0 where all are open, 5 refused, 6 filtered (nothing came back in time), else 1. Of a
host with several addresses the best counts. Nothing is sent on a connection.")]
    Check {
        /// Its name or address
        host: String,
        /// Ports, ranges, or names of services
        #[arg(required = true, value_name = "PORT")]
        ports: Vec<Asked>,
        /// How long each may take
        #[arg(short = 'W', long, value_name = "SECS", value_parser = parse_duration, default_value = "3")]
        within: Duration,
    },
}

/// What holds for all ports of this machine.
#[derive(Serialize)]
struct Machine {
    kind: &'static str,
    unprivileged_from: u16,
    may_bind_all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_range: Option<(u16, u16)>,
}

/// Does what was asked.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    match args.what {
        Some(What::Check { host, ports, within }) => {
            let services = Services::read();
            let (ports, failures) = asked::all(&ports, &services);
            if let Some(failure) = failures.into_iter().next() {
                return Err(failure); // before anything is sent
            }
            check::run(context, &services, &host, &ports, within)
        }
        None if args.ports.is_empty() => listening(context),
        None => tell_of(context, &args.ports),
    }
}

/// Prints what is known of each port; a name that nothing has is told at its turn, and fails in the end.
fn tell_of(context: &Context, asked: &[Asked]) -> Outcome {
    let services = Services::read();
    let (ports, failures) = asked::all(asked, &services);
    let wanted: HashSet<u16> = ports.iter().copied().collect();
    let survey = Survey::take(services, |port| wanted.contains(&port));
    let in_lines = asked.iter().any(|asked| matches!(asked, Asked::Range(first, last) if first != last));
    let mut out = Out::stdout();
    for (nth, port) in ports.iter().enumerate() {
        let facts = Facts::of(*port, &survey);
        if context.json || in_lines {
            out.either(context.json, &facts, &facts.line())?;
            continue;
        }
        if nth > 0 {
            out.line("")?;
        }
        for (name, value) in facts.rows() {
            out.line(&format!("{name:<9} {}", escape_line(&value)))?;
        }
    }
    out.flush()?;
    if in_lines && !context.json {
        survey.unseen.iter().for_each(|what| say(what));
    }
    let exit = common(failures.iter().map(|failure| failure.exit));
    failures.iter().for_each(tell);
    exit.map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}

/// Prints who listens, and what holds for all ports.
fn listening(context: &Context) -> Outcome {
    let survey = Survey::take(Services::read(), |_| true);
    let mut out = Out::stdout();
    for listener in &survey.listeners {
        let name = listener.service.as_deref().unwrap_or("-");
        out.either(context.json, listener, &format!("{:>5} {name:<16} {}", listener.port, listener.shown()))?;
    }
    let rules = survey.rules;
    let machine = Machine {
        kind: "machine",
        unprivileged_from: rules.unprivileged_from,
        may_bind_all: rules.may_bind_all,
        ephemeral_range: rules.ephemeral,
    };
    if context.json {
        out.object(&machine)?;
    } else {
        let you = if rules.may_bind_all { "you have it" } else { "you lack it" };
        out.line(&match rules.unprivileged_from {
            0 => "no port needs a privilege to be bound".to_owned(),
            from => format!("ports below {from} need a privilege to be bound; {you}"),
        })?;
        if let Some((first, last)) = rules.ephemeral {
            out.line(&format!("the kernel gives out {first} to {last} to who asks for none"))?;
        }
    }
    out.flush()?;
    survey.unseen.iter().for_each(|what| say(what));
    Ok(())
}
