//! The HTTP/1.1 face, in the open and within TLS: files, listings and archives of what the caller may see, read-only.

use super::body::Body;
use super::caller::Caller;
use super::site::Site;
use super::stream::Reset;
use super::unreadable::Unreadable;
use super::{blob, file, manifest, pages, tar, target, tree};
use crate::files::{DirEntry, Opened, Share, is_nothing, list};
use crate::hub::content::file_key;
use crate::limits;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::path::SafePath;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use target::{Form, Place, Target};
use tokio::io::{AsyncRead, AsyncWrite};

/// Said to a client whose address has its share of permits.
pub(super) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\n\
    Content-Type: text/plain\r\nContent-Length: 36\r\n\r\ntoo many connections from your side\n";

/// Said to a client that begins with HTTP/2 (RFC 9113, section 3.4), which this port does not speak.
pub(super) const NOT_HTTP_2: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 24\r\n\r\nHTTP/1.1 is spoken here\n";

/// Serves the requests of a connection; gives its stream back to be ended well, unless `reset` is set.
pub(super) async fn serve<S>(stream: S, reset: Reset, caller: Caller, site: &Arc<Site>) -> io::Result<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    reset.clear(); // what has a length or chunks tells by itself that it broke off
    let caller = Arc::new(caller);
    let cut_off = caller.cut_off(site); // from before the first look at what it may see
    let answer = service_fn(|request| {
        let (site, caller, reset) = (Arc::clone(site), Arc::clone(&caller), reset.clone());
        async move {
            let response = answer(&site, &caller, &reset, &request).await;
            let (from, status) = (caller.from, response.status().as_u16());
            tracing::debug!(%from, peer = ?caller.peer, method = %request.method(), status, "answered");
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD)
        .max_buf_size(limits::REQUEST_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer)
        .without_shutdown();
    let cut_off = async {
        cut_off.await;
        reset.set(); // before the connection is let go of, and with it the stream
    };
    tokio::select! {
        ended = connection => Ok(ended.map_err(io::Error::other)?.io.into_inner()),
        () = cut_off => Err(io::Error::other("the caller may not have it any more")),
    }
}

/// Why a request is not answered by what it asked for.
pub(super) struct Refusal(pub StatusCode, pub &'static str);

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        if is_nothing(&error) {
            return NOT_FOUND;
        }
        tracing::debug!(%error, "a shared file can't be read");
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, "it can't be read at present")
    }
}

/// Listings and archives cost memory and threads.
pub(super) const TOO_MANY: Refusal =
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many of these are made at once; try again in a moment");

/// It knows who we are, and we know who it is: nothing is given away.
const BLOCKED: Refusal = Refusal(StatusCode::FORBIDDEN, "this box has nothing to do with yours");

/// Also what is there and may not be seen.
const NOT_FOUND: Refusal = Refusal(StatusCode::NOT_FOUND, "there is nothing here");

