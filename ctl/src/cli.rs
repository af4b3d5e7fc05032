//! The command line: which verb, and what holds for all of them. Flags of one verb are declared in that verb's
//! file; each file turns its flags into settings, and nothing below sees flags.

use crate::cmd::{
    chat, completions, get, ip, ls, peers, port, queue, rooms, rpc, send, share, status, tail, wire,
};
use crate::context::Context;
use crate::exit::Outcome;
use clap::{Args as _, Command, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Talks to the machines of the LAN through netkitd
#[derive(Debug, Parser)]
#[command(name = "netkitctl", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    general: General,
    #[command(subcommand)]
    verb: Verb,
}

/// What holds for all verbs.
#[derive(Debug, clap::Args)]
struct General {
    /// netkitd's socket [default: $NETKIT_SOCKET, else your own netkitd's, else the system's]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print for programs: one JSON object a line
    #[arg(long, global = true)]
    json: bool,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 netkitd not reachable, 4 not found, 5 refused,
6 not delivered or not finished in time, 7 verification failed, 8 no space, 130 Ctrl-C.
Data goes to stdout, talk to stderr. `netkitctl VERB --help` shows examples.";

#[derive(Debug, Subcommand)]
enum Verb {
    Send(send::Args),
    Tail(tail::Args),
    Chat(chat::Args),
    Peers(peers::Args),
    Rooms(rooms::Args),
    Get(get::Args),
    Queue(queue::Args),
    Ls(ls::Args),
    Share(share::Args),
    Status(status::Args),
    Ip(ip::Args),
    Port(port::Args),
    Wire(wire::Args),
    Rpc(rpc::Args),
    Completions(completions::Args),
}

/// Adds a verb's flags to it.
type Describe = fn(Command) -> Command;

/// The verbs as [`Verb`] has them.
const VERBS: [(&str, Describe); 15] = [
    ("send", send::Args::augment_args),
    ("tail", tail::Args::augment_args),
    ("chat", chat::Args::augment_args),
    ("peers", peers::Args::augment_args),
    ("rooms", rooms::Args::augment_args),
    ("get", get::Args::augment_args),
    ("queue", queue::Args::augment_args),
    ("ls", ls::Args::augment_args),
    ("share", share::Args::augment_args),
    ("status", status::Args::augment_args),
    ("ip", ip::Args::augment_args),
    ("port", port::Args::augment_args),
    ("wire", wire::Args::augment_args),
    ("rpc", rpc::Args::augment_args),
    ("completions", completions::Args::augment_args),
];

impl Cli {
    /// Reads a command line, the program's name first. Only the flags of the verb in it are described for that: those
    /// of all verbs take as long as the rest of a start. What is wrong with it is told by the parser that knows all.
    ///
    /// # Errors
    /// What is wrong with it, or the help that it asks for.
    pub(crate) fn read(line: &[OsString]) -> Result<Cli, clap::Error> {
        let general = General::augment_args(Command::new("netkitctl"));
        let with =
            |command: Command, (name, describe)| command.subcommand(Command::new(name).defer(describe));
        let quick = VERBS.into_iter().fold(general, with).try_get_matches_from(line);
        match quick.and_then(|matches| Cli::from_arg_matches(&matches)) {
            Ok(cli) => Ok(cli),
            Err(_) => Cli::try_parse_from(line),
        }
    }

    /// Does what the command line asks.
    ///
    /// # Errors
    /// What the verb failed at.
    pub(crate) fn run(self) -> Outcome {
        let socket = choose_socket(
            self.general.socket,
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from),
            |path| path.exists(),
        );
        let context = Context { socket, json: self.general.json };
        match self.verb {
            Verb::Send(args) => send::run(&context, args),
            Verb::Tail(args) => tail::run(&context, args),
            Verb::Chat(args) => chat::run(&context, args),
            Verb::Peers(args) => peers::run(&context, args),
            Verb::Rooms(args) => rooms::run(&context, args),
            Verb::Get(args) => get::run(&context, args),
            Verb::Queue(args) => queue::run(&context, args),
            Verb::Ls(args) => ls::run(&context, args),
            Verb::Share(args) => share::run(&context, args),
            Verb::Status(args) => status::run(&context, args),
            Verb::Ip(args) => ip::run(&context, args),
            Verb::Port(args) => port::run(&context, args),
            Verb::Wire(args) => wire::run(&context, args),
            Verb::Rpc(args) => rpc::run(&context, args),
            Verb::Completions(args) => completions::run(args),
        }
    }
}

