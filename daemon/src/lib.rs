//! netkitd: the daemon's wiring and the order in which it starts and stops. `daemon/main.rs` calls [`main`]; all
//! else is in the rooms below.

pub mod chat;
pub mod config;
pub mod discovery;
pub mod fetch;
pub mod files;
pub mod hub;
pub mod identity;
pub mod limits;
pub mod listen;
pub mod logging;
pub mod paths;
pub mod rpc;
mod run;
pub mod serve;
pub mod signals;
mod state;
pub mod store;
pub mod syscall;
pub mod systemd;

use clap::{CommandFactory, Parser};
use config::Config;
use paths::Paths;
use std::path::PathBuf;
use std::process::ExitCode;

/// This netkitd's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a bad configuration exits with: EX_CONFIG of sysexits.h. The unit does not restart on it.
const EX_CONFIG: u8 = 78;

/// netkitd lets the machines of a LAN talk and hand over files, with no server, account or internet.
#[derive(Debug, Parser)]
#[command(name = "netkitd", version)]
struct Args {
    /// Reads this configuration (else $NETKIT_CONFIG; else /etc/netkit/netkitd.toml for root and the service,
    /// $XDG_CONFIG_HOME/netkit/netkitd.toml for a user)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Checks the configuration and exits: 0 if it is good, 78 if not
    #[arg(long)]
    check_config: bool,
}

/// The command line, for what describes it: the manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let named = args
        .config
        .or_else(|| std::env::var_os("NETKIT_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from));
    let is_root = rustix::process::geteuid().is_root();
    let source = match Paths::from_env(|name| std::env::var_os(name), is_root) {
        Ok(paths) => config::Source::new(named, paths),
        Err(error) => return fail(&error, EX_CONFIG),
    };
    let config = match source.load() {
        Ok(config) => config,
        Err(error) => return fail(&error, EX_CONFIG),
    };
    if let Err(error) = rpc::check_group(&config) {
        return fail(&format_args!("{}: {error}", source.path().display()), EX_CONFIG);
    }
    if args.check_config {
        println!("{}: good", source.path().display());
        return ExitCode::SUCCESS;
    }
    match start(source, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

fn fail(error: &impl std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("netkitd: {error}");
    ExitCode::from(code)
}

fn start(source: config::Source, config: Config) -> anyhow::Result<()> {
    syscall::keep_freed_memory();
    // What netkitd makes is for nobody else, until it says otherwise.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let log = logging::init(config.node.log_level)?;
    let result = run::run(source, config, log.clone());
    log.flush(limits::STOP_LOG);
    result
}
