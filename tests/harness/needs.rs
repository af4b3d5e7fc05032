//! What the machine must have for a test. `tests/run` installs it; where it is missing all the same the test fails,
//! unless it was said that it may be left out.

use rustix::process::geteuid;
use std::io::Write;

/// Whether the test runs as root.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Whether a program of this name is in `PATH`.
#[must_use]
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// True where `met` does not hold and leaving the test out is allowed (`NETKIT_ALLOW_SKIPS=1`): then the test is
/// named in the file `NETKIT_SKIPPED`, which `tests/run` shows at its end. Fails where it is not allowed.
#[must_use]
pub fn may_skip(met: bool, test: &str, need: &str) -> bool {
    if met {
        return false;
    }
    let allowed = std::env::var_os("NETKIT_ALLOW_SKIPS").is_some_and(|v| v == "1");
    assert!(
        allowed,
        "{test} needs {need}; ./tests/run installs what it may, ./tests/run --allow-skips goes without"
    );
    eprintln!("SKIPPED {test}: needs {need}");
    if let Some(path) = std::env::var_os("NETKIT_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: needs {need}").unwrap();
    }
    true
}
