//! netkitctl, the command: sends lines, tails what arrives, asks how netkitd is doing. The binary is a ten-line
//! main around [`main`].
//!
//! `cli` reads the command line and hands it to one file of `cmd` per verb; `client` talks with netkitd, `listener`
//! keeps a subscription alive, `output`, `format` and `exit` are what people and scripts see, `machine` is what this
//! machine says of its network. There is one thread (but for `chat` and `wire` at a terminal), no tokio and no TLS,
//! and nothing is done at start that the verb does not need.

mod address;
mod cli;
mod client;
mod cmd;
mod context;
mod exit;
#[cfg(test)]
mod fake;
mod format;
mod incoming;
mod listener;
mod machine;
mod output;
mod rate;
#[cfg(test)]
mod seed;
mod table;
mod time;
mod unreachable;
mod wait;

use clap::CommandFactory;
use std::process::ExitCode;

/// The command line, for what describes it: the manual pages.
#[must_use]
pub fn command() -> clap::Command {
    cli::Cli::command()
}

/// Runs netkitctl with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let line: Vec<_> = std::env::args_os().collect();
    let cli = match cli::Cli::read(&line) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print(); // a reader of --help that left is no failure
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(exit::Exit::Usage as u8));
        }
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}
