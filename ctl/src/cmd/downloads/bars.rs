//! Progress on a terminal: a line for each download that is drawn anew as it goes on, on stderr. Drawn by `vigil` and
//! `queue --watch`; nobody makes one where stderr is no terminal.

use super::facts::{behind_bar, name};
use crate::output::escape_line;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use netkit_proto::rpc::call::{Download, DownloadState};
use netkit_proto::time::Timestamp;

/// So many downloads have a line; the others are counted. Fits the smallest usual terminal.
pub(crate) const MOST: usize = 12;

/// Lines that are redrawn. Dropped, they are gone.
pub(crate) struct Bars {
    all: MultiProgress,
    rows: Vec<ProgressBar>,
    with_size: ProgressStyle,
    without_size: ProgressStyle,
    words: ProgressStyle,
}

impl Bars {
    /// Draws nothing yet.
    #[must_use]
    pub(crate) fn new() -> Bars {
        let style = |template| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        Bars {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            rows: Vec::new(),
            with_size: style("{prefix:24!} [{bar:20}] {percent:>3} % {wide_msg}").progress_chars("=> "),
            without_size: style("{prefix:24!} {wide_msg}"),
            words: style("{wide_msg}"),
        }
    }

    /// Draws these downloads, and `rest` below them.
    pub(crate) fn draw(&mut self, downloads: &[&Download], rest: &str, now: Timestamp) {
        let shown = &downloads[..downloads.len().min(MOST)];
        let wanted = shown.len() + usize::from(!rest.is_empty());
        while self.rows.len() > wanted {
            if let Some(row) = self.rows.pop() {
                row.finish_and_clear();
                self.all.remove(&row);
            }
        }
        while self.rows.len() < wanted {
            self.rows.push(self.all.add(ProgressBar::new(1)));
        }
        for (row, download) in self.rows.iter().zip(shown) {
            let moves = matches!(download.state, DownloadState::Active | DownloadState::Verifying);
            let size = download.size.filter(|_| moves);
            row.set_style(if size.is_some() { self.with_size.clone() } else { self.without_size.clone() });
            row.set_length(size.unwrap_or(1));
            row.set_position(size.map_or(0, |size| download.bytes.min(size)));
            row.set_prefix(one_line(name(download)));
            row.set_message(one_line(&behind_bar(download, now)));
        }
        if !rest.is_empty()
            && let Some(row) = self.rows.last()
        {
            row.set_style(self.words.clone());
            row.set_message(one_line(rest));
        }
    }

    /// Does something that writes to the terminal, the lines out of its way.
    pub(crate) fn aside<R>(&self, work: impl FnOnce() -> R) -> R {
        self.all.suspend(work)
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.all.clear(); // a terminal that is gone needs no clearing
    }
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
}
