//! Progress on a terminal: a line for each download that is drawn anew as it goes on, on stderr. Drawn by `vigil` and
//! `queue --watch`; nobody makes one where stderr is no terminal.

use super::facts::{behind_bar, name};
use crate::output::{columns, escape_line, keep_below};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use netkit_proto::rpc::call::{Download, DownloadState};
use netkit_proto::time::Timestamp;
use std::io::{self, Write};

/// So many downloads have a line; the others are counted. Fits the smallest usual terminal.
pub(crate) const MOST: usize = 10;
/// How often a single line is drawn: hardly ever, since the last one draws them all.
const DRAWN_A_SECOND: u8 = 1;
/// Cells of a bar.
const CELLS: u64 = 12;
/// Where there are fewer columns, the figures come without the bar.
const WIDE: u16 = 76;

/// Lines that are redrawn. Dropped, they are gone, unless they were to stay.
pub(crate) struct Bars {
    all: MultiProgress,
    rows: Vec<ProgressBar>,
    /// Below them.
    foot: ProgressBar,
    stay: bool,
}

impl Bars {
    /// Draws nothing yet.
    #[must_use]
    pub(crate) fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWN_A_SECOND));
        keep_below(Some(all.clone()));
        let foot = all.add(ProgressBar::new(0).with_style(style("{msg}")));
        Bars { all, rows: Vec::new(), foot, stay: false }
    }

    /// Draws these downloads, and `foot` below them.
    pub(crate) fn draw(&mut self, downloads: &[&Download], foot: &str, now: Timestamp) {
        let shown = &downloads[..downloads.len().min(MOST)];
        while self.rows.len() > shown.len() {
            if let Some(row) = self.rows.pop() {
                self.all.remove(&row);
            }
        }
        while self.rows.len() < shown.len() {
            self.rows.push(self.all.insert_before(&self.foot, ProgressBar::new(0)));
        }
        let is_wide = columns() >= WIDE;
        let style = style(if is_wide { "{prefix:20!} {wide_msg}" } else { "{prefix:12!} {wide_msg}" });
        for (line, download) in self.rows.iter().zip(shown) {
            line.set_style(style.clone());
            line.set_prefix(one_line(name(download)));
            line.set_message(one_line(&row(download, now, is_wide)));
        }
        let hidden = downloads.len() - shown.len();
        let hidden = if hidden > 0 { format!("and {hidden} more; ") } else { String::new() };
        // A finished bar is drawn at once, and all others with it: one whole frame.
        self.foot.abandon_with_message(one_line(&format!("{hidden}{foot}")));
    }

    /// Leaves the lines as they are: a `^C` that the terminal echoed has moved them, so that they can't be cleared.
    pub(crate) fn stay(&mut self) {
        self.stay = true;
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Drop for Bars {
    fn drop(&mut self) {
        keep_below(None);
        // Where either fails the terminal is gone, and needs neither.
        let _ = if self.stay { writeln!(io::stderr()) } else { self.all.clear() };
        // Else each would draw those that are left once more when it is dropped.
        self.rows.iter().chain([&self.foot]).for_each(|row| self.all.remove(row));
    }
}

/// What stands behind the name.
fn row(download: &Download, now: Timestamp, is_wide: bool) -> String {
    let words = behind_bar(download, now);
    match (download.state, download.size) {
        (DownloadState::Active, Some(size)) if is_wide => format!("[{}] {words}", bar(download.bytes, size)),
        _ => words,
    }
}

fn bar(bytes: u64, size: u64) -> String {
    let full = u128::from(bytes.min(size)) * u128::from(CELLS) / u128::from(size.max(1));
    (0..CELLS).map(|cell| if u128::from(cell) < full { '=' } else { ' ' }).collect()
}

/// Text that stays on its line: what acts on a terminal is made visible, a tab is a space.
fn one_line(text: &str) -> String {
    escape_line(text).replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_acts_on_the_terminal() {
        assert_eq!(one_line("a\x1b[2J\tb\nc\u{202e}"), "a\\u{1b}[2J b\\nc\\u{202e}");
    }

    #[test]
    fn a_bar_is_as_full_as_the_file() {
        for (bytes, size, expected) in [
            (0, 100, "            "),
            (50, 100, "======      "),
            (99, 100, "=========== "),
            (100, 100, "============"),
            (u64::MAX, u64::MAX, "============"),
            (200, 100, "============"),
            (0, 0, "            "),
        ] {
            assert_eq!(bar(bytes, size), expected, "{bytes} of {size}");
        }
    }
}
