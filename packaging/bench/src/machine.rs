//! What the bench runs on: described for the report's head by `main`, narrowed to one core by rows.

use anyhow::{Context as _, Result};
use rustix::fs::statfs;
use rustix::system::uname;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The file system type of a tmpfs, where a sync costs nothing.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Name and value of each thing that times depend on.
pub(crate) fn describe(quick: bool) -> Result<Vec<(&'static str, String)>> {
    let cores = std::thread::available_parallelism().context("cannot count the cores")?;
    let uname = uname();
    let kernel = format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    let file_system = statfs(std::env::temp_dir()).context("cannot look at the temporary directory")?;
    // Signed or not by platform, and the magic fits either.
    #[allow(clippy::useless_conversion)]
    let is_tmpfs = i64::from(file_system.f_type) == TMPFS_MAGIC;
    let mut machine = vec![
        ("cores", cores.to_string()),
        ("kernel", kernel),
        ("cpu", cpu()),
        ("wide", wide()), // what encrypting and hashing are fast by, which plain text does not need
        ("state on", if is_tmpfs { "tmpfs (syncs are free)" } else { "disk" }.to_owned()),
        ("rmem_max", proc("/proc/sys/net/core/rmem_max")), // bounds the receive buffer of a daemon without rights
        ("load", proc("/proc/loadavg")),                   // others at work show in every figure
        ("user", if rustix::process::geteuid().is_root() { "root" } else { "not root" }.to_owned()),
    ];
    if quick {
        machine.push(("quick", "checks that the bench runs; no verdict on times".to_owned()));
    }
    if cfg!(debug_assertions) {
        machine.push(("build", "DEBUG: times mean nothing".to_owned()));
    }
    Ok(machine)
}

/// Keeps this thread, and the children that it starts, on one core; it may go anywhere again after this value.
pub(crate) struct OneCore {
    before: CpuSet,
}

impl OneCore {
    pub(crate) fn pin() -> Result<OneCore> {
        let before = sched_getaffinity(None).context("cannot ask for the cores")?;
        let first = (0..CpuSet::MAX_CPU).find(|&core| before.is_set(core)).context("no core")?;
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one).context("cannot stay on one core")?;
        Ok(OneCore { before })
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// Load averages. Others at work show in every figure, and they may come while the bench runs.
pub(crate) fn load() -> String {
    proc("/proc/loadavg")
}

fn cpu() -> String {
    let info = proc("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// Which of the instructions for wide vectors this machine has: with those of AVX-512, AES-GCM and BLAKE3 take a third of
/// the time.
fn wide() -> String {
    let info = proc("/proc/cpuinfo");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    let has = |name: &&str| flags.split_whitespace().any(|flag| flag == *name);
    let found: Vec<&str> = ["avx2", "vaes", "avx512f"].into_iter().filter(has).collect();
    if found.is_empty() { "none that is known here".to_owned() } else { found.join(" ") }
}

fn proc(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
