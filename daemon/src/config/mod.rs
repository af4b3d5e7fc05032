//! The configuration: every key of `netkitd.toml`, typed and checked. Rooms are handed values, never the file.

mod diff;
mod source;
mod values;
mod written;

pub use diff::Changes;
pub use source::{ConfigError, Source};
pub use values::{AbsolutePath, Age, HostName, HostPort, Nets, Pattern, Principal, Size};

use netkit_proto::chat::plain::PlainEncoding;
use netkit_proto::name::{PeerName, ShareName};
use serde::Deserialize;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub node: Node,
    pub control: Control,
    pub chat: Chat,
    pub files: Files,
    pub shares: Vec<Share>,
    pub downloads: Downloads,
    pub discovery: Discovery,
    pub retention: Retention,
}

#[cfg(test)]
impl Config {
    /// What a file with this text says.
    pub(crate) fn from_text(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        Source::new(Some(path), crate::paths::Paths::from_env(|_| None, true).unwrap()).load().unwrap()
    }
}

/// `[node]`
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Shown to peers.
    pub name: PeerName,
    /// Holds the database, locked.
    pub state_dir: PathBuf,
    pub log_level: LogLevel,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The group whose members are operators where no other is named.
pub const DEFAULT_GROUP: &str = "netkit";

/// `[control]`
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    pub socket: PathBuf,
    /// The group whose members are operators; `None`: the default, `netkit`, where that exists.
    pub group: Option<String>,
    /// Who else may read.
    pub readers: Vec<Principal>,
}

impl Control {
    /// The group to look up.
    #[must_use]
    pub fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or(DEFAULT_GROUP)
    }
}

/// `[chat]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    pub listen: SocketAddr,
    /// Whether plain lines are taken and sent.
    pub plain: bool,
    pub plain_encoding: PlainEncoding,
    pub accept: Accept,
    pub allow: Nets,
}

/// Whose messages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    Anyone,
    Known,
    Trusted,
}

/// `[files]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    pub listen: SocketAddr,
    pub http: bool,
    /// Whether bare file names are answered.
    pub plain: bool,
    pub allow: Nets,
    /// Further `Host` names accepted.
    pub hosts: Vec<HostName>,
    /// Directories beneath which shares can be added live when confined.
    pub share_roots: Vec<AbsolutePath>,
}

/// `[[share]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    pub name: ShareName,
    pub path: AbsolutePath,
    pub access: ShareAccess,
    pub dot_files: bool,
}

/// Who may see a share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "access is \"public\", \"trusted\" or a list of peers")]
pub enum ShareAccess {
    Everybody(Everybody),
    /// Local names or ids of trusted peers.
    Peers(Vec<String>),
}

/// The words for [`ShareAccess`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Everybody {
    Public,
    Trusted,
}

/// `[downloads]`
#[derive(Clone, Debug, PartialEq)]
pub struct Downloads {
    pub dir: PathBuf,
    /// Further directories that downloads may go to.
    pub allow: Vec<AbsolutePath>,
    /// How many at a time.
    pub active: u8,
    /// Bytes a second in all; 0 = as fast as it goes.
    pub limit: u64,
    /// Connections per source.
    pub connections: u8,
    /// Bytes that stay free on the disk.
    pub keep_free: u64,
}

/// `[discovery]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    pub mdns: bool,
    pub interfaces: Vec<Pattern>,
    pub peers: Vec<HostPort>,
}

/// `[retention]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub age: Duration,
    /// Events kept at most.
    pub messages: u64,
    /// Bytes of them at most.
    pub size: u64,
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
}

impl Default for Chat {
    fn default() -> Chat {
        Chat {
            listen: any(7890),
            plain: true,
            plain_encoding: PlainEncoding::Auto,
            accept: Accept::Anyone,
            allow: Nets::private(),
        }
    }
}

impl Default for Files {
    fn default() -> Files {
        Files {
            listen: any(7891),
            http: true,
            plain: true,
            allow: Nets::private(),
            hosts: Vec::new(),
            share_roots: Vec::new(),
        }
    }
}

impl Default for Discovery {
    fn default() -> Discovery {
        let pattern = |exclude, glob: &str| Pattern { exclude, glob: glob.to_owned() };
        Discovery {
            mdns: true,
            interfaces: vec![pattern(false, "*"), pattern(true, "docker*")],
            peers: Vec::new(),
        }
    }
}
