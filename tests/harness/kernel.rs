//! A kernel that says no: netkitd behind a filter of system calls (seccomp(2)).

/// Puts the filter around itself, then runs the program that its other words are.
const FILTER: &str = r"
import ctypes, errno, os, platform, struct, sys
numbers, argument, error = sys.argv[1:4]
number = int(dict(pair.split('=') for pair in numbers.split())[platform.machine()])
allow, refuse = 0x7fff0000, 0x00050000 | getattr(errno, error)
load, equal, give = 0x20, 0x15, 0x06 # words of the call, comparisons, a verdict
first = [(load, 0, 0, 16), (equal, 0, 1, int(argument))] if argument else []
filter = b''.join(struct.pack('=HBBI', *line) for line in [
    (load, 0, 0, 0), (equal, 0, len(first) + 1, number), *first, (give, 0, 0, refuse), (give, 0, 0, allow)])
lines = ctypes.create_string_buffer(filter)
program = struct.pack('HxxxxxxP', len(filter) // 8, ctypes.addressof(lines))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) == 0
os.execv(sys.argv[4], sys.argv[4:])
";

/// Words that start a program for which this call fails, with this error's name. Needs python3.
fn refusing<'a>(numbers: &'a str, first_argument: &'a str, error: &'a str) -> [&'a str; 6] {
    ["python3", "-c", FILTER, numbers, first_argument, error]
}

/// As booted without IPv6: socket(2) says EAFNOSUPPORT.
pub fn without_ipv6() -> [&'static str; 6] {
    let af_inet6 = "10"; // on both
    refusing("x86_64=41 aarch64=198", af_inet6, "EAFNOSUPPORT")
}

/// With a disk that fails where a file's times are to be synced, too: fsync(2) says EIO, fdatasync(2) does not.
pub fn without_fsync() -> [&'static str; 6] {
    refusing("x86_64=74 aarch64=82", "", "EIO")
}

/// With a disk that fails where all of a file system is to be synced: syncfs(2) says EIO.
pub fn without_syncfs() -> [&'static str; 6] {
    refusing("x86_64=306 aarch64=267", "", "EIO")
}
