//! `downloads.*`: what is asked for is checked here, and where it may go; the queue itself is the hub's.

use super::{Handle, Progress, Session};
use crate::config::Downloads;
use crate::files::Target;
use crate::hub::handle::{Change, Command, DownloadRequest};
use netkit_proto::files::source::{Source, Wanted};
use netkit_proto::name::is_unsafe;
use netkit_proto::path::{SafePath, is_part};
use netkit_proto::rpc::call::{
    Download, DownloadAdded, DownloadList, DownloadsAdd, DownloadsCancel, DownloadsLimit, DownloadsList,
    DownloadsMove, DownloadsPause, DownloadsRemove, DownloadsResume, DownloadsRetry, DownloadsShow, Empty,
};
use netkit_proto::rpc::code::{Error, Kind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

impl Handle for DownloadsAdd {
    async fn start(self, session: &mut Session) -> Result<Progress<DownloadAdded>, Error> {
        let source: Source = self.source.parse().map_err(|e| Error::new(Kind::InvalidParams, e))?;
        match &source {
            Source::Http(url) => check_url(url)?,
            Source::Peer { wanted: Wanted::Tree | Wanted::Matching(_), .. } if self.checksum.is_some() => {
                return Err(Error::new(Kind::InvalidParams, "a checksum is of one file, not of a directory")
                    .hint("what comes from a peer is compared with what it says it has, file by file"));
            }
            Source::Plain { .. } | Source::Peer { .. } => {}
        }
        check_limit(self.limit)?;
        let downloads = session.context.config.borrow().downloads.clone();
        let (target, named) = place(&downloads, &source, self.output.as_deref())?;
        let request = DownloadRequest {
            uid: session.caller.uid,
            source: self.source,
            peer: None, // the hub knows whom the name means
            target,
            named,
            force: self.force,
            checksum: self.checksum,
            limit: self.limit,
            key: self.key,
        };
        let add = |reply| Command::DownloadAdd(Box::new(request), source.peer(), reply);
        let answer = session.context.hub.ask(add).await?;
        Ok(Progress::later(answer.wait()))
    }
}

fn check_url(url: &str) -> Result<(), Error> {
    let parsed: Result<reqwest::Url, _> = url.parse();
    match parsed {
        Ok(parsed) if parsed.port() == Some(0) => {
            Err(Error::new(Kind::InvalidParams, format_args!("{url}: there is no port 0")))
        }
        // A slash too many hides it from whoever looks between the first two and the next.
        Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            let why = "a user or a password in a URL would be shown to all who may see the queue";
            Err(Error::new(Kind::InvalidParams, why))
        }
        Ok(parsed) if parsed.host_str().is_some_and(|host| !host.is_empty()) => Ok(()),
        Ok(_) => Err(Error::new(Kind::InvalidParams, format_args!("{url} names no host"))),
        Err(error) => Err(Error::new(Kind::InvalidParams, format_args!("{url} is no URL: {error}"))),
    }
}

/// As many bytes a second as the database can note.
fn check_limit(limit: u64) -> Result<(), Error> {
    i64::try_from(limit).map(|_| ()).map_err(|_| {
        Error::new(Kind::InvalidParams, format_args!("a limit of {limit} bytes a second is too high"))
            .hint("0 is no limit")
    })
}

/// Where a download goes, and whether its name was asked for: beneath the downloads' directory, or beneath one of those
/// that the configuration allows.
fn place(downloads: &Downloads, source: &Source, output: Option<&str>) -> Result<(Target, bool), Error> {
    let by_source = || {
        source.file_name().map_err(|why| {
            Error::new(
                Kind::InvalidParams,
                format_args!("the source gives the file no name that it can have here: {why}"),
            )
            .hint("name it: -o NAME")
        })
    };
    let Some(output) = output else {
        return Ok((Target { root: downloads.dir.clone(), path: by_source()? }, false));
    };
    let refused = |why: &str, hint: &str| {
        Err(Error::new(Kind::InvalidParams, format_args!("a download can't go to {output:?}: {why}"))
            .hint(hint))
    };
    if output.is_empty() {
        return refused("that is no path", "leave it out, or name a path");
    }
    if let Some(c) = output.chars().find(|&c| is_unsafe(c)) {
        return refused(&format!("{c:?} in it acts on terminals, or can't be seen"), "take another name");
    }
    let (root, rest) = if output.starts_with('/') {
        let roots =
            downloads.allow.iter().map(|allowed| allowed.0.as_path()).chain([downloads.dir.as_path()]);
        let within = roots.filter_map(|root| Some((root, Path::new(output).strip_prefix(root).ok()?)));
        // Of directories within each other the innermost.
        match within.max_by_key(|(root, _)| root.as_os_str().len()) {
            Some((root, rest)) => (root.to_owned(), rest.as_os_str().as_bytes().to_owned()),
            None => {
                let why = format!(
                    "it is neither in {} nor in a directory of downloads.allow",
                    downloads.dir.display()
                );
                return Err(Error::new(
                    Kind::Refused,
                    format_args!("a download can't go to {output:?}: {why}"),
                )
                .hint("name a path beneath one of those, or add the directory to downloads.allow"));
            }
        }
    } else {
        (downloads.dir.clone(), output.trim_end_matches('/').as_bytes().to_owned())
    };
    let hint = "a path goes down from the directory, without . and ..";
    let path = if rest.is_empty() { Ok(SafePath::root()) } else { SafePath::parse(&rest) };
    let Ok(path) = path else { return refused("that is no path of a file", hint) };
    let is_directory = output.ends_with('/');
    let (path, named) = if is_directory || path.is_root() {
        let name = by_source()?;
        let path = path.join(name.as_bytes());
        let Ok(path) = path else { return refused("the path gets too long", "take a shorter one") };
        (path, false)
    } else {
        (path, true)
    };
    if path.components().any(is_part) {
        return refused("netkit calls files so that are not complete yet", "take another name");
    }
    Ok((Target { root, path }, named))
}

