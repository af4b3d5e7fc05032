//! What a peer shares, as it says: one question and its answer, for somebody at the control socket. The answer is a
//! stranger's: bounded, and made of names that can be names.

use super::Engine;
use super::channel::{self, Channel};
use crate::hub::orders::{Failed, ListPeer, Way};
use crate::limits;
use hyper::header::{ACCEPT, LAST_MODIFIED};
use hyper::{Method, Request, StatusCode};
use netkit_proto::files::listing::{EntryKind, ListEntry, Listing, percent_encoded};
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use netkit_proto::time::Timestamp;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::timeout;

/// Asks, and answers whoever waits.
pub(super) async fn answer(engine: Arc<Engine>, list: ListPeer) {
    let ListPeer { way, path, is_linked, mut reply } = list;
    let listed = async {
        let _turn = engine.listings.acquire().await;
        timeout(limits::LIST_PEER, ask(&engine, &way, &path, is_linked)).await.unwrap_or_else(|_| {
            let (whom, seconds) = (&way.label, limits::LIST_PEER.as_secs());
            Err(Failed::new(Kind::Timeout, format_args!("{whom} did not list it within {seconds} s")))
        })
    };
    tokio::select! {
        listed = listed => {
            let _ = reply.send(listed.map_err(|failed| failed.into_error())); // the asker may have left
        }
        () = reply.closed() => {}
        () = engine.stop.cancelled() => {}
    }
}

async fn ask(engine: &Engine, way: &Way, path: &SafePath, is_linked: bool) -> Result<Listing, Failed> {
    let channel = engine.peers.connect(way).await;
    let mut channel = channel.map_err(|failed| match failed.failure.kind {
        Kind::Network | Kind::Timeout if !is_linked => away(way, &failed),
        Kind::Timeout => silent(way, &failed),
        _ => failed, // another box, for one, is no absence
    })?;
    let components: Vec<String> = path.components().map(percent_encoded).collect();
    let target = format!("/{}", components.join("/"));
    let directory = if path.is_root() { target.clone() } else { format!("{target}/") };
    let head = begin(&mut channel, way, Method::GET, &directory).await?;
    match head.status {
        StatusCode::OK => read(&mut channel, way).await,
        // A file has no slash behind it, and a share is none. The directory that it is in says the most of it.
        StatusCode::NOT_FOUND if components.len() > 1 => {
            skip(&mut channel, way).await?;
            if let Some(entry) = listed(&mut channel, way, &components).await? {
                return Ok(Listing { entries: vec![entry], truncated: false });
            }
            let head = begin(&mut channel, way, Method::HEAD, &target).await?;
            let name = path.file_name().unwrap_or_default();
            let date = head.headers.get(LAST_MODIFIED).and_then(|date| date.to_str().ok());
            let modified = date.and_then(|date| httpdate::parse_http_date(date).ok());
            match (head.status, head.size) {
                (StatusCode::OK, Some(size)) => Ok(Listing {
                    entries: vec![ListEntry::new(name, EntryKind::File, Some(size), modified.map(timestamp))],
                    truncated: false,
                }),
                (status, _) => Err(refused(way, status)),
            }
        }
        status => Err(refused(way, status)),
    }
}

/// A file as the directory that it is in lists it; `None` where it is not in the listing, which holds so many at most.
async fn listed(
    channel: &mut Channel,
    way: &Way,
    components: &[String],
) -> Result<Option<ListEntry>, Failed> {
    let Some((name, above)) = components.split_last() else { return Ok(None) };
    let head = begin(channel, way, Method::GET, &format!("/{}/", above.join("/"))).await?;
    if head.status != StatusCode::OK {
        skip(channel, way).await?;
        return Ok(None);
    }
    let entries = read(channel, way).await?.entries;
    Ok(entries.into_iter().find(|entry| entry.kind == EntryKind::File && entry.href == *name))
}

/// It is not linked, and not where it was last either.
fn away(way: &Way, failed: &Failed) -> Failed {
    let (whom, why) = (&way.label, &failed.failure.message);
    let failed = Failed::new(Kind::Away, format_args!("{whom} is not there at present: {why}"));
    failed.hint(format_args!("netkitctl peers wait {whom} waits until it is linked"))
}

/// It is linked, and its file port does not answer.
fn silent(way: &Way, failed: &Failed) -> Failed {
    let whom = &way.label;
    Failed::new(Kind::Away, failed.failure.message.clone()).hint(format_args!(
        "netkitctl peers show {whom} tells whether it answers at all; else a firewall may be in the way of its file port"
    ))
}

fn timestamp(time: SystemTime) -> Timestamp {
    time.into()
}

async fn begin(
    channel: &mut Channel,
    way: &Way,
    method: Method,
    target: &str,
) -> Result<channel::Head, Failed> {
    let request = Request::builder().method(method).uri(target).header("host", channel.host());
    let request = request.header(ACCEPT, "application/json").body(String::new());
    let request = request.map_err(|why| Failed::new(Kind::InvalidParams, why))?;
    channel.ask(request).await.map_err(|error| channel::broken(&error, &way.label))
}

async fn next(channel: &mut Channel, way: &Way) -> Result<Option<bytes::Bytes>, Failed> {
    channel.next().await.map_err(|error| channel::broken(&error, &way.label))
}

/// Passes over what is behind a refusal: a few words.
async fn skip(channel: &mut Channel, way: &Way) -> Result<(), Failed> {
    let mut left = limits::LIST_BYTES;
    while let Some(piece) = next(channel, way).await? {
        left = left.checked_sub(piece.len()).ok_or_else(|| {
            Failed::new(Kind::Network, format_args!("{} refuses it with more words than any", way.label))
        })?;
    }
    Ok(())
}

async fn read(channel: &mut Channel, way: &Way) -> Result<Listing, Failed> {
    let not_one = |why: &str| {
        Failed::new(Kind::Network, format_args!("{} gave no listing: {why}", way.label))
            .hint("is its netkitd an older one?")
    };
    let mut json = Vec::new();
    while let Some(piece) = next(channel, way).await? {
        if json.len() + piece.len() > limits::LIST_BYTES {
            return Err(not_one("it is longer than any"));
        }
        json.extend_from_slice(&piece);
    }
    Listing::parse(&json).map_err(|why| not_one(&why))
}

fn refused(way: &Way, status: StatusCode) -> Failed {
    let whom = &way.label;
    match status {
        StatusCode::NOT_FOUND => Failed::new(
            Kind::NotFound,
            format_args!("{whom} has nothing there, or does not show it to this box"),
        )
        .hint(format_args!("some shares are for peers that {whom} trusts: netkitctl peers trust, there")),
        StatusCode::FORBIDDEN => Failed::new(Kind::Refused, format_args!("{whom} has blocked this box")),
        StatusCode::SERVICE_UNAVAILABLE => {
            Failed::new(Kind::Busy, format_args!("{whom} has too much to do")).hint("try again in a moment")
        }
        status => Failed::new(Kind::Network, format_args!("{whom} answers {status}")),
    }
}
