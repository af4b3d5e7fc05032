//! A LAN of network namespaces, for rows whose links are slow or that must reach nothing else. Nothing of it is in the
//! machine's own namespace or has a name there: a namespace lives as long as a process that holds it, which ends with
//! the bench, however that ends. Needs root; used by rows.

use crate::process::{Guard, in_path};
use anyhow::{Context as _, Result, ensure};
use rustix::process::geteuid;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// Starts a command that is killed with the bench: what runs in a namespace keeps it.
const KILLED_WITH_BENCH: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

/// Why there can be no lab, where that is so.
pub(crate) fn missing(programs: &[&str]) -> Option<String> {
    if !geteuid().is_root() {
        return Some("needs root, to make network namespaces".to_owned());
    }
    let needed = ["ip", "nsenter", "setpriv", "unshare"];
    let missing: Vec<&str> =
        needed.iter().chain(programs).copied().filter(|program| in_path(program).is_none()).collect();
    (!missing.is_empty()).then(|| format!("{} not installed", missing.join(", ")))
}

/// A network namespace with loopback, and the process that holds it: it ends when its stdin does.
#[derive(Debug)]
pub(crate) struct Space(Guard);

impl Space {
    pub(crate) fn new() -> Result<Space> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo here && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Guard::spawn("unshare", &mut command)?;
        let mut line = String::new();
        let stdout = holder.child().stdout.take().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "here\n", "no network namespace is made");
        Ok(Space(holder))
    }

    /// The words that run a command in it.
    pub(crate) fn enter(&self) -> Vec<String> {
        let pid = self.0.pid().to_string();
        let words = [&KILLED_WITH_BENCH[..], &["nsenter", "--net", "--target", &pid]].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    /// A command in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let words = self.enter();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs lines of shell in it; they must succeed.
    fn sh(&self, script: &str) -> Result<()> {
        let output = self.command("sh").args(["-ec", script]).output()?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Limits what a host sends, such as to `100mbit`.
    pub(crate) fn limit(&self, rate: &str) -> Result<()> {
        self.sh(&format!("tc qdisc replace dev lan0 root tbf rate {rate} burst 32kb latency 400ms"))
    }
}

/// The namespace that has the bridge.
#[derive(Debug)]
pub(crate) struct Lan(Space);

impl Lan {
    pub(crate) fn new() -> Result<Lan> {
        let space = Space::new()?;
        space.sh("ip link add br0 type bridge; ip link set br0 up")?;
        Ok(Lan(space))
    }

    /// A host with the address that [`address`] tells.
    pub(crate) fn host(&self, n: u8) -> Result<Space> {
        let space = Space::new()?;
        let pid = space.0.pid();
        self.0.sh(&format!(
            "ip link add p{n} type veth peer name lan0 netns {pid}; ip link set p{n} master br0 up"
        ))?;
        space.sh(&format!("ip address add {}/24 dev lan0; ip link set lan0 up", address(n)))?;
        Ok(space)
    }
}

/// Where a host is.
pub(crate) fn address(n: u8) -> String {
    format!("10.77.0.{n}")
}