impl Handle for DownloadsList {
    async fn start(self, session: &mut Session) -> Result<Progress<DownloadList>, Error> {
        let list = |reply| Command::DownloadList(self.states, self.skip, reply);
        let answer = session.context.hub.ask(list).await?;
        Ok(Progress::large(answer.wait()))
    }
}

impl Handle for DownloadsShow {
    async fn start(self, session: &mut Session) -> Result<Progress<Download>, Error> {
        let answer = session.context.hub.ask(|reply| Command::DownloadShow(self.id, reply)).await?;
        Ok(Progress::later(answer.wait()))
    }
}

async fn change(session: &mut Session, id: u64, change: Change) -> Result<Progress<Download>, Error> {
    let answer = session.context.hub.ask(|reply| Command::DownloadChange(id, change, reply)).await?;
    Ok(Progress::later(answer.wait()))
}

impl Handle for DownloadsPause {
    async fn start(self, session: &mut Session) -> Result<Progress<Download>, Error> {
        change(session, self.id, Change::Pause).await
    }
}

impl Handle for DownloadsResume {
    async fn start(self, session: &mut Session) -> Result<Progress<Download>, Error> {
        change(session, self.id, Change::Resume).await
    }
}

impl Handle for DownloadsRetry {
    async fn start(self, session: &mut Session) -> Result<Progress<Download>, Error> {
        change(session, self.id, Change::Retry).await
    }
}

impl Handle for DownloadsCancel {
    async fn start(self, session: &mut Session) -> Result<Progress<Download>, Error> {
        change(session, self.id, Change::Cancel).await
    }
}

impl Handle for DownloadsRemove {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let remove = |reply| Command::DownloadChange(self.id, Change::Remove, reply);
        let answer = session.context.hub.ask(remove).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|_| Empty {}) }))
    }
}

impl Handle for DownloadsMove {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let answer = session.context.hub.ask(|reply| Command::DownloadMove(self.id, self.to, reply)).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
    }
}

impl Handle for DownloadsLimit {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        check_limit(self.limit.unwrap_or_default())?;
        let hub = &session.context.hub;
        match (self.id, self.limit) {
            (Some(id), limit) => {
                let limit = Change::Limit(limit.unwrap_or(0));
                let answer = hub.ask(|reply| Command::DownloadChange(id, limit, reply)).await?;
                Ok(Progress::later(async move { answer.wait().await.map(|_| Empty {}) }))
            }
            (None, limit) => {
                let answer = hub.ask(|reply| Command::DownloadLimit(limit, reply)).await?;
                Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AbsolutePath;

    #[test]
    fn a_download_goes_beneath_the_directories_that_are_allowed() {
        let allow = |path: &str| AbsolutePath(path.into());
        let downloads = Downloads {
            dir: "/var/d".into(),
            allow: vec![allow("/srv"), allow("/srv/deep")],
            active: 1,
            limit: 0,
            connections: 1,
            keep_free: 0,
        };
        let source: Source = "http://a/f.iso".parse().unwrap();
        let placed = |output: Option<&str>| {
            let (target, named) = place(&downloads, &source, output).map_err(|error| error.kind())?;
            let path = String::from_utf8(target.path.as_bytes().to_vec()).unwrap();
            Ok::<_, Kind>((target.root.display().to_string(), path, named))
        };
        let at = |root: &str, path: &str, named| Ok((root.to_owned(), path.to_owned(), named));
        assert_eq!(placed(None), at("/var/d", "f.iso", false));
        assert_eq!(placed(Some("x")), at("/var/d", "x", true));
        assert_eq!(placed(Some("a/b/")), at("/var/d", "a/b/f.iso", false));
        assert_eq!(placed(Some("/srv/x")), at("/srv", "x", true));
        assert_eq!(placed(Some("/srv/deep/x")), at("/srv/deep", "x", true));
        assert_eq!(placed(Some("/srv")), at("/srv", "f.iso", false));
        assert_eq!(placed(Some("/srv/")), at("/srv", "f.iso", false));
        assert_eq!(placed(Some("/var/d/x")), at("/var/d", "x", true));
        for output in
            ["../x", "a/../x", "a//b", "./x", "/srv/../etc/x", "", "a/.netkit-1.part", "/srv/./../x"]
        {
            let error = placed(Some(output)).unwrap_err();
            assert!([Kind::InvalidParams, Kind::Refused].contains(&error), "{output}: {error:?}");
        }
        for output in ["/etc/passwd", "/srvx/y", "/", "/var/x"] {
            assert_eq!(placed(Some(output)), Err(Kind::Refused), "{output}");
        }
    }

    #[test]
    fn a_url_names_a_host() {
        assert!(check_url("http://a/b").is_ok() && check_url("https://[::1]:8/").is_ok());
        for url in ["http://", "http://[::1/", "http://a:99999/", "http:///me:secret@a/b", "http:///me@a/b"] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
