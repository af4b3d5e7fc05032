//! The one socket that `wire` is about: its family, whether it listens or connects, and how it is opened. `inet` and
//! `unix` know the families, `name` how addresses are written. Called by `run` once; what goes over it is not known
//! here.

mod inet;
mod name;
mod unix;

pub(super) use inet::{dropped, local_towards};
pub(super) use name::{inet_of, show_address};
pub(super) use unix::SocketFile;

use crate::exit::{Exit, Failure, Outcome};
use crate::wait::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, getsockname};
use std::io;
use std::time::Instant;

/// Address family and type, as socket(2) has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Family {
    /// AF_INET or AF_INET6, SOCK_DGRAM
    Udp,
    /// AF_INET or AF_INET6, SOCK_STREAM
    Tcp,
    /// AF_UNIX, SOCK_STREAM
    Unix,
    /// AF_UNIX, SOCK_DGRAM
    UnixDgram,
}

impl Family {
    /// As it is written on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Udp => "udp",
            Family::Tcp => "tcp",
            Family::Unix => "unix",
            Family::UnixDgram => "unix-dgram",
        }
    }

    /// Whether bytes come as a stream, without messages.
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Family::Tcp | Family::Unix)
    }
}

/// Which side of a conversation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Action {
    /// Wait for others at ADDRESS
    Listen,
    /// Talk to ADDRESS
    Connect,
}

/// What is to be opened.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) family: Family,
    pub(super) action: Action,
    /// As typed.
    pub(super) address: String,
    /// The local address to connect from, as typed.
    pub(super) bind: Option<String>,
    /// The interface that multicast goes through.
    pub(super) interface: Option<String>,
    pub(super) ttl: Option<u8>,
    pub(super) broadcast: bool,
    /// Whether multicast is heard on this box, too.
    pub(super) multicast_loop: bool,
}

/// What was opened, not blocking.
pub(super) enum Opened {
    /// Datagrams of anybody, or of `to` alone; `to` is whom they go to unless another peer is named.
    Datagrams { fd: OwnedFd, to: Option<SocketAddrAny>, is_connected: bool },
    /// Clients come here.
    Clients { fd: OwnedFd },
    /// A stream to this peer.
    Stream { fd: OwnedFd, to: SocketAddrAny },
}

/// The socket, and what has to be tidied away with it.
pub(super) struct Socket {
    pub(super) opened: Opened,
    pub(super) local: SocketAddrAny,
    /// The file of a Unix socket, removed with this.
    pub(super) file: Option<SocketFile>,
}

/// How long opening may take.
pub(super) struct Patience<'a> {
    pub(super) signals: &'a Signals,
    pub(super) until: Instant,
}

/// Opens what is asked for; a stream is connected then.
///
/// # Errors
/// What was tried, and why it failed; a signal.
pub(super) fn open(endpoint: &Endpoint, patience: &Patience<'_>) -> Outcome<Socket> {
    let (opened, file) = match endpoint.family {
        Family::Udp | Family::Tcp => (inet::open(endpoint, patience)?, None),
        Family::Unix | Family::UnixDgram => unix::open(endpoint)?,
    };
    let fd = match &opened {
        Opened::Datagrams { fd, .. } | Opened::Clients { fd } | Opened::Stream { fd, .. } => fd.as_fd(),
    };
    let local = getsockname(fd).map_err(|e| failure("asking for the local address".into(), e))?;
    Ok(Socket { opened, local, file })
}

impl Patience<'_> {
    /// Waits until a connection that was begun is there.
    ///
    /// # Errors
    /// A signal; `TIMEDOUT` as the inner result where it takes too long.
    fn connected(&self, fd: BorrowedFd<'_>) -> Outcome<Result<(), Errno>> {
        loop {
            if let Some(exit) = self.signals.caught() {
                return Err(Failure::silent(exit));
            }
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(Errno::TIMEDOUT));
            }
            let mut fds = [
                PollFd::from_borrowed_fd(fd, PollFlags::OUT),
                PollFd::from_borrowed_fd(self.signals.fd(), PollFlags::IN),
            ];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(_) if !fds[0].revents().is_empty() => {
                    return Ok(rustix::net::sockopt::socket_error(fd).unwrap_or_else(Err));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(failure("waiting for the connection".into(), e)),
            }
        }
    }
}

/// For poll; longer than it can say is as long as it can.
pub(super) fn timespec(duration: std::time::Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// What failed on the socket, with the exit code and the advice that fit.
pub(super) fn failure(tried: String, errno: Errno) -> Failure {
    let exit = match errno {
        Errno::CONNREFUSED | Errno::ACCESS | Errno::PERM => Exit::Refused,
        Errno::NOENT | Errno::NODEV | Errno::NXIO => Exit::NotFound,
        Errno::TIMEDOUT => Exit::Unfinished,
        Errno::NAMETOOLONG => Exit::Usage,
        _ => Exit::Failed,
    };
    let failed = Failure::new(exit, format!("{tried}: {}", io::Error::from(errno)));
    match errno {
        Errno::CONNREFUSED => failed.hint("nothing listens there, or a firewall refuses it"),
        Errno::ADDRINUSE => {
            failed.hint("another program has that address; `netkitctl port` or `ss -xlp` shows which")
        }
        Errno::ADDRNOTAVAIL => {
            failed.hint("no interface of this box has that address; `netkitctl ip` shows them")
        }
        Errno::NAMETOOLONG => failed.hint("the path of a Unix socket has at most 107 bytes"),
        Errno::NETUNREACH | Errno::HOSTUNREACH => {
            failed.hint("`ip route get ADDRESS` shows how it would be reached")
        }
        _ => failed,
    }
}
