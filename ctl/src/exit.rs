//! How a verb ends: exit codes that scripts live by, and what is said on stderr. Every verb returns a [`Failure`]
//! or nothing.

use netkit_proto::rpc::code::{Error, Kind};
use std::io;

/// The exit codes, fixed for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; also when whoever read our output has left.
    Done = 0,
    /// Failed in a way that has no code of its own; also busy.
    Failed = 1,
    /// The command line, or what was piped in, makes no sense.
    Usage = 2,
    /// netkitd can't be reached.
    Unreachable = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// Not permitted, or not taken by the far end.
    Refused = 5,
    /// Not delivered, not finished, or not come, in time.
    Unfinished = 6,
    /// What came is not what was asked for.
    Unverified = 7,
    /// A full disk.
    NoSpace = 8,
    /// Ended by SIGHUP.
    HungUp = 129,
    /// Ended by Ctrl-C.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

/// Why a verb ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was tried on what; empty where the exit code says it all.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What verbs return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with something to say.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// An end without words: a signal, a reader that left, or failures that were told one by one.
    #[must_use]
    pub(crate) fn silent(exit: Exit) -> Failure {
        Failure::new(exit, "")
    }

    /// A failed write to stdout. That its reader left is how `… | head` ends, and no failure.
    #[must_use]
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(Exit::Done),
            io::ErrorKind::StorageFull => Failure::new(Exit::NoSpace, format!("writing to stdout: {error}")),
            _ => Failure::new(Exit::Failed, format!("writing to stdout: {error}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = exit_of(error.kind());
        Failure { exit, message: error.message, hint: error.data.and_then(|data| data.hint) }
    }
}

/// The exit code for what netkitd answered.
#[must_use]
pub(crate) fn exit_of(kind: Kind) -> Exit {
    match kind {
        Kind::NotFound | Kind::NameResolution => Exit::NotFound,
        Kind::Denied | Kind::Refused | Kind::Permission | Kind::Tls => Exit::Refused,
        Kind::Checksum | Kind::Corrupt => Exit::Unverified,
        Kind::NoSpace => Exit::NoSpace,
        Kind::Away => Exit::Unfinished,
        // What was typed is not what netkitd takes: a destination that is none, an unknown method.
        Kind::InvalidParams | Kind::MethodNotFound => Exit::Usage,
        Kind::ParseError
        | Kind::InvalidRequest
        | Kind::InternalError
        | Kind::Busy
        | Kind::TooLarge
        | Kind::KeyConflict
        | Kind::EpochChanged
        | Kind::Unavailable
        | Kind::BadConfig
        | Kind::Exists
        | Kind::Timeout
        | Kind::Network
        | Kind::Changed
        | Kind::Short
        | Kind::Other => Exit::Failed,
    }
}

/// The exit code for what the system says of a file.
#[must_use]
pub(crate) fn exit_of_io(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        io::ErrorKind::PermissionDenied => Exit::Refused,
        io::ErrorKind::StorageFull => Exit::NoSpace,
        _ => Exit::Failed,
    }
}

/// The one code for several failures: the one they share, else [`Exit::Failed`]. `None` where there were none.
pub(crate) fn common(exits: impl IntoIterator<Item = Exit>) -> Option<Exit> {
    exits.into_iter().reduce(|a, b| if a == b { a } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_exit_codes() {
        for (kind, code) in [
            (Kind::NotFound, 4),
            (Kind::NameResolution, 4),
            (Kind::Denied, 5),
            (Kind::Refused, 5),
            (Kind::Away, 6),
            (Kind::Checksum, 7),
            (Kind::Corrupt, 7),
            (Kind::NoSpace, 8),
            (Kind::InvalidParams, 2),
            (Kind::Busy, 1),
            (Kind::Unavailable, 1),
            (Kind::Other, 1),
        ] {
            assert_eq!(exit_of(kind) as u8, code, "{kind:?}");
        }
        let failure = Failure::from(Error::new(Kind::Denied, "no").hint("join netkit"));
        assert_eq!(failure, Failure::new(Exit::Refused, "no").hint("join netkit"));
    }

    #[test]
    fn several_failures_give_their_common_code() {
        assert_eq!(common([]), None);
        assert_eq!(common([Exit::NotFound, Exit::NotFound]), Some(Exit::NotFound));
        assert_eq!(common([Exit::NotFound, Exit::Refused, Exit::NotFound]), Some(Exit::Failed));
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert_eq!(Failure::output(&io::Error::from(io::ErrorKind::BrokenPipe)), Failure::silent(Exit::Done));
        assert_eq!(Failure::output(&io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::NoSpace);
    }
}
