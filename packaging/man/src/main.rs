//! `netkit-man DIR`: writes the manual pages of netkitctl, of each of its verbs, and of netkitd, from what their
//! `--help` is made of. Run where netkit is packaged or installed; what a page looks like is in `page`.

mod page;

use anyhow::{Context, Result};
use clap::{Command, Parser};
use page::Page;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes netkit's manual pages.
#[derive(Debug, Parser)]
#[command(name = "netkit-man", version)]
struct Args {
    /// The directory they go to; it is made where it is missing
    dir: PathBuf,
}

fn main() -> ExitCode {
    match write_all(&Args::parse().dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netkit-man: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    for page in pages() {
        let path = dir.join(page.file_name());
        std::fs::write(&path, page.render()).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// All pages, each verb after the program it is of.
fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    collect(built(netkit_ctl::command()), "1", "netkitd(8)", &mut pages);
    collect(built(netkit_daemon::command()), "8", "netkitctl(1)", &mut pages);
    pages
}

/// With the names and the options that all verbs have in each of them.
fn built(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

fn collect(command: Command, section: &'static str, see_also: &'static str, pages: &mut Vec<Page>) {
    let of_it: Vec<Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    pages.push(Page { command, section, see_also });
    of_it.into_iter().for_each(|verb| collect(verb, section, see_also, pages));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_with_its_examples() {
        let dir = tempfile::tempdir().unwrap();
        let within = dir.path().join("man");
        write_all(&within).unwrap();
        let read = |name: &str| std::fs::read_to_string(within.join(name)).unwrap();
        for verb in netkit_ctl::command().get_subcommands() {
            let page = read(&format!("netkitctl-{}.1", verb.get_name()));
            assert!(page.contains(".SH EXAMPLES"), "{}", verb.get_name());
            assert!(page.contains(&format!("netkitctl {}", verb.get_name())), "{page}");
            assert!(page.contains("netkitd(8)"), "{page}");
        }
        assert!(read("netkitctl.1").contains("netkitctl\\-ip(1)"));
        assert!(read("netkitd.8").contains(".SH OPTIONS"));
        assert!(within.join("netkitctl-port-check.1").exists());
    }

    #[test]
    fn nothing_that_is_shown_acts_as_a_request() {
        for page in pages() {
            let text = String::from_utf8(page.render()).unwrap();
            for line in text.lines().filter(|line| line.starts_with(['.', '\''])) {
                let request = line.split(' ').next().unwrap_or_default();
                let known = ".TH .SH .TP .IP .RS .RE .br .nf .fi .ie .el";
                assert!(known.split(' ').any(|known| known == request), "{}: {line}", page.file_name());
            }
        }
    }
}
