//! The command line of `wire`. `settings` turns it into what it means; nothing else sees it.

use super::append::Append;
use super::input::Kind;
use super::peers::Target;
use super::replay::Pick;
use super::show::Format;
use super::socket::{Action, Family};
use super::text::Encoding;
use crate::time::parse_duration;
use bytesize::ByteSize;
use clap::{ArgGroup, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Talk UDP, TCP or over a Unix socket, byte by byte: a network debugging assistant. Needs no netkitd
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) what: What,
}

const EXAMPLES: &str = "\
Examples:
  netkitctl wire tcp connect 10.0.0.9:80 -a crlf  # talk; what arrives stands above what you type
  netkitctl wire udp listen 9999 -o both          # watch a port, hex and text side by side
  netkitctl wire unix connect /run/netkit/netkitd.sock --append lf
  # A Modbus/TCP query, and its answer within two seconds (exit code 0, else 6):
  netkitctl wire tcp connect 10.0.0.50:502 --hex '00 01 00 00 00 06 01 03 00 00 00 0A' \\
      --expect 'hex:00 01 00 00 ?? ?? 01 03' -W 2 -o hex
  # A Modbus RTU frame in TCP, its CRC added; and a device that answers one:
  netkitctl wire tcp connect 10.0.0.50:4001 --hex '01 03 00 00 00 0A' -a crc16-modbus -W 2 -o hex
  netkitctl wire tcp listen 4001 --reply 'hex:01 03 => hex:01 03 02 00 2A' -a crc16-modbus
  # A syslog line:
  netkitctl wire udp connect 10.0.0.1:514 --send '<14>netkit: all is well'
  # Who speaks UPnP here (SSDP, multicast)?
  printf '%s\\r\\n' 'M-SEARCH * HTTP/1.1' 'HOST: 239.255.255.250:1900' \\
      'MAN: \"ssdp:discover\"' 'MX: 2' 'ST: ssdp:all' '' |
    netkitctl wire udp connect 239.255.255.250:1900 --input raw -o text -W 3
  # The tutorial's programs, from the other side: its chat sends to 9999, its server wants a name:
  netkitctl wire udp connect 192.168.1.70:7890 --bind 9999
  netkitctl wire tcp connect 192.168.1.70:7891 --send a.txt > a.txt
  netkitctl wire tcp listen 7891 --hang-up --reply 'a.txt => file:a.txt' --reply '. => no_file'
  # A record that Wireshark opens, and the same again, twice as fast:
  netkitctl wire tcp connect 10.0.0.50:4001 --record device.pcapng
  netkitctl wire replay device.pcapng tcp connect 10.0.0.51:4001 --speed 2

At a terminal lines that begin with / are commands; /help shows them. On a pipe stdout gets the
bytes that arrive and nothing else, unless -o or --json say otherwise, and each line of stdin is a
message. When stdin ends, a stream is half-closed and its end awaited; answers to datagrams, and to
a replay, are awaited for 1 s. A stream stays until one side ends it: -W does. With --json each
event is an object: at, kind (listening, opened, received, sent, closed, totals), family, number,
peer, local, bytes, hex, and text where the bytes are such.

Exit codes: 0 done; with --expect whenever it came, and 6 when it or what -C asks for did not. Else
1 if anything that was to be sent was not, such as a line that is no hex or a file that is too
large; 4 no such host, socket, file or directory, 5 refused, 8 a full disk while recording.";

