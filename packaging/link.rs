//! How netkitd and netkitctl are linked. Run by cargo; says nothing of what is in them.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=packaging/link.rs");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|found| found == value);
    // The unwinder becomes a part of the program. Loaded as libgcc_s.so it costs each start 0.15 ms, a tenth of what
    // a verb takes: the library asks the processor what it can do, and in a virtual machine the host answers that.
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("PROFILE", "release") {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
