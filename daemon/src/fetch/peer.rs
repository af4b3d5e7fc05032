//! `PEER:SHARE/path`: a file of another netkit box, over TLS with both sides' identities, in parts from any connection,
//! and with the manifest that its blocks are compared with. Only the box that is meant is asked. The connection itself
//! is `channel`'s.

use super::answer::{self, Answer};
use super::channel::{self, Channel, Client};
use super::source::{Ask, Body, Opened, Source};
use crate::hub::orders::{Failed, Retry, Way};
use crate::limits;
use bytes::Bytes;
use hyper::header::{ACCEPT_ENCODING, IF_RANGE, RANGE};
use hyper::{Request, StatusCode};
use netkit_proto::files::listing::percent_encoded;
use netkit_proto::files::manifest::{BlockHash, LARGEST};
use netkit_proto::ids::PeerId;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Debug)]
pub(super) struct Peer {
    client: Client,
    way: Way,
    /// Share and path, as they stand in a URL.
    path: String,
    /// Connections that wait for another request.
    spare: Arc<Spare>,
    /// It said that this is a directory.
    is_directory: AtomicBool,
}

#[derive(Debug, Default)]
struct Spare(Mutex<Vec<Channel>>);

impl Spare {
    fn take(&self) -> Option<Channel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, channel: Channel) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < limits::FETCH_SPARE {
            spare.push(channel);
        }
    }
}

impl Peer {
    /// A file at a peer: its share, and the path in that.
    pub(super) fn new(client: Client, way: Way, path: &SafePath) -> Peer {
        let components: Vec<String> = path.components().map(percent_encoded).collect();
        Peer::at(client, way, components.join("/"), Arc::default())
    }

    fn at(client: Client, way: Way, path: String, spare: Arc<Spare>) -> Peer {
        Peer { client, way, path, spare, is_directory: AtomicBool::new(false) }
    }

    /// Whether it turned out to be a directory, which was asked for as a file.
    pub(super) fn is_directory(&self) -> bool {
        self.is_directory.load(Ordering::Relaxed)
    }

    /// Asks for something; a connection that was kept may have ended meanwhile, and then a new one is asked.
    async fn ask(&self, path: &str, ask: &Ask) -> Result<(Answer, PeerBody), Failed> {
        let mut kept = self.spare.take();
        loop {
            let is_new = kept.is_none();
            let mut channel = match kept.take() {
                Some(channel) => channel,
                None => self.client.connect(&self.way).await?,
            };
            let request = request(path, ask, channel.host());
            let whom = &self.way.label;
            let asked = tokio::time::timeout(limits::FETCH_ANSWER, channel.ask(request)).await;
            match asked {
                Ok(Ok(head)) => {
                    let answer = answer::judge(ask, head.status, &head.headers, head.size, whom)
                        .map_err(|failed| self.judged(head.status, failed))?;
                    let body = PeerBody {
                        channel: Some(channel),
                        spare: Arc::clone(&self.spare),
                        whom: whom.clone(),
                    };
                    return Ok((answer, body));
                }
                Ok(Err(_)) if !is_new => {}
                Ok(Err(error)) => return Err(channel::broken(&error, whom)),
                Err(_) => {
                    let seconds = limits::FETCH_ANSWER.as_secs();
                    let why = format!("{whom} did not answer within {seconds} s");
                    return Err(Failed::passing(Kind::Timeout, why));
                }
            }
        }
    }

    /// Asks for something of a file: it has a size and a version.
    async fn ask_file(&self, path: &str, ask: &Ask) -> Result<Opened<PeerBody>, Failed> {
        let (Answer { about, is_part, end }, body) = self.ask(path, ask).await?;
        if about.size.is_none() || about.validator.is_none() {
            let whom = &self.way.label;
            let why = format!("{whom} gave no proper answer: it has no length, or no ETag");
            return Err(Failed::passing(Kind::Network, why));
        }
        if about.size > Some(LARGEST) {
            return Err(too_large(format_args!("the file at {}", self.way.label)));
        }
        Ok(Opened { about, is_part, end, body })
    }

    /// Asks for what is made of a directory.
    ///
    /// # Errors
    /// As for a file.
    pub(super) async fn ask_directory(&self, query: &str) -> Result<PeerBody, Failed> {
        let (_, body) = self.ask(&format!("/{}/?{query}", self.path), &Ask::Whole).await?;
        Ok(body)
    }

