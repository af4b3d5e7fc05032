//! One manual page: clap_mangen's sections, with what stands below `--help` divided into EXAMPLES and NOTES, and the
//! exit codes where it belongs. Called by `main`; writes no file.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;

/// A page to be.
pub(crate) struct Page {
    /// What it is about.
    pub command: Command,
    /// 1 for what people and scripts call, 8 for the daemon.
    pub section: &'static str,
    /// The page of the other program.
    pub see_also: &'static str,
}

impl Page {
    fn name(&self) -> &str {
        self.command.get_display_name().unwrap_or_else(|| self.command.get_name())
    }

    /// `netkitctl-ip.1`
    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}", self.name(), self.section)
    }

    /// The page in roff.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut page = Vec::new();
        // Writing to memory does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut Vec<u8>) -> io::Result<()> {
        let source = format!("netkit {}", env!("CARGO_PKG_VERSION"));
        let man = Man::new(self.command.clone()).section(self.section).source(source).manual("netkit");
        man.render_title(page)?;
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        if self.command.get_arguments().next().is_some() {
            man.render_options_section(page)?;
        }
        if self.command.has_subcommands() {
            man.render_subcommands_section(page)?;
        }
        let mut rest = Roff::default();
        let below = self.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in below.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            section(&mut rest, paragraph);
        }
        rest.control("SH", ["SEE ALSO"]);
        let program = self.name().split('-').next().unwrap_or_default();
        let own = if self.name() == program { String::new() } else { format!("{program}(1), ") };
        rest.text([roman(format!("{own}{}", self.see_also))]);
        rest.to_writer(page)
    }
}

/// A paragraph below `--help`: examples stand as they are typed, the rest flows.
fn section(roff: &mut Roff, paragraph: &str) {
    let (head, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
    if matches!(head, "Examples:" | "Example:") {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for line in rest.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []);
        return;
    }
    let name = if head.starts_with("Exit codes:") { "EXIT STATUS" } else { "NOTES" };
    roff.control("SH", [name]);
    for line in paragraph.lines() {
        roff.text([roman(line)]);
    }
}
