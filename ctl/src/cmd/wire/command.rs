//! What a line means: a message, or a command that begins with a slash. Called by `run` for each line that was typed or
//! read; does nothing itself.

use super::input::Writing;
use super::payload::{Payload, read_file};
use super::peers::Target;
use super::show::Format;
use clap::ValueEnum;
use std::path::Path;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Send, to whom the session talks to or to these.
    Send(Option<Target>, Payload),
    /// From now on messages are for these.
    To(Target),
    /// Show who is there.
    Peers,
    /// End connections.
    Close(Target),
    /// From now on show so.
    As(Format),
    Help,
    Quit,
    Nothing,
}

pub(super) const HELP: [&str; 9] = [
    "TEXT                    send it; //TEXT sends what begins with a slash",
    "/2 TEXT, /all, /last    send it to peer 2, to all, to whom was heard last",
    "/to 2|all|last          for whom what follows is",
    "/hex 01 02 FF           send bytes; /to says to whom",
    "/file PATH              send what is in a file",
    "/peers                  who is there, and what went",
    "/as text|hex|both       how what arrives is shown",
    "/close [2|all|last]     end a connection",
    "/quit                   or Ctrl-D: the end",
];

/// Reads a line. Without `commands` all of it is the message.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn parse(line: &str, writing: &Writing, commands: bool) -> Result<Command, String> {
    let message = |to, text: &str| {
        Ok(writing.message(text)?.map_or(Command::Nothing, |payload| Command::Send(to, payload)))
    };
    let command = match line.strip_prefix('/') {
        Some(command) if commands => command,
        _ => return message(None, line),
    };
    if command.starts_with('/') {
        return message(None, command);
    }
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let argument = rest.trim();
    match (word, argument) {
        ("to", target) => target.parse().map(Command::To),
        ("peers", "") => Ok(Command::Peers),
        ("close", "") => Ok(Command::Close(Target::Last)),
        ("close", target) => target.parse().map(Command::Close),
        ("as", format) => match Format::from_str(format, true) {
            Ok(Format::Raw) | Err(_) => Err(format!("{format:?} is neither text, hex nor both")),
            Ok(format) => Ok(Command::As(format)),
        },
        ("hex", hex) => {
            Ok(writing.of_hex(hex)?.map_or(Command::Nothing, |payload| Command::Send(None, payload)))
        }
        ("file", "") => Err("/file needs a path".into()),
        ("file", path) => {
            let bytes = read_file(Path::new(path)).map_err(|failed| failed.message)?;
            Ok(Command::Send(None, bytes.into()))
        }
        ("help" | "?", "") => Ok(Command::Help),
        ("quit" | "q", "") => Ok(Command::Quit),
        (target, _) => match target.parse() {
            Ok(target) => message(Some(target), rest),
            Err(_) => Err(format!("/{word} is no command; /help shows them, and //{word} sends it")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::wire::input::Kind;
    use crate::cmd::wire::text::Encoding;

    #[test]
    fn lines_are_messages_or_commands() {
        let writing = Writing { kind: Kind::Text, encoding: Encoding::Utf8, append: Vec::new() };
        let send = |to, bytes: &[u8]| Ok(Command::Send(to, bytes.into()));
        for (line, expected) in [
            ("hi", send(None, b"hi")),
            ("", Ok(Command::Nothing)),
            ("//hi", send(None, b"/hi")),
            ("/2  hi ", send(Some(Target::One(2)), b" hi ")),
            ("/all hi", send(Some(Target::All), b"hi")),
            ("/2", Ok(Command::Nothing)),
            ("/to last", Ok(Command::To(Target::Last))),
            ("/hex 01 ff", send(None, b"\x01\xff")),
            ("/peers", Ok(Command::Peers)),
            ("/close", Ok(Command::Close(Target::Last))),
            ("/close all", Ok(Command::Close(Target::All))),
            ("/as both", Ok(Command::As(Format::Both))),
            ("/as raw", Err(())),
            ("/hex 1", Err(())),
            ("/nonsense", Err(())),
            ("/file /nonexistent/x", Err(())),
            ("/quit", Ok(Command::Quit)),
        ] {
            assert_eq!(parse(line, &writing, true).map_err(|_| ()), expected, "{line}");
        }
        assert_eq!(parse("/quit", &writing, false), send(None, b"/quit").map_err(|()| String::new()));
    }
}
