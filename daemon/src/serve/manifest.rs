//! A file's manifest as an answer: each value is sent when it is known, so that nobody waits for a hash of the whole.

use super::body::Body;
use super::caller::Caller;
use super::conditions::{self, Verdict};
use super::file;
use super::hashing::{Follower, Told};
use super::http::{Refusal, TOO_MANY};
use super::pages;
use super::permits::Permit;
use super::site::Site;
use super::stream::Reset;
use crate::files::OpenFile;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use netkit_proto::files::manifest::{CONTENT_TYPE, LARGEST, encoded_head, encoded_len};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The manifest of this file.
pub(super) async fn respond(
    site: &Arc<Site>,
    caller: &Caller,
    reset: &Reset,
    request: &Request<Incoming>,
    file: OpenFile,
) -> Result<Response<Body>, Refusal> {
    let size = file.stamp.size;
    if size > LARGEST {
        let why = "a file of more than 1 TiB has no manifest";
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let response = Response::builder().header(header::ETAG, conditions::etag(&file.stamp));
    match conditions::judge_validators(request.headers(), &file.stamp) {
        Some(Verdict::NotModified) => {
            return Ok(pages::built(response.status(StatusCode::NOT_MODIFIED), Body::empty()));
        }
        Some(_) => return Err(file::CHANGED),
        None => {}
    }
    let response =
        response.header(header::CONTENT_TYPE, CONTENT_TYPE).header(header::CONTENT_LENGTH, encoded_len(size));
    if request.method() == Method::HEAD {
        return Ok(pages::built(response, Body::empty()));
    }
    let permit = Arc::new(site.manifests.take(caller.from).ok_or(TOO_MANY)?);
    let follower = site.hashings.follow(site, file.place(), file, &permit).await;
    let (pieces, sending) = mpsc::channel(2);
    tokio::spawn(send(pieces, follower, size, permit));
    Ok(pages::built(response, Body::Archive(sending, file::counting(site, reset))))
}

type Piece = io::Result<Option<Bytes>>;

/// Sends it until the end, or until the client leaves.
async fn send(pieces: mpsc::Sender<Piece>, mut follower: Follower, size: u64, _permit: Arc<Permit>) {
    let all = async {
        let mut piece = Bytes::copy_from_slice(&encoded_head(size));
        loop {
            let _ = pieces.send(Ok(Some(piece))).await; // the client may have left, which is noticed below
            piece = match follower.next().await {
                Ok(Told::Values(values)) => values.into(),
                Ok(Told::Root(root)) => {
                    let _ = pieces.send(Ok(Some(Bytes::copy_from_slice(&root)))).await;
                    let _ = pieces.send(Ok(None)).await;
                    return;
                }
                Err(error) => {
                    let _ = pieces.send(Err(error)).await;
                    return;
                }
            };
        }
    };
    tokio::select! {
        () = all => {}
        () = pieces.closed() => {}
    }
}
