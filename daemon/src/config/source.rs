//! Where the configuration comes from: a file, or none. Errors name file, line and column.

use super::Config;
use super::written::{Impossible, Written};
use crate::paths::Paths;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest configuration, in bytes; what is longer is no configuration.
const LONGEST: u64 = 1 << 20;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is too long.
    #[error("{0} is longer than 1 MiB: that is no configuration of netkitd")]
    TooLong(PathBuf),
    /// What stands in it is wrong.
    #[error("{path}:{line}:{column}: {message}")]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Which character of it, from 1.
        column: usize,
        /// What is wrong, with the place shown.
        message: String,
    },
}

/// A configuration file that may be read again.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    /// The file was named, so it must exist.
    named: bool,
    paths: Paths,
}

impl Source {
    /// The file that was named, else the default one, which may be missing: that means the defaults.
    #[must_use]
    pub fn new(named: Option<PathBuf>, paths: Paths) -> Source {
        let path = named.clone().unwrap_or_else(|| paths.config.clone());
        Source { path, named: named.is_some(), paths }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(&self.path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = match read() {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.named => Vec::new(),
            result => result.map_err(|source| ConfigError::Read { path: self.path.clone(), source })?,
        };
        if bytes.len() as u64 > LONGEST {
            return Err(ConfigError::TooLong(self.path.clone()));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            let valid = String::from_utf8_lossy(e.as_bytes().get(..at).unwrap_or_default()).into_owned();
            self.wrong(&valid, at..at, "the file is not UTF-8 here".to_owned())
        })?;
        self.parse(&text)
    }

    /// Checks a text as if it were the file's.
    fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        let written: Written = toml::from_str(text).map_err(|e| {
            self.wrong(text, e.span().unwrap_or(0..0), with_place(text, e.span(), e.message()))
        })?;
        written.resolve(&self.paths).map_err(|Impossible { span, message }| {
            self.wrong(text, span.clone(), with_place(text, Some(span), &message))
        })
    }

    fn wrong(&self, text: &str, span: Range<usize>, message: String) -> ConfigError {
        let (line, column) = place(text, span.start);
        ConfigError::Wrong { path: self.path.clone(), line, column, message }
    }
}

/// Line and column, from 1, of a byte of the text.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The message, and below it the line with the place marked.
fn with_place(text: &str, span: Option<Range<usize>>, message: &str) -> String {
    let Some(span) = span else { return message.to_owned() };
    let (line, column) = place(text, span.start);
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let marked = text.get(span).map_or(1, |s| s.lines().next().unwrap_or_default().chars().count().max(1));
    format!("{message}\n  | {shown}\n  | {}{}", " ".repeat(column - 1), "^".repeat(marked))
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn paths() -> Paths {
        Paths::from_env(|_| None, true).unwrap()
    }

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Source::new(Some("x.toml".into()), paths()).parse(text)
    }

    const SAMPLE: &str = r#"
