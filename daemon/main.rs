//! The binary `netkitd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    netkit_daemon::main()
}
