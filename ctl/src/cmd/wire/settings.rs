//! What the command line means, all of it checked. Made from `flags`; the rest of `wire` sees only this.

use super::append::{Append, append};
use super::flags::{Args, Bind, Clients, Common, Inet, Many, Send, Side, What};
use super::input::Kind;
use super::limits;
use super::pattern::Pattern;
use super::payload::{Payload, parse_hex, read_file, unescape};
use super::peers::Target;
use super::record::Recording;
use super::replay::{Pick, Reader};
use super::reply::Rule;
use super::schedule::Schedule;
use super::show::Format;
use super::socket::{Action, Endpoint, Family};
use super::text::Encoding;
use crate::exit::{Exit, Failure, Outcome};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What to do.
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) schedule: Option<Schedule>,
    /// Whether that is a record.
    pub(super) is_replay: bool,
    /// How stdin is read, if it is.
    pub(super) input: Option<Kind>,
    pub(super) commands: bool,
    /// Whether there is a person with a line editor.
    pub(super) is_interactive: bool,
    pub(super) target: Target,
    pub(super) append: Vec<Append>,
    pub(super) rules: Vec<Rule>,
    pub(super) hang_up: bool,
    pub(super) once: bool,
    pub(super) expect: Option<Pattern>,
    pub(super) within: Option<Duration>,
    pub(super) stop_after: Option<u64>,
    pub(super) record: Option<Recording>,
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) shows_sent: bool,
}

/// What kind of ends the process has.
struct Ends {
    stdin_is_terminal: bool,
    stdout_is_terminal: bool,
    is_dumb: bool,
}

/// Reads the command line.
///
/// # Errors
/// What of it makes no sense, or names files that can't be read.
pub(super) fn resolve(args: Args, json: bool) -> Outcome<Settings> {
    let ends = Ends {
        stdin_is_terminal: std::io::stdin().is_terminal(),
        stdout_is_terminal: std::io::stdout().is_terminal(),
        is_dumb: std::env::var_os("TERM").is_none_or(|term| term == "dumb"),
    };
    resolved(args, json, &ends)
}

fn resolved(args: Args, json: bool, ends: &Ends) -> Outcome<Settings> {
    let none = Clients::default;
    match args.what {
        What::Udp(udp) => {
            let endpoint = endpoint(Family::Udp, udp.action, udp.address, udp.bind, udp.inet, udp.many)?;
            of(endpoint, &none(), Source::Flags(udp.send), udp.common, json, ends)
        }
        What::Tcp(tcp) => {
            let many = Many::default();
            let endpoint = endpoint(Family::Tcp, tcp.action, tcp.address, tcp.bind, tcp.inet, many)?;
            of(endpoint, &tcp.clients, Source::Flags(tcp.send), tcp.common, json, ends)
        }
        What::Unix(unix) => {
            let (bind, inet, many) = (Bind::default(), Inet::default(), Many::default());
            let endpoint = endpoint(Family::Unix, unix.action, unix.address, bind, inet, many)?;
            of(endpoint, &unix.clients, Source::Flags(unix.send), unix.common, json, ends)
        }
        What::UnixDgram(unix) => {
            let (inet, many) = (Inet::default(), Many::default());
            let endpoint = endpoint(Family::UnixDgram, unix.action, unix.address, unix.bind, inet, many)?;
            of(endpoint, &none(), Source::Flags(unix.send), unix.common, json, ends)
        }
        What::Replay(replay) => {
            let pick = replay.from.unwrap_or(match replay.side {
                Side::Sent => Pick::Sent,
                Side::Received => Pick::Received,
            });
            let schedule = Schedule::replay(Reader::open(&replay.file, pick)?, replay.speed)?;
            let endpoint = endpoint(
                replay.family,
                replay.action,
                replay.address,
                replay.bind,
                replay.inet,
                replay.many,
            )?;
            of(endpoint, &replay.clients, Source::Record(schedule), replay.common, json, ends)
        }
    }
}

