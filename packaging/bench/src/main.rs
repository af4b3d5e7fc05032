//! `netkit-bench`: netkit beside its peers, in interleaved rounds. Owns the command line and the exit code; run by
//! hand and by the checks before a release. A slow time is never a failure, a subject that could not run always is.

mod daemon;
mod lab;
mod linked;
mod machine;
mod measure;
mod process;
mod report;
mod rows;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum as _};
use report::Report;
use rows::{Plan, Row};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures netkit side by side with its peers, on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Rows to run [default: all]
    #[arg(value_name = "ROW")]
    rows: Vec<Row>,
    /// Few short rounds: shows that the bench runs, says nothing about times
    #[arg(long)]
    quick: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Be the bare echo peer of the `rpc` row on this socket
    #[arg(long, hide = true, value_name = "PATH", requires = "answer")]
    echo: Option<PathBuf>,
    /// Bytes of one answer of the echo peer
    #[arg(long, hide = true, value_name = "BYTES")]
    answer: Option<usize>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netkit-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    if let (Some(path), Some(answer)) = (&cli.echo, cli.answer) {
        return rows::echo::serve(path, answer);
    }
    daemon::check_built()?;
    let rows = if cli.rows.is_empty() { Row::value_variants() } else { &cli.rows };
    let plan = Plan { quick: cli.quick };
    let mut report = Report::new(cli.json);
    report.machine(&machine::describe(cli.quick)?);
    let mut failed = Vec::new();
    for &row in rows {
        eprintln!("{row} ...");
        // The other rows still tell something.
        match rows::run(row, &plan) {
            Ok(lines) => report.row(lines),
            Err(error) => {
                eprintln!("{row}: FAILED: {error:#}");
                failed.push(row.to_string());
            }
        }
    }
    report.finish();
    report.machine(&[("load after", machine::load())]);
    ensure!(failed.is_empty(), "could not run: {}", failed.join(", "));
    Ok(())
}
