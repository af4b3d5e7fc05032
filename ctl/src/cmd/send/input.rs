//! Where the text of `send` comes from: the command line, all of stdin, or its lines, which `lines` cuts. Called by
//! `send` alone.

use crate::exit::{Exit, Failure, Outcome};
use netkit_proto::limits;
use std::io::Read;

/// Where the text comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Text(String),
    /// All of stdin is one message.
    Stdin,
    /// Each line of stdin is one.
    Lines,
}

/// Which source the flags mean.
pub(crate) fn source(text: Option<String>, lines: bool, stdin_is_terminal: bool) -> Outcome<Source> {
    match (text.as_deref(), lines) {
        (Some("-"), true) => Ok(Source::Lines),
        (Some("-"), false) => Ok(Source::Stdin),
        (Some(_), true) => {
            Err(Failure::new(Exit::Usage, "-l sends the lines of stdin, but there is also a TEXT")
                .hint("leave one of them away"))
        }
        (None, _) if stdin_is_terminal => {
            Err(nothing_to_send().hint("give a TEXT, or - to type it, or pipe it in; netkitctl chat talks"))
        }
        (None, true) => Ok(Source::Lines),
        (None, false) => Ok(Source::Stdin),
        (Some(_), false) => Ok(Source::Text(text.unwrap_or_default())),
    }
}

fn nothing_to_send() -> Failure {
    Failure::new(Exit::Usage, "nothing to send")
}

/// All of `input` as one text, without one newline at its end.
pub(crate) fn read_all(input: impl Read) -> Outcome<String> {
    let mut bytes = Vec::new();
    let most = limits::TEXT + 1; // and its newline
    let read = input.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::new(Exit::Failed, format!("reading stdin: {e}")))?;
    let text = without_newline(&bytes);
    if text.is_empty() {
        return Err(nothing_to_send().hint("stdin was empty"));
    }
    check(text).map_err(|BadLine(why)| {
        Failure::new(Exit::Failed, format!("stdin as one message: {why}"))
            .hint("with -l each line is a message of its own; a longer text is a file: netkitctl share add, there netkitctl get")
    })
}

/// A line that can't be sent, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine(pub String);

/// A text that may be sent.
pub(crate) fn check(text: &[u8]) -> Result<String, BadLine> {
    if text.len() > limits::TEXT {
        return Err(BadLine(format!("it is longer than {} KiB", limits::TEXT / 1024)));
    }
    let text = std::str::from_utf8(text).map_err(|_| BadLine("it is not UTF-8 text".into()))?;
    Ok(text.to_owned())
}

/// Without one newline at the end.
pub(crate) fn without_newline(bytes: &[u8]) -> &[u8] {
    let Some(line) = bytes.strip_suffix(b"\n") else { return bytes };
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_follows_from_the_flags() {
        let text = |t: &str| Some(t.to_owned());
        for (given, lines, terminal, expected) in [
            (text("hi"), false, true, Ok(Source::Text("hi".into()))),
            (text("-"), false, true, Ok(Source::Stdin)),
            (text("-"), true, false, Ok(Source::Lines)),
            (None, false, false, Ok(Source::Stdin)),
            (None, true, false, Ok(Source::Lines)),
            (None, false, true, Err(Exit::Usage)),
            (text("hi"), true, false, Err(Exit::Usage)),
        ] {
            let found = source(given.clone(), lines, terminal).map_err(|f| f.exit);
            assert_eq!(found, expected, "{given:?} {lines} {terminal}");
        }
    }

    #[test]
    fn one_newline_at_the_end_is_dropped() {
        for (input, expected) in [
            ("a\n", Ok("a")),
            ("a\nb\n\n", Ok("a\nb\n")),
            ("a", Ok("a")),
            ("\n", Err(Exit::Usage)),
            ("", Err(Exit::Usage)),
        ] {
            let read = read_all(input.as_bytes()).map_err(|f| f.exit);
            assert_eq!(read.as_deref(), expected.as_deref(), "{input:?}");
        }
        assert!(read_all(&b"\xff"[..]).is_err());
        assert!(read_all("a".repeat(limits::TEXT).as_bytes()).is_ok());
        assert!(read_all("a".repeat(limits::TEXT + 1).as_bytes()).is_err());
    }
}