[node]
name = "box1"
state_dir = "/var/lib/netkit"
log_level = "info"
[control]
socket = "/run/netkit/netkitd.sock"
group = "netkit"
readers = []
[chat]
listen = "[::]:7890"
plain = true
plain_encoding = "auto"
accept = "anyone"
allow = ["private"]
[files]
listen = "[::]:7891"
http = true
plain = true
allow = ["private"]
hosts = []
share_roots = []
[[share]]
name = "public"
path = "/srv/netkit"
access = "public"
dot_files = false
[downloads]
dir = "/var/lib/netkit/downloads"
allow = []
active = 4
limit = "0"
connections = 1
keep_free = "1 GiB"
[discovery]
mdns = true
interfaces = ["*", "!docker*"]
peers = ["10.0.0.9", "10.0.0.10:7890"]
[retention]
age = "90d"
messages = 1000000
size = "2 GiB"
"#;

    #[test]
    fn the_sample_says_what_is_the_default() {
        let sample = parse(SAMPLE).unwrap();
        let mut default = parse("").unwrap();
        assert_eq!((sample.shares.len(), sample.discovery.peers.len()), (1, 2));
        default.node.name = sample.node.name.clone();
        default.control.group = sample.control.group.clone();
        default.shares = sample.shares.clone();
        default.discovery.peers = sample.discovery.peers.clone();
        assert_eq!(sample, default);
    }

    #[test]
    fn what_is_wrong_is_shown_in_its_place() {
        #[rustfmt::skip]
        let table = [
            ("[chat]\nlisten = \"[::]:7890\"\nplane = true\n", "x.toml:3:1: unknown field `plane`, expected one of `listen`, `plain`, `plain_encoding`, `accept`, `allow`"),
            ("[chatt]\n", "x.toml:1:2: unknown field `chatt`, expected one of `node`, `control`, `chat`"),
            ("[node]\nname = 7\n", "x.toml:2:8: invalid type: integer `7`"),
            ("[node]\nname = \"a b\"\n", "x.toml:2:8: a name can't contain ' '"),
            ("[node]\nlog_level = \"loud\"\n", "x.toml:2:13: unknown variant `loud`, expected one of `error`, `warn`, `info`"),
            ("[node]\nstate_dir = \"state\"\n", "x.toml:2:13: \"state\" is no absolute path"),
            ("[chat]\nlisten = \"7890\"\n", "x.toml:2:10: invalid socket address syntax"),
            ("[chat]\nallow = [\"private\", \"10.0.0.0/40\"]\n", "x.toml:2:9: \"10.0.0.0/40\" is no net"),
            ("[chat]\naccept = \"nobody\"\n", "x.toml:2:10: unknown variant `nobody`, expected one of `anyone`, `known`, `trusted`"),
            ("[chat\n", "x.toml:1:6: "),
            ("[control]\ngroup = \"@ops\"\n", "x.toml:2:9: a group's name stands without @ here"),
            ("[control]\nreaders = [\"a\", \"b c\"]\n", "x.toml:2:11: \"b c\" is no user's name"),
            ("[files]\nhosts = [\"a_b!\"]\n", "x.toml:2:9: \"a_b!\" is no host name"),
            ("[[share]]\nname = \".x\"\npath = \"/srv\"\n", "x.toml:2:8: a share's name can't start with a dot"),
            ("[[share]]\nname = \"x\"\n", "x.toml:1:1: missing field `path`"),
            ("[[share]]\nname = \"x\"\npath = \"/srv\"\naccess = \"all\"\n", "x.toml:4:10: access is \"public\", \"trusted\" or a list of peers"),
            ("[[share]]\nname = \"x\"\npath = \"/a\"\n[[share]]\nname = \"x\"\npath = \"/b\"\n", "x.toml:5:8: there is a share called \"x\" already"),
            ("[downloads]\nactive = 0\n", "x.toml:2:10: 0 is not from 1 to 64"),
            ("[downloads]\nactive = 256\n", "x.toml:2:10: invalid value: integer `256`"),
            ("[downloads]\nlimit = \"fast\"\n", "x.toml:2:9: invalid value: string \"fast\", expected a size such as"),
            ("[downloads]\nlimit = -1\n", "x.toml:2:9: invalid value: integer `-1`, expected a size such as"),
            ("[discovery]\npeers = [\"a:0\"]\n", "x.toml:2:9: \"a:0\" is neither HOST nor HOST:PORT"),
            ("[retention]\nage = \"90\"\n", "x.toml:2:7: \"90\" is no length of time"),
            ("[retention]\nsize = \"1 KiB\"\n", "x.toml:2:8: the log needs 1 MiB at least"),
            ("[retention]\nmessages = 3\n", "x.toml:2:12: fewer than 100 messages"),
        ];
        for (text, expected) in table {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}\n{error}\nshould start with\n{expected}");
            assert!(error.lines().count() == 3 && error.ends_with('^'), "{error}");
        }
    }

    #[test]
    fn a_missing_file_means_the_defaults_unless_it_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.toml");
        assert!(matches!(Source::new(Some(missing.clone()), paths()).load(), Err(ConfigError::Read { .. })));
        let default = Source::new(None, Paths { config: missing, ..paths() }).load().unwrap();
        assert_eq!(default.chat, Chat::default());
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        let load = || Source::new(Some(path.clone()), paths()).load().unwrap_err().to_string();
        std::fs::write(&path, b"[node]\n\xff").unwrap();
        assert!(load().contains("x.toml:2:1: the file is not UTF-8 here"));
        std::fs::write(&path, "#".repeat(2 << 20)).unwrap();
        assert!(load().contains("longer than 1 MiB"));
    }
}
