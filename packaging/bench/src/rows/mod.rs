//! The rows of the bench, one module each. Called by `main`; a new row is a module, a variant and an arm here.

mod arrival;
mod bare;
mod bare_loop;
mod crowd;
pub(crate) mod echo;
mod fetch;
mod first;
mod four;
mod get;
mod idle;
mod intake;
mod links;
mod mosquitto;
mod peer;
mod receipt;
mod receivers;
mod recovery;
mod rpc;
mod sender;
mod sendme;
mod servers;
mod small;
mod sources;
mod status;
mod strangers;
mod stream;

use crate::report::Line;
use anyhow::Result;
use clap::ValueEnum;
use std::fmt;
use std::time::Duration;

/// What can be measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Row {
    /// A JSON-RPC round trip on the control socket
    Rpc,
    /// The whole process `netkitctl status`
    Status,
    /// Memory and threads of an idle netkitd
    Idle,
    /// Datagrams offered and stored
    Intake,
    /// One large file by curl
    Fetch,
    /// A thousand clients at once
    Crowd,
    /// One large file over http to the disk
    Get,
    /// One text by its bare name to the disk
    Bare,
    /// One large file from another netkitd to the disk
    Peer,
    /// The same beside sendme
    Sendme,
    /// Four large files at once from another netkitd, and the memory that they take
    Four,
    /// One large file from three netkitd on slow links
    Sources,
    /// The first byte of a large file that nobody has hashed
    First,
    /// A directory of many small files from another netkitd
    Small,
    /// The whole process `netkitctl send --wait` to a linked peer
    Receipt,
    /// Messages a second on one link, on both disks and acknowledged
    Stream,
    /// How soon a link is back after a netkitd was
    Recovery,
    /// Memory for each linked peer
    Links,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Row::Rpc => rpc::ROW,
            Row::Status => status::ROW,
            Row::Idle => idle::ROW,
            Row::Intake => intake::ROW,
            Row::Fetch => fetch::ROW,
            Row::Crowd => crowd::ROW,
            Row::Get => get::ROW,
            Row::Bare => bare::ROW,
            Row::Peer => peer::ROW,
            Row::Sendme => sendme::ROW,
            Row::Four => four::ROW,
            Row::Sources => sources::ROW,
            Row::First => first::ROW,
            Row::Small => small::ROW,
            Row::Receipt => receipt::ROW,
            Row::Stream => stream::ROW,
            Row::Recovery => recovery::ROW,
            Row::Links => links::ROW,
        })
    }
}

/// How much to measure.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) quick: bool,
}

impl Plan {
    /// One of two counts of rounds.
    pub(crate) fn rounds(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// One of two lengths of a round, in milliseconds.
    pub(crate) fn millis(&self, quick: u64, full: u64) -> Duration {
        Duration::from_millis(if self.quick { quick } else { full })
    }
}

pub(crate) fn run(row: Row, plan: &Plan) -> Result<Vec<Line>> {
    match row {
        Row::Rpc => rpc::run(plan),
        Row::Status => status::run(plan),
        Row::Idle => idle::run(plan),
        Row::Intake => intake::run(plan),
        Row::Fetch => fetch::run(plan),
        Row::Crowd => crowd::run(plan),
        Row::Get => get::run(plan),
        Row::Bare => bare::run(plan),
        Row::Peer => peer::run(plan),
        Row::Sendme => sendme::run(plan),
        Row::Four => four::run(plan),
        Row::Sources => sources::run(plan),
        Row::First => first::run(plan),
        Row::Small => small::run(plan),
        Row::Receipt => receipt::run(plan),
        Row::Stream => stream::run(plan),
        Row::Recovery => recovery::run(plan),
        Row::Links => links::run(plan),
    }
}