async fn answer(
    site: &Arc<Site>,
    caller: &Caller,
    reset: &Reset,
    request: &Request<Incoming>,
) -> Response<Body> {
    let mut response = match respond(site, caller, reset, request).await {
        Ok(response) => response,
        Err(Refusal(status, why)) => {
            let mut response = pages::text(status, format!("{why}\n"));
            if status == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::SERVER, HeaderValue::from_static("netkit"));
    response
}

async fn respond(
    site: &Arc<Site>,
    caller: &Caller,
    reset: &Reset,
    request: &Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    if caller.is_blocked(site) {
        return Err(BLOCKED);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "files are only read here"));
    }
    check_host(site, request)?;
    let target = Target::of(request.uri()).ok_or(NOT_FOUND)?;
    let (name, path) = match target.place {
        Place::Style => return Ok(pages::style()),
        Place::Root => {
            let shares = caller.shares(site);
            let names = shares.iter().map(|share| share.name.as_str());
            return Ok(pages::shares(request.headers(), &site.config().node.name, names));
        }
        Place::Blob(hash) => {
            let found = blob::find(site, caller.shares(site), hash).await;
            let (share, path, file) = found.ok_or(NOT_FOUND)?;
            caller.takes(&share);
            // While it was looked for, it may have been withdrawn.
            if !caller.may_go_on(site) {
                return Err(NOT_FOUND);
            }
            return file::respond(site, reset, request, &path, file);
        }
        Place::In { ref share, ref path } | Place::Manifest { ref share, ref path } => (share, path.clone()),
    };
    let share = caller.share(site, name).ok_or(NOT_FOUND)?;
    let opened = match share.open_cached(&path) {
        Some(opened) => opened?,
        None => open(Arc::clone(&share), path.clone()).await?,
    };
    match opened {
        Opened::File(_) if target.trailing_slash => Err(NOT_FOUND),
        Opened::File(file) if matches!(target.place, Place::Manifest { .. }) => {
            manifest::respond(site, caller, reset, request, file).await
        }
        Opened::File(file) => file::respond(site, reset, request, &path, file),
        Opened::Dir(_) if matches!(target.place, Place::Manifest { .. }) => Err(NOT_FOUND),
        Opened::Dir(_) if !target.trailing_slash => Ok(pages::redirect_to_directory(request.uri())),
        Opened::Dir(directory) if target.form == Form::Listing => {
            let permit = site.listings.take(caller.from).ok_or(TOO_MANY)?;
            let (of, at) = (Arc::clone(&share), path.clone());
            let listed =
                tokio::task::spawn_blocking(move || list(&of, &at, directory, limits::LISTING)).await;
            let (entries, truncated) = listed.map_err(io::Error::other)??;
            let known = known(site, request, &entries).await;
            let page = pages::directory(request.headers(), &share.name, &path, &entries, &known, truncated);
            Ok(page.map(|body| body.holding(permit)))
        }
        Opened::Dir(_) if request.version() == Version::HTTP_10 => {
            // Only chunks tell what broke off from what is whole.
            Err(Refusal(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "archives need HTTP/1.1"))
        }
        Opened::Dir(_) => {
            let counting = file::counting(site, reset);
            let is_head = request.method() == Method::HEAD;
            let permit = site.archives.take(caller.from).ok_or(TOO_MANY)?;
            let small = match target.form {
                Form::Tree if is_head => return Ok(pages::tree(Body::empty())),
                Form::Tree => {
                    let unreadable = Unreadable::new(&site.unreadable);
                    let body = tree::body(site.reader.clone(), permit, (share, path), unreadable, counting);
                    return Ok(pages::tree(body));
                }
                Form::Small(small) => Some(small),
                Form::Listing | Form::Archive => None,
            };
            let unreadable = Unreadable::new(&site.unreadable);
            Ok(tar::respond(permit, (share, path), small, unreadable, counting, is_head))
        }
    }
}

/// What the files of a listing hash to, where that is known and a program asks.
async fn known(site: &Site, request: &Request<Incoming>, entries: &[DirEntry]) -> Vec<Option<BlockHash>> {
    if !pages::is_for_programs(request.headers()) {
        return Vec::new();
    }
    let files: Vec<_> = entries.iter().map(|entry| file_key(&entry.stamp)).collect();
    site.reader.roots(&files).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "what is known of files can't be read");
        Vec::new()
    })
}

async fn open(share: Arc<Share>, path: SafePath) -> io::Result<Opened> {
    tokio::task::spawn_blocking(move || share.open(&path)).await.map_err(io::Error::other)?
}

/// A page of another site must not read files through its visitor's browser by a name of its own for our address (DNS
/// rebinding): only names that are ours are answered to.
fn check_host(site: &Site, request: &Request<Incoming>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let is_old = request.version() == Version::HTTP_10; // no browser
    if second.is_some() || (host.is_none() && !is_old) {
        return Err(Refusal(StatusCode::BAD_REQUEST, "a request has one Host"));
    }
    let config = site.config();
    let ours = |host: &str| target::is_our_host(host, config.node.name.as_str(), &config.files.hosts);
    let named = request.uri().authority().is_none_or(|authority| ours(authority.as_str()));
    if named && host.is_none_or(|host| host.to_str().is_ok_and(ours)) {
        return Ok(());
    }
    Err(Refusal(
        StatusCode::MISDIRECTED_REQUEST,
        "this box is not known by that name; use its address, or add the name to files.hosts",
    ))
}