    /// A file of this directory, asked for over the same connections.
    pub(super) fn within(&self, path: &SafePath) -> Peer {
        let components: Vec<String> = path.components().map(percent_encoded).collect();
        let path = format!("{}/{}", self.path, components.join("/"));
        Peer::at(self.client.clone(), self.way.clone(), path, Arc::clone(&self.spare))
    }

    /// What a refusal means where a peer says it.
    fn judged(&self, status: StatusCode, failed: Failed) -> Failed {
        let whom = &self.way.label;
        match status {
            StatusCode::NOT_FOUND => {
                let why = format!("{whom} has no such file, or does not show it to this box");
                Failed::new(Kind::NotFound, why).hint(format_args!(
                    "check share and path; a share may be for peers that {whom} trusts: netkitctl peers trust, there"
                ))
            }
            StatusCode::FORBIDDEN => Failed::new(Kind::Refused, format_args!("{whom} has blocked this box"))
                .hint("there, netkitctl peers trust lets it in again; then netkitctl queue retry"),
            StatusCode::UNPROCESSABLE_ENTITY => too_large(format_args!("the file at {whom}")),
            status if status.is_redirection() => {
                self.is_directory.store(true, Ordering::Relaxed);
                Failed::new(Kind::Refused, format_args!("that is a directory at {whom}, and no file"))
                    .hint("a checksum is of one file; without it all that is in the directory comes")
            }
            StatusCode::SERVICE_UNAVAILABLE => match failed.retry {
                Retry::After(time) => {
                    let why = format!("{whom} has too much to do at present");
                    let busy = Failed { retry: Retry::Busy(time), ..Failed::new(Kind::Busy, why) };
                    busy.hint("it is asked again; nothing that came is lost")
                }
                _ => failed,
            },
            _ => failed,
        }
    }
}

/// More than a file of a peer may have; `what` is that file.
pub(super) fn too_large(what: impl fmt::Display) -> Failed {
    let tebibytes = LARGEST >> 40;
    let why = format!("{what} has more than {tebibytes} TiB, which boxes do not fetch from each other");
    Failed::new(Kind::TooLarge, why)
        .hint("get it by its http:// address, where the share is public; or split it there")
}

fn request(path: &str, ask: &Ask, host: &str) -> Request<String> {
    let mut request = Request::get(path).header("host", host).header(ACCEPT_ENCODING, "identity");
    if let Ask::Part { range, size, validator } = ask {
        request = request.header(RANGE, answer::range_of(range, *size));
        request = validator.iter().fold(request, |request, validator| request.header(IF_RANGE, validator));
    }
    // All of it is made of what may stand in a request: only a validator that is none is left out.
    request.body(String::new()).unwrap_or_default()
}

impl Source for Peer {
    type Body = PeerBody;

    fn peer(&self) -> Option<PeerId> {
        Some(self.way.id)
    }

    async fn open(&self, ask: Ask) -> Result<Opened<PeerBody>, Failed> {
        self.ask_file(&format!("/{}", self.path), &ask).await
    }

    fn helper(&self, way: Way, root: BlockHash) -> Option<Peer> {
        let path = format!(".netkit/v1/blob/{}", blake3::Hash::from_bytes(root));
        Some(Peer::at(self.client.clone(), way, path, Arc::default()))
    }

    fn is_checked(&self) -> bool {
        true
    }

    async fn manifest(&self) -> Result<Option<Opened<PeerBody>>, Failed> {
        self.ask_file(&format!("/.netkit/v1/manifest/{}", self.path), &Ask::Whole).await.map(Some)
    }
}

/// See [`Body`].
#[derive(Debug)]
pub(super) struct PeerBody {
    channel: Option<Channel>,
    spare: Arc<Spare>,
    whom: String,
}

impl Body for PeerBody {
    async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        let Some(channel) = &mut self.channel else { return Ok(None) };
        let piece = channel.next().await.map_err(|error| channel::broken(&error, &self.whom))?;
        if piece.is_none()
            && let Some(channel) = self.channel.take()
            && channel.is_reusable()
        {
            self.spare.put(channel);
        }
        Ok(piece)
    }
}
