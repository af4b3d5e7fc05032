//! What leaves netkitctl: data on stdout, talk on stderr, and the escaping that keeps peers' text from acting on a
//! terminal. Every verb writes through here, above the lines that `downloads::bars` draws. How an event looks is in
//! `format`.

use crate::exit::{Exit, Failure, Outcome};
use indicatif::MultiProgress;
use netkit_proto::name::is_unsafe;
use rustix::fd::AsFd;
use serde::Serialize;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

/// Bytes kept before they are written even though nobody asked for a flush.
const BUFFER: usize = 64 * 1024;

/// Where output can go.
trait Target: Write + AsFd {}
impl<T: Write + AsFd> Target for T {}

/// Standard output, written when flushed or when much has gathered.
pub(crate) struct Out {
    buffer: Vec<u8>,
    target: Box<dyn Target>,
    terminal: bool,
    /// Why nothing can be written any more.
    failed: Option<Failure>,
}

impl Out {
    /// The process's stdout.
    #[must_use]
    pub(crate) fn stdout() -> Out {
        Out::to(io::stdout())
    }

    /// Something that stands for stdout.
    pub(crate) fn to(target: impl Write + AsFd + IsTerminal + 'static) -> Out {
        let terminal = target.is_terminal();
        Out { buffer: Vec::new(), target: Box::new(target), terminal, failed: None }
    }

    /// Whether a person reads along.
    #[must_use]
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Columns of the terminal; `None` where it is none, and lines may be as long as they are.
    #[must_use]
    pub(crate) fn width(&self) -> Option<usize> {
        let size = || rustix::termios::tcgetwinsize(self.fd()).ok().filter(|size| size.ws_col > 0);
        self.terminal.then(|| size().map_or(80, |size| size.ws_col.into()))
    }

    /// For waiting until the reader leaves.
    pub(crate) fn fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.target.as_fd()
    }

    /// Adds `text` as it is.
    ///
    /// # Errors
    /// Where stdout does not take it; see [`Failure::output`].
    pub(crate) fn write(&mut self, text: &str) -> Outcome {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes as they are: for what is no text, and no terminal.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Adds `text` and a newline.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub(crate) fn line(&mut self, text: &str) -> Outcome {
        self.buffer.extend_from_slice(text.as_bytes());
        self.write("\n")
    }

    /// Adds JSON as one line; on a terminal what could act on it is written as JSON escapes, which mean the same.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub(crate) fn json(&mut self, json: &str) -> Outcome {
        if self.terminal { self.line(&escape_json(json)) } else { self.line(json) }
    }

    /// Adds an object as one line of JSON.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Outcome {
        let json = serde_json::to_string(object);
        self.json(&json.map_err(|e| Failure::new(Exit::Failed, format!("writing JSON: {e}")))?)
    }

    /// Adds one line: `object` for programs, or `text` for people, in which nothing acts on a terminal.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub(crate) fn either(&mut self, json: bool, object: &impl Serialize, text: &str) -> Outcome {
        if json { self.object(object) } else { self.line(&escape_line(text)) }
    }

    /// Hands everything to the reader of stdout.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub(crate) fn flush(&mut self) -> Outcome {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut write = || self.target.write_all(&self.buffer).and_then(|()| self.target.flush());
        let written = if self.terminal { above_drawn(write) } else { write() };
        self.buffer.clear();
        written.map_err(|e| {
            // For good: whoever asks again must not take what was lost for written.
            let failure = Failure::output(&e);
            self.failed = Some(failure.clone());
            failure
        })
    }
}

/// Columns of the terminal that stderr is; 80 where that can't be told.
#[must_use]
pub(crate) fn columns() -> u16 {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map(|size| size.ws_col).ok().filter(|&columns| columns > 0).unwrap_or(80)
}

/// Whether stderr is a terminal that can redraw lines.
#[must_use]
pub(crate) fn can_animate() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

thread_local! {
    /// What is being redrawn on stderr.
    static DRAWN: RefCell<Option<MultiProgress>> = const { RefCell::new(None) };
}

/// From now on what is said, and what is printed on a terminal, stands above these lines.
pub(crate) fn keep_below(lines: Option<MultiProgress>) {
    DRAWN.set(lines);
}

/// The lines are drawn again, below, when it is their time. (Not by `suspend`, which panics on a lost terminal.)
fn above_drawn<R>(write: impl FnOnce() -> R) -> R {
    DRAWN.with_borrow(|lines| {
        if let Some(lines) = lines {
            let _ = lines.clear(); // where it fails, what follows fails too
        }
    });
    write()
}

/// Says something on stderr. Text of peers in it can't act on the terminal.
pub(crate) fn say(text: &str) {
    let write = || writeln!(io::stderr(), "netkitctl: {}", escape(text));
    let _ = above_drawn(write); // where it fails, nowhere is left to complain
}

/// Says on stderr what to do about what was just said.
pub(crate) fn say_hint(text: &str) {
    let _ = above_drawn(|| writeln!(io::stderr(), "  {}", escape(text)));
}

/// Says why a verb failed: what happened, and the hint on a line of its own.
pub(crate) fn tell(failure: &Failure) {
    if !failure.message.is_empty() {
        say(&failure.message);
    }
    if let Some(hint) = &failure.hint {
        say_hint(hint);
    }
}

/// Text of a peer with its control and bidirectional characters made visible; newlines and tabs stay.
#[must_use]
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_with(text, |c| c != '\n' && c != '\t', |out, c| out.extend(c.escape_default()))
}

/// The same on one line.
#[must_use]
pub(crate) fn escape_line(text: &str) -> Cow<'_, str> {
    escape_with(text, |c| c != '\t', |out, c| out.extend(c.escape_default()))
}

/// JSON that means the same and holds no character that acts on a terminal. Newlines between members stay.
#[must_use]
pub(crate) fn escape_json(json: &str) -> Cow<'_, str> {
    // All unsafe characters are within the Basic Multilingual Plane, so one \u each is enough.
    let write = |out: &mut String, c: char| {
        let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a String can't fail
    };
    escape_with(json, |c| c != '\n', write)
}

fn escape_with(text: &str, also: fn(char) -> bool, write: fn(&mut String, char)) -> Cow<'_, str> {
    let must = |c: char| is_unsafe(c) && also(c);
    if !text.contains(must) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if must(c) { write(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_made_visible() {
        for (text, expected) in [
            ("plain, 你好 😀", "plain, 你好 😀"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("a\u{9b}2J", "a\\u{9b}2J"),
            ("a\rb\u{202e}c", "a\\rb\\u{202e}c"),
            ("a\tb\nc", "a\tb\nc"),
        ] {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(escape_line("a\nb\tc"), "a\\nb\tc");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let json = "{\"text\":\"\u{9b}2J \u{202e} 你\\n\"}";
        let escaped = escape_json(json);
        assert_eq!(escaped, r#"{"text":"\u009b2J \u202e 你\n"}"#);
        let value: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert!(matches!(escape_json("{}"), Cow::Borrowed(_)));
    }
}
