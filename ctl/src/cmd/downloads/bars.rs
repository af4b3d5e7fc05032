//! Progress on a terminal: a line for each download that is drawn anew as it goes on, on stderr. Drawn by `vigil` and
//! `queue --watch`; nobody makes one where stderr is no terminal.

use super::facts::{behind_bar, name};
use crate::output::{escape_line, keep_below};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use netkit_proto::rpc::call::{Download, DownloadState};
use netkit_proto::time::Timestamp;

/// So many downloads have a line; the others are counted. Fits the smallest usual terminal, and what indicatif draws
/// in one go.
pub(crate) const MOST: usize = 10;
/// Each line that changes is drawn: fewer would be left as they were until the next time.
const DRAWN_A_SECOND: u8 = 250;
/// Cells of a bar.
const CELLS: u64 = 12;

/// Lines that are redrawn. Dropped, they are gone.
pub(crate) struct Bars {
    all: MultiProgress,
    rows: Vec<ProgressBar>,
    style: ProgressStyle,
}

impl Bars {
    /// Draws nothing yet.
    #[must_use]
    pub(crate) fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWN_A_SECOND));
        keep_below(Some(all.clone()));
        let style = ProgressStyle::with_template("{prefix:20!} {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Bars { all, rows: Vec::new(), style }
    }

    /// Draws these downloads, and `rest` below them.
    pub(crate) fn draw(&mut self, downloads: &[&Download], rest: &str, now: Timestamp) {
        let rest = (!rest.is_empty()).then(|| (String::new(), one_line(rest)));
        let shown = downloads.iter().take(MOST);
        let shown = shown.map(|download| (one_line(name(download)), one_line(&row(download, now))));
        let lines: Vec<(String, String)> = shown.chain(rest).collect();
        while self.rows.len() > lines.len() {
            if let Some(row) = self.rows.pop() {
                self.all.remove(&row);
            }
        }
        while self.rows.len() < lines.len() {
            self.rows.push(self.all.add(ProgressBar::new(0).with_style(self.style.clone())));
        }
        for (row, (name, message)) in self.rows.iter().zip(lines) {
            if row.prefix() != name {
                row.set_prefix(name);
            }
            if row.message() != message {
                row.set_message(message);
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        keep_below(None);
        let _ = self.all.clear(); // a terminal that is gone needs no clearing
    }
}

/// What stands behind the name.
fn row(download: &Download, now: Timestamp) -> String {
    let words = behind_bar(download, now);
    match (download.state, download.size) {
        (DownloadState::Active, Some(size)) => format!("[{}] {words}", bar(download.bytes, size)),
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