/// The flag, else the environment, else a user's own netkitd where there is one, else the system's.
fn choose_socket(
    flag: Option<PathBuf>,
    environment: impl Fn(&str) -> Option<PathBuf>,
    exists: impl Fn(&PathBuf) -> bool,
) -> PathBuf {
    let in_runtime = || environment("XDG_RUNTIME_DIR").map(|dir| dir.join("netkit/netkitd.sock"));
    // Where netkitd has it without a runtime directory.
    let in_state = || {
        let home = || environment("HOME").map(|home| home.join(".local/state"));
        environment("XDG_STATE_HOME").or_else(home).map(|dir| dir.join("netkit/netkitd.sock"))
    };
    flag.or_else(|| environment("NETKIT_SOCKET"))
        .or_else(|| in_runtime().filter(&exists))
        .or_else(|| in_state().filter(&exists))
        .unwrap_or_else(|| PathBuf::from("/run/netkit/netkitd.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_verb_is_read_as_the_parser_that_knows_all_reads_it() {
        let names: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        assert_eq!(names, VERBS.map(|(name, _)| name));
        for (line, is_quick) in [
            ("netkitctl --json status", true),
            ("netkitctl send --socket /s bob --wait=5 hi --json", true),
            ("netkitctl peers show me --qr", true),
            ("netkitctl queue wait 7 -W 5", true),
            ("netkitctl", false),
            ("netkitctl --version", false),
            ("netkitctl help send", false),
            ("netkitctl send --help", false),
            ("netkitctl send --sideways", false),
            ("netkitctl sned bob", false),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (read, whole) = (Cli::read(&words), Cli::try_parse_from(&words));
            assert_eq!(read.is_ok(), is_quick, "{line}");
            assert_eq!(format!("{read:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn every_flag_has_its_line_and_verbs_have_examples() {
        for verb in Cli::command().get_subcommands() {
            assert!(verb.get_after_help().is_some(), "{}", verb.get_name());
            for command in [verb].into_iter().chain(verb.get_subcommands()) {
                assert!(command.get_about().is_some(), "{}", command.get_name());
                for arg in command.get_arguments() {
                    assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
                }
            }
        }
    }

    #[test]
    fn downloads_are_asked_for_as_the_help_says() {
        for (line, is_taken) in [
            ("get http://a/x", true),
            ("get --wait http://a/x tcp://a:1/x", true),
            ("get --wait=5 -q --limit 1.5MiB --force --key k -o isos/ http://a/x", true),
            ("get", false),
            ("get -q http://a/x", false),
            ("get --checksum sha256:12 http://a/x", false),
            ("get --limit fast http://a/x", false),
            ("queue", true),
            ("queue --json", true),
            ("queue --json list --state failed --state done", true),
            ("queue --state gone", false),
            ("queue -q --watch", false),
            ("queue wait", true),
            ("queue wait 7 8 -W 5", true),
            ("queue pause 7 8", true),
            ("queue pause --all", true),
            ("queue cancel", false),
            ("queue remove", false),
            ("queue cancel --all 7", false),
            ("queue cancel x", false),
            ("queue move 7 first", true),
            ("queue move 7 before 8", true),
            ("queue move 7 before", false),
            ("queue move 7", false),
            ("queue limit 5M", true),
            ("queue limit default", true),
            ("queue limit 0 7 8", true),
            ("queue limit", false),
        ] {
            let parsed = Cli::try_parse_from(["netkitctl"].into_iter().chain(line.split(' ')));
            assert_eq!(parsed.is_ok(), is_taken, "{line}");
            assert!(is_taken || parsed.is_err_and(|e| e.exit_code() == 2), "{line}");
        }
    }

    #[test]
    fn peers_are_asked_for_as_the_help_says() {
        let id = "a".repeat(52);
        for (line, is_taken) in [
            ("peers", true),
            ("peers --linked --trust new --trust known -q", true),
            ("peers list --hosts", true),
            ("peers --trust friend", false),
            ("peers --hosts -q", false),
            ("peers show", false),
            ("peers show me --qr", true),
            ("peers show me --qr=never", true),
            ("peers add 10.0.0.9", true),
            ("peers add [::1]:7891 --wait=5", true),
            ("peers add", false),
            ("peers trust bob --yes", true),
            (&format!("peers trust bob {id}"), true),
            (&format!("peers trust bob {} {}", &id[..20], &id[20..]), true),
            (&format!("peers trust bob {id} --yes"), false),
            ("peers trust", false),
            ("peers block bob carol", true),
            ("peers block", false),
            ("peers remove 10.0.0.9:7890", true),
            ("peers wait bob carol -W 5", true),
            ("peers wait", false),
            ("rooms", true),
            ("rooms join ops @night", true),
            ("rooms join", false),
            ("rooms leave a:b", false),
        ] {
            let parsed = Cli::try_parse_from(["netkitctl"].into_iter().chain(line.split(' ')));
            assert_eq!(parsed.is_ok(), is_taken, "{line}");
        }
    }

    #[test]
    fn the_socket_is_the_nearest_one_named() {
        let system = "/run/netkit/netkitd.sock";
        for (flag, variable, own, expected) in [
            (Some("/f"), Some("/v"), true, "/f"),
            (None, Some("/v"), true, "/v"),
            (None, None, true, "/run/user/7/netkit/netkitd.sock"),
            (None, None, false, system),
        ] {
            let environment = |name: &str| match name {
                "NETKIT_SOCKET" => variable.map(PathBuf::from),
                _ => Some("/run/user/7".into()),
            };
            let chosen = choose_socket(flag.map(PathBuf::from), environment, |_| own);
            assert_eq!(chosen, PathBuf::from(expected));
        }
        assert_eq!(choose_socket(None, |_| None, |_| true), PathBuf::from(system));
    }
}
