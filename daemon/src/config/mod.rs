//! The configuration: every key of `netkitd.toml`, typed and checked. Rooms are handed values, never the file.

mod diff;
mod source;
mod values;

pub use diff::Changes;
pub use source::{ConfigError, Source};
pub use values::{AbsolutePath, Age, HostName, HostPort, Nets, Pattern, Principal, ShareName, Size};

use crate::paths::Paths;
use netkit_proto::chat::plain::PlainEncoding;
use netkit_proto::name::PeerName;
use serde::Deserialize;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

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
        self.group.as_deref().unwrap_or("netkit")
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

/// The file as it is written; what depends on the machine may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    node: WrittenNode,
    control: WrittenControl,
    chat: Chat,
    files: Files,
    share: Vec<WrittenShare>,
    downloads: WrittenDownloads,
    discovery: Discovery,
    retention: WrittenRetention,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenNode {
    name: Option<PeerName>,
    state_dir: Option<AbsolutePath>,
    log_level: Option<LogLevel>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenControl {
    socket: Option<Spanned<AbsolutePath>>,
    group: Option<Spanned<Principal>>,
    readers: Vec<Principal>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenShare {
    name: Spanned<ShareName>,
    path: AbsolutePath,
    access: Option<ShareAccess>,
    #[serde(default)]
    dot_files: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenDownloads {
    dir: Option<AbsolutePath>,
    allow: Vec<AbsolutePath>,
    active: Option<Spanned<u8>>,
    limit: Option<Size>,
    connections: Option<Spanned<u8>>,
    keep_free: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenRetention {
    age: Option<Age>,
    messages: Option<Spanned<u64>>,
    size: Option<Spanned<Size>>,
}

/// A value that can't be, and where it stands in the file.
struct Impossible {
    span: std::ops::Range<usize>,
    message: String,
}

fn impossible<T>(span: std::ops::Range<usize>, message: impl Into<String>) -> Result<T, Impossible> {
    Err(Impossible { span, message: message.into() })
}

fn number(value: Option<Spanned<u8>>, default: u8, most: u8) -> Result<u8, Impossible> {
    match value {
        None => Ok(default),
        Some(n) if (1..=most).contains(n.get_ref()) => Ok(n.into_inner()),
        Some(n) => impossible(n.span(), format!("{} is not from 1 to {most}", n.get_ref())),
    }
}

impl Written {
    /// Fills in what depends on the machine, and checks what one value can't know of another.
    fn resolve(self, paths: &Paths) -> Result<Config, Impossible> {
        let control = Control {
            socket: match self.control.socket {
                // sun_path of unix(7), with its final zero.
                Some(path) if path.get_ref().0.as_os_str().len() > 107 => {
                    return impossible(path.span(), "a socket's path has at most 107 bytes");
                }
                Some(path) => path.into_inner().0,
                None => paths.socket.clone(),
            },
            group: match self.control.group.map(|group| (group.span(), group.into_inner())) {
                Some((_, Principal::User(name))) => Some(name),
                Some((span, Principal::Group(_))) => {
                    return impossible(span, "a group's name stands without @ here");
                }
                None => None,
            },
            readers: self.control.readers,
        };
        let mut shares: Vec<Share> = Vec::new();
        for share in self.share {
            let span = share.name.span();
            let name = share.name.into_inner();
            if shares.iter().any(|other| other.name == name) {
                return impossible(span, format!("there is a share called {:?} already", name.0));
            }
            let access = share.access.unwrap_or(ShareAccess::Everybody(Everybody::Trusted));
            shares.push(Share { name, path: share.path, access, dot_files: share.dot_files });
        }
        let messages = match self.retention.messages {
            Some(n) if *n.get_ref() < 100 => {
                return impossible(n.span(), "fewer than 100 messages is no log");
            }
            Some(n) => n.into_inner(),
            None => 1_000_000,
        };
        let size = match self.retention.size {
            Some(size) if size.get_ref().0 < 1 << 20 => {
                return impossible(size.span(), "the log needs 1 MiB at least");
            }
            Some(size) => size.into_inner().0,
            None => 2 << 30,
        };
        Ok(Config {
            node: Node {
                name: self.node.name.unwrap_or_else(default_name),
                state_dir: self.node.state_dir.map_or_else(|| paths.state_dir.clone(), |path| path.0),
                log_level: self.node.log_level.unwrap_or(LogLevel::Info),
            },
            control,
            chat: self.chat,
            files: self.files,
            shares,
            downloads: Downloads {
                dir: self.downloads.dir.map_or_else(|| paths.downloads.clone(), |path| path.0),
                allow: self.downloads.allow,
                active: number(self.downloads.active, 4, 64)?,
                limit: self.downloads.limit.map_or(0, |limit| limit.0),
                connections: number(self.downloads.connections, 1, 16)?,
                keep_free: self.downloads.keep_free.map_or(1 << 30, |size| size.0),
            },
            discovery: self.discovery,
            retention: Retention {
                age: self.retention.age.map_or(Duration::from_secs(90 * 86400), |age| age.0),
                messages,
                size,
            },
        })
    }
}

/// The host name's first label, as far as it makes a name.
fn default_name() -> PeerName {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let label = host.split('.').next().unwrap_or_default();
    let fits: String = label.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).take(15).collect();
    #[expect(clippy::expect_used, reason = "a constant that the tests parse")]
    fits.parse().unwrap_or_else(|_| "netkit".parse().expect("a valid name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_is_a_name() {
        assert!(!default_name().as_str().is_empty());
        assert!("netkit".parse::<PeerName>().is_ok());
    }
}
