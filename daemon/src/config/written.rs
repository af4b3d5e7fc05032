//! The configuration as it is written: what may be missing is filled in from the machine, and what one value can't
//! know of another is checked.

use super::{
    AbsolutePath, Age, Chat, Config, Control, Discovery, Downloads, Everybody, Files, LogLevel, Node,
    Principal, Retention, Share, ShareAccess, Size,
};
use crate::paths::Paths;
use netkit_proto::name::{PeerName, ShareName};
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

/// The file as it is written; what depends on the machine may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
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
    path: Spanned<AbsolutePath>,
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
pub(super) struct Impossible {
    pub span: std::ops::Range<usize>,
    pub message: String,
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
    pub(super) fn resolve(self, paths: &Paths) -> Result<Config, Impossible> {
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
        let state_dir = self.node.state_dir.map_or_else(|| paths.state_dir.clone(), |path| path.0);
        let downloads_dir = self.downloads.dir.map_or_else(|| paths.downloads.clone(), |path| path.0);
        let mut shares: Vec<Share> = Vec::new();
        for share in self.share {
            let path = &share.path.get_ref().0;
            let is_own = path.starts_with(&state_dir) && !path.starts_with(&downloads_dir);
            if is_own || state_dir.starts_with(path) {
                let why = format!("a share can't hold node.state_dir, {}, nor be in it", state_dir.display());
                return impossible(share.path.span(), why);
            }
            let span = share.name.span();
            let name = share.name.into_inner();
            if shares.iter().any(|other| other.name == name) {
                return impossible(span, format!("there is a share called {:?} already", name.as_str()));
            }
            let access = share.access.unwrap_or(ShareAccess::Everybody(Everybody::Trusted));
            shares.push(Share { name, path: share.path.into_inner(), access, dot_files: share.dot_files });
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
                state_dir,
                log_level: self.node.log_level.unwrap_or(LogLevel::Info),
            },
            control,
            chat: self.chat,
            files: self.files,
            shares,
            downloads: Downloads {
                dir: downloads_dir,
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
