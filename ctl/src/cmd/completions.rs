//! `netkitctl completions SHELL`: a completion script on stdout. Needs no netkitd.

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::Out;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netkitctl completions bash > ~/.local/share/bash-completion/completions/netkitctl"
)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "netkitctl", &mut script);
    let mut out = Out::stdout();
    out.write(&String::from_utf8_lossy(&script))?;
    out.flush()
}