const PATTERNS: &str = "\
A PATTERN is a regular expression in which ^ and $ match at lines, or hex:01 ?? FF, with ?? for any
byte. In a stream it is looked for in what has come since the last match or a pause of 1 s.
Escapes are \\n \\r \\t \\0 \\\\ \\e \\xNN \\u{N}.
`netkitctl wire --help` has examples.";

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Datagrams over IP; a multicast group is joined, broadcasts are sent with --broadcast
    #[command(after_help = PATTERNS)]
    Udp(Udp),
    /// A stream over IP
    #[command(after_help = PATTERNS)]
    Tcp(Tcp),
    /// A stream between programs of this box; @NAME is an abstract socket
    #[command(after_help = PATTERNS)]
    Unix(Stream),
    /// Datagrams between programs of this box; @NAME is an abstract socket
    #[command(after_help = PATTERNS)]
    UnixDgram(Local),
    /// Send again what a record has, paced as it was
    #[command(after_help = PATTERNS)]
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
pub(super) struct Udp {
    /// Which side this is
    pub(super) action: Action,
    /// To listen: [ADDRESS:]PORT, or GROUP:PORT of multicast; to connect: HOST:PORT
    pub(super) address: String,
    #[command(flatten)]
    pub(super) bind: Bind,
    #[command(flatten)]
    pub(super) inet: Inet,
    #[command(flatten)]
    pub(super) many: Many,
    #[command(flatten)]
    pub(super) send: Send,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Tcp {
    /// Which side this is
    pub(super) action: Action,
    /// To listen: [ADDRESS:]PORT; to connect: HOST:PORT
    pub(super) address: String,
    #[command(flatten)]
    pub(super) bind: Bind,
    #[command(flatten)]
    pub(super) inet: Inet,
    #[command(flatten)]
    pub(super) clients: Clients,
    #[command(flatten)]
    pub(super) send: Send,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Stream {
    /// Which side this is
    pub(super) action: Action,
    /// PATH of the socket, or @NAME
    pub(super) address: String,
    #[command(flatten)]
    pub(super) clients: Clients,
    #[command(flatten)]
    pub(super) send: Send,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Local {
    /// Which side this is
    pub(super) action: Action,
    /// PATH of the socket, or @NAME
    pub(super) address: String,
    #[command(flatten)]
    pub(super) bind: Bind,
    #[command(flatten)]
    pub(super) send: Send,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The record: pcapng, or JSON lines as --record and --json write them
    pub(super) file: PathBuf,
    /// Over what
    pub(super) family: Family,
    /// Which side this is
    pub(super) action: Action,
    /// As for that family
    pub(super) address: String,
    /// So many times as fast as it was; 0: without pauses
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = parse_speed)]
    pub(super) speed: f64,
    /// What is sent: what was sent, or what was received then
    #[arg(long, value_enum, default_value_t = Side::Sent)]
    pub(super) side: Side,
    /// Send what ADDRESS[:PORT] sent then; for what another program captured
    #[arg(long, value_name = "ADDRESS", value_parser = Pick::from, conflicts_with = "side")]
    pub(super) from: Option<Pick>,
    #[command(flatten)]
    pub(super) bind: Bind,
    #[command(flatten)]
    pub(super) inet: Inet,
    #[command(flatten)]
    pub(super) many: Many,
    #[command(flatten)]
    pub(super) clients: Clients,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Which side's messages of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Side {
    /// What was sent
    Sent,
    /// What was received
    Received,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Bind {
    /// Connect from this local address: [ADDRESS:]PORT, or the PATH of a Unix socket
    #[arg(long, value_name = "ADDRESS")]
    pub(super) bind: Option<String>,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Inet {
    /// How many routers a packet may pass [default: the system's; 1 for multicast]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) ttl: Option<u8>,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Many {
    /// Through which interface multicast goes and comes [default: the route's]
    #[arg(long, value_name = "NAME")]
    pub(super) interface: Option<String>,
    /// ADDRESS is a broadcast address: send there, and take answers from everybody
    #[arg(long)]
    pub(super) broadcast: bool,
    /// Don't let programs of this box hear the multicast
    #[arg(long)]
    pub(super) no_loop: bool,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Clients {
    /// Listen for one client, and end when it has left
    #[arg(long)]
    pub(super) once: bool,
    /// Close each connection once it was answered by a rule
    #[arg(long, requires = "reply")]
    pub(super) hang_up: bool,
}

#[derive(Debug, Default, clap::Args)]
#[command(group = ArgGroup::new("payload").args(["send", "hex", "file"]))]
pub(super) struct Send {
    /// Send this text, with escapes such as \r\n and \xff; then stdin is not read unless --input is given
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) send: Option<String>,
    /// Send these bytes: "01 02 FF"
    #[arg(short = 'x', long, value_name = "HEX")]
    pub(super) hex: Option<String>,
    /// Send what is in this file
    #[arg(short, long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,
    /// Send it again and again, so far apart
    #[arg(long, value_name = "SECS", value_parser = parse_duration, requires = "payload")]
    pub(super) interval: Option<Duration>,
    /// So many times [default with --interval: until it is ended]
    #[arg(long, value_name = "N", requires = "interval", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// How what arrives is printed [default: text; raw on a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub(super) output: Option<Format>,
    /// What text is read and written in
    #[arg(short, long, value_enum, default_value_t = Encoding::Utf8)]
    pub(super) encoding: Encoding,
    /// Print what is sent, too
    #[arg(long)]
    pub(super) sent: bool,
    /// Tell nothing but failures on stderr
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// How stdin is read
    #[arg(short, long, value_enum, value_name = "KIND")]
    pub(super) input: Option<Kind>,
    /// Take lines of stdin that begin with / as commands, as at a terminal (/help)
    #[arg(long)]
    pub(super) commands: bool,
    /// Whom what is sent is for: last (heard, or come), all, or a peer's number
    #[arg(long, value_name = "PEER", default_value = "last")]
    pub(super) to: Target,
    /// What to put behind all that is sent but files and raw input; again for more, in their order
    #[arg(short, long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub(super) append: Vec<Append>,
    /// A rule 'PATTERN => ANSWER', for each message that matches; again for more, the first that matches counts.
    /// An ANSWER is text with escapes and $1 for groups, hex:01 02, or file:PATH
    #[arg(short, long, value_name = "RULE")]
    pub(super) reply: Vec<String>,
    /// End with 0 when this arrives; with 6 if it does not
    #[arg(short = 'E', long, value_name = "PATTERN")]
    pub(super) expect: Option<String>,
    /// At most so long: with --expect or -C exit with 6 then, else with 0
    #[arg(short = 'W', long, value_name = "SECS", value_parser = parse_duration)]
    pub(super) within: Option<Duration>,
    /// End after so many messages (of a stream: reads) have arrived
    #[arg(short = 'C', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) stop_after: Option<u64>,
    /// Record to a new file: JSON lines if its name ends so (.json .jsonl .ndjson), else pcapng for Wireshark
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Record no more than this [default: 1 GiB]
    #[arg(long, value_name = "SIZE", requires = "record")]
    pub(super) record_limit: Option<ByteSize>,
    /// Replace the record's file if it is there
    #[arg(long, requires = "record")]
    pub(super) force: bool,
}

/// A speed that time can be divided by.
fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: Option<f64> = text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed >= 0.0);
    speed.ok_or_else(|| format!("{text:?} is no factor such as 2, 0.5, 0"))
}