/// Where what is sent by itself comes from.
enum Source {
    Flags(Send),
    Record(Schedule),
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

fn endpoint(
    family: Family,
    action: Action,
    address: String,
    bind: Bind,
    inet: Inet,
    many: Many,
) -> Outcome<Endpoint> {
    if bind.bind.is_some() && action == Action::Listen {
        return Err(usage("--bind is for connecting; to listen at an address, give it as ADDRESS"));
    }
    Ok(Endpoint {
        family,
        action,
        address,
        bind: bind.bind,
        interface: many.interface,
        ttl: inet.ttl,
        broadcast: many.broadcast,
        multicast_loop: !many.no_loop,
    })
}

fn of(
    endpoint: Endpoint,
    clients: &Clients,
    source: Source,
    common: Common,
    json: bool,
    ends: &Ends,
) -> Outcome<Settings> {
    let encoding = common.encoding;
    if common.reply.len() > limits::RULES {
        return Err(usage(format!("{} rules; {} is the most", common.reply.len(), limits::RULES)));
    }
    let rules =
        common.reply.iter().map(|rule| Rule::parse(rule, encoding, &common.append)).collect::<Outcome<_>>();
    let expect = common.expect.as_deref().map(|pattern| Pattern::parse(pattern, encoding)).transpose();
    if clients.once && endpoint.action == Action::Connect {
        return Err(usage("--once is for listening"));
    }
    if common.output == Some(Format::Raw) && ends.stdout_is_terminal {
        return Err(
            usage("raw bytes are not for a terminal").hint("-o text, hex or both; or send stdout to a file")
        );
    }
    let is_replay = matches!(source, Source::Record(_));
    let schedule = match source {
        Source::Flags(send) => scheduled(send, &common.append, encoding)?,
        Source::Record(schedule) => Some(schedule),
    };
    let waits_for_something = expect.as_ref().is_ok_and(Option::is_some) || common.stop_after.is_some();
    let is_interactive = ends.stdin_is_terminal
        && ends.stdout_is_terminal
        && !ends.is_dumb
        && !json
        && common.input.is_none_or(|kind| matches!(kind, Kind::Text | Kind::Escaped | Kind::Hex))
        && !waits_for_something
        && common.within.is_none();
    // Whoever says what to send has said all, unless there is a person.
    let is_read = is_interactive || common.input.is_some() || schedule.is_none();
    let kind = common.input.unwrap_or(Kind::Text);
    Ok(Settings {
        schedule,
        is_replay,
        input: (is_read && kind != Kind::None).then_some(kind),
        commands: common.commands || ends.stdin_is_terminal,
        is_interactive,
        target: common.to,
        rules: rules?,
        hang_up: clients.hang_up,
        once: clients.once,
        expect: expect.map_err(usage)?,
        within: common.within,
        stop_after: common.stop_after,
        record: common.record.map(|path| Recording {
            path,
            force: common.force,
            limit: common.record_limit.map_or(limits::RECORD, |limit| limit.as_u64()),
        }),
        format: common.output.unwrap_or(if ends.stdout_is_terminal { Format::Text } else { Format::Raw }),
        encoding,
        json,
        quiet: common.quiet,
        shows_sent: common.sent || ends.stdout_is_terminal,
        append: common.append,
        endpoint,
    })
}

/// What the flags say is sent by itself.
fn scheduled(send: Send, with: &[Append], encoding: Encoding) -> Outcome<Option<Schedule>> {
    let bytes = if let Some(text) = &send.send {
        Some(unescape(text, encoding).map_err(usage)?)
    } else if let Some(hex) = &send.hex {
        Some(parse_hex(hex).map_err(usage)?)
    } else {
        None
    };
    let payload: Payload = match (bytes, &send.file) {
        (Some(mut bytes), _) => {
            append(&mut bytes, with);
            bytes.into()
        }
        (None, Some(path)) => read_file(path)?.into(),
        (None, None) => return Ok(None),
    };
    let left = if send.interval.is_some() { send.count } else { Some(1) };
    let interval = send.interval.unwrap_or_default();
    Ok(Some(Schedule::Repeat { payload, interval, left, next: Instant::now() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// With `|` between arguments, since examples have spaces in them.
    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(["wire"].into_iter().chain(line.split('|'))).map(|line| line.args)
    }

    fn settings(line: &str, terminal: bool) -> Outcome<Settings> {
        let ends = Ends { stdin_is_terminal: terminal, stdout_is_terminal: terminal, is_dumb: false };
        resolved(parsed(line).unwrap(), false, &ends)
    }

    #[test]
    fn what_the_help_shows_is_taken() {
        for (line, is_taken) in [
            ("tcp|connect|10.0.0.9:80", true),
            ("udp|listen|9999|-o|both", true),
            ("unix|connect|/run/s|--append|lf", true),
            ("tcp|connect|a:502|--hex|00 01|--expect|hex:00 ?? 01|-W|2|-o|hex", true),
            ("tcp|listen|4001|--reply|hex:01 => hex:02|-a|crc16-modbus", true),
            ("udp|connect|a:514|--send|<14>x", true),
            ("udp|connect|239.255.255.250:1900|--input|raw|-o|text|-W|3", true),
            ("udp|connect|a:7890|--bind|9999", true),
            ("tcp|listen|7891|--hang-up|--reply|a => b|--reply|. => no_file", true),
            ("tcp|connect|a:1|--record|r.pcapng|--record-limit|5MiB|--force", true),
            ("replay|r.pcapng|tcp|connect|a:1|--speed|2", true),
            ("replay|r|unix-dgram|listen|@x|--side|received", true),
            ("replay|r|udp|connect|a:1|--from|10.0.0.1:4", true),
            ("replay|r|udp|connect|a:1|--from|x", false),
            ("replay|r|udp|connect|a:1|--speed|-1", false),
            ("replay|r|udp|connect|a:1|--side|sent|--from|10.0.0.1", false),
            ("sctp|listen|1", false),
            ("tcp|serve|1", false),
            ("tcp|listen|1|--hang-up", false),
            ("tcp|listen|1|--broadcast", false),
            ("udp|listen|1|--once", false),
            ("udp|listen|1|--ttl|0", false),
            ("udp|listen|1|--to|nobody", false),
            ("udp|listen|1|-a|crc64", false),
            ("udp|listen|1|-C|0", false),
            ("udp|connect|a:1|--send|x|--interval|1|--count|0", false),
            ("udp|listen|1|--force", false),
        ] {
            assert_eq!(parsed(line).is_ok(), is_taken, "{line}");
        }
    }

    #[test]
    fn examples_fit_into_a_terminal() {
        let help = Line::command().get_after_help().unwrap().to_string();
        assert!(help.contains("Exit codes:"));
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "a comment that wraps goes on without its #: {line}");
        }
    }

    #[test]
    fn what_is_read_and_shown_follows_from_the_ends() {
        for (line, terminal, input, is_interactive, format) in [
            ("tcp|connect|a:1", true, Some(Kind::Text), true, Format::Text),
            ("tcp|connect|a:1", false, Some(Kind::Text), false, Format::Raw),
            ("tcp|connect|a:1|-o|hex", false, Some(Kind::Text), false, Format::Hex),
            ("tcp|connect|a:1|--send|x", false, None, false, Format::Raw),
            ("tcp|connect|a:1|--send|x", true, Some(Kind::Text), true, Format::Text),
            ("tcp|connect|a:1|--send|x|-i|hex", false, Some(Kind::Hex), false, Format::Raw),
            ("tcp|connect|a:1|--send|x|-E|y", true, None, false, Format::Text),
            ("tcp|connect|a:1|-i|none", true, None, false, Format::Text),
            ("tcp|connect|a:1|-i|raw", true, Some(Kind::Raw), false, Format::Text),
            ("udp|listen|1|-W|5", true, Some(Kind::Text), false, Format::Text),
        ] {
            let found = settings(line, terminal).unwrap();
            let found = (found.input, found.is_interactive, found.format);
            assert_eq!(found, (input, is_interactive, format), "{line} {terminal}");
        }
        assert!(settings("tcp|connect|a:1|-o|raw", true).is_err_and(|e| e.exit == Exit::Usage));
        let many = format!("tcp|listen|1{}", "|--reply|a => b".repeat(limits::RULES + 1));
        assert!(settings(&many, false).is_err_and(|e| e.message.contains("64 is the most")));
    }

    #[test]
    fn a_payload_has_what_is_appended_and_a_file_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x\n").unwrap();
        for (flags, expected) in [
            (r"--send|a\x01|-a|lf".to_owned(), &b"a\x01\n"[..]),
            ("--hex|01 02|-a|sum8,crlf".to_owned(), b"\x01\x02\x03\r\n"),
            (format!("--file|{}|-a|lf", path.display()), b"x\n"),
        ] {
            let mut found = settings(&format!("udp|connect|a:1|{flags}"), false).unwrap();
            let payload = found.schedule.as_mut().unwrap().take(Instant::now()).unwrap();
            assert_eq!(payload.as_deref(), Some(expected), "{flags}");
        }
    }
}
