//! The binary netkitctl: everything is in the library netkit-ctl, where tests reach it.

fn main() -> std::process::ExitCode {
    netkit_ctl::main()
}
