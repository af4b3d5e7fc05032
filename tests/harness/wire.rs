//! `netkitctl wire` as the tests start it, and programs that know nothing of it but their sockets.

use super::{DEADLINE, Ended, Running, command};
use std::io::Write;
use std::process::{Command, Stdio};

/// The families, as `wire` names them.
pub const FAMILIES: [&str; 4] = ["udp", "tcp", "unix", "unix-dgram"];

/// `netkitctl wire ARGS`; a netkitd that is not there is named, so that asking for one would fail.
pub fn wire_command(args: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_netkitctl"), &[&["wire"], args].concat());
    command.env("NETKIT_SOCKET", "/nonexistent/netkitd.sock");
    command
}

/// Run to its end, with nothing on stdin.
#[track_caller]
pub fn wire(args: &[&str]) -> Ended {
    wire_with(args, b"")
}

/// Run to its end, with `input` on stdin.
#[track_caller]
pub fn wire_with(args: &[&str], input: &[u8]) -> Ended {
    Running::to_end(wire_command(args), input)
}

/// Begun, and not looked at yet.
pub fn wiring(args: &[&str]) -> Running {
    Running::start(wire_command(args))
}

/// A listening one, and where it listens.
#[track_caller]
pub fn listening(args: &[&str]) -> (Running, String) {
    let mut running = wiring(args);
    let said = running.stderr_with("listening on ");
    let address = said.rsplit(' ').next().unwrap().to_owned();
    (running, address)
}

/// Where a family can listen: a port that is free, or a socket of this name in `dir`.
pub fn free(family: &str, dir: &std::path::Path, name: &str) -> String {
    match family {
        "udp" | "tcp" => "127.0.0.1:0".to_owned(),
        _ => dir.join(name).display().to_string(),
    }
}

/// A program fed with bytes, and the bytes that it printed; it is ended at the deadline.
#[track_caller]
pub fn bytes_of<S: AsRef<std::ffi::OsStr>>(program: &str, args: &[S], input: &[u8]) -> Vec<u8> {
    let mut words: Vec<std::ffi::OsString> = vec![DEADLINE.as_secs().to_string().into(), program.into()];
    words.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
    let mut child = command("timeout", &words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap(); // a program that reads no more is judged by what it printed
    assert_ne!(output.status.code(), Some(124), "{program} did not end");
    output.stdout
}

/// Every byte there is.
pub fn every_byte() -> Vec<u8> {
    (0..=255).collect()
}

/// As `wire` prints it.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
