//! What is not a file: listings for people and for programs, short texts, redirects. Names from disk are escaped by the
//! template; the pages run no script and load nothing but their style.

use super::body::Body;
use super::target::STYLE;
use crate::files::DirEntry;
use crate::limits;
use askama::Template;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::response::Builder;
use hyper::{Response, StatusCode, Uri};
use netkit_proto::files::listing::{EntryKind, ListEntry, Listing, percent_encoded};
use netkit_proto::files::manifest::{BlockHash, to_hex};
use netkit_proto::name::PeerName;
use netkit_proto::path::SafePath;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether a browser only shows a file of this type. What it might run is sandboxed; the others are not, since a
/// browser's own viewers do not work in a sandbox.
fn is_passive(kind: &str) -> bool {
    let shown = ["image/", "audio/", "video/"].iter().any(|family| kind.starts_with(family));
    (shown && !kind.contains("xml"))
        || ["text/plain", "application/pdf", "application/octet-stream"].contains(&kind)
}

#[derive(Template)]
#[template(path = "listing.html")]
struct Page<'a> {
    title: &'a str,
    style: &'a str,
    /// Whether there is a directory above, and an archive to take home.
    in_share: bool,
    rows: Vec<Row<'a>>,
    truncated: bool,
}

struct Row<'a> {
    entry: &'a ListEntry,
    size: String,
    modified: String,
}

impl Row<'_> {
    fn new(entry: &ListEntry) -> Row<'_> {
        let size = entry.size.map(|size| bytesize::ByteSize(size).display().iec().to_string());
        let modified = entry.modified.map(|at| at.to_string().replace('T', " ").chars().take(16).collect());
        Row { entry, size: size.unwrap_or_default(), modified: modified.unwrap_or_default() }
    }
}

/// A response of parts that are known to be well-formed.
pub(super) fn built(response: Builder, body: Body) -> Response<Body> {
    response.body(body).unwrap_or_else(|error| {
        tracing::error!(%error, "a response could not be built");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A short text.
pub(super) fn text(status: StatusCode, text: String) -> Response<Body> {
    let response =
        Response::builder().status(status).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    built(response, text.into())
}

/// The pages' style.
pub(super) fn style() -> Response<Body> {
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/css; charset=utf-8")
        .header(header::CACHE_CONTROL, "max-age=3600");
    built(response, include_str!("../../templates/style.css").to_owned().into())
}

/// To the directory's own name, which ends with a slash, so that the links in its listing lead into it.
pub(super) fn redirect_to_directory(uri: &Uri) -> Response<Body> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // A path that began with two slashes would be another host's; no share's name is empty, so none does.
    let response = Response::builder()
        .status(StatusCode::PERMANENT_REDIRECT)
        .header(header::LOCATION, format!("{}/{query}", uri.path()));
    built(response, Body::empty())
}

/// The list of shares.
pub(super) fn shares<'a>(
    headers: &HeaderMap,
    node: &PeerName,
    names: impl Iterator<Item = &'a str>,
) -> Response<Body> {
    let entries = names.map(|name| ListEntry::new(name.as_bytes(), EntryKind::Dir, None, None)).collect();
    listing(headers, node.as_str(), false, &Listing { entries, truncated: false })
}

/// Whether JSON is asked for.
pub(super) fn is_for_programs(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json")
}

/// All that is beneath a directory.
pub(super) fn tree(body: Body) -> Response<Body> {
    built(Response::builder().header(header::CONTENT_TYPE, super::tree::CONTENT_TYPE), body)
}

/// A directory in a share.
pub(super) fn directory(
    headers: &HeaderMap,
    share: &str,
    path: &SafePath,
    entries: &[DirEntry],
    known: &[Option<BlockHash>],
    truncated: bool,
) -> Response<Body> {
    let title = format!("{share}/{}", String::from_utf8_lossy(path.as_bytes()));
    let mut room = limits::LISTING_BYTES;
    let fits = |entry: &&DirEntry| {
        let fits = entry.name.len() < room;
        room = room.saturating_sub(entry.name.len());
        fits
    };
    let mut shown: Vec<ListEntry> = entries.iter().take_while(fits).map(ListEntry::from).collect();
    for (entry, hash) in shown.iter_mut().zip(known).filter(|(entry, _)| entry.kind == EntryKind::File) {
        entry.blake3 = hash.as_ref().map(to_hex);
    }
    let truncated = truncated || shown.len() < entries.len();
    listing(headers, title.trim_end_matches('/'), true, &Listing { entries: shown, truncated })
}

/// JSON for who asks for it, else a page.
fn listing(headers: &HeaderMap, title: &str, in_share: bool, listing: &Listing) -> Response<Body> {
    let response =
        Response::builder().header(header::VARY, "Accept").header(header::CACHE_CONTROL, "no-cache");
    if is_for_programs(headers) {
        return built(response.header(header::CONTENT_TYPE, "application/json"), listing.to_json().into());
    }
    let rows = listing.entries.iter().map(Row::new).collect();
    let page = Page { title, style: STYLE, in_share, rows, truncated: listing.truncated };
    match page.render() {
        Ok(page) => {
            let response = response
                .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
                .header(header::CONTENT_SECURITY_POLICY, POLICY)
                .header(header::REFERRER_POLICY, "no-referrer");
            built(response, page.into())
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n".into())
        }
    }
}

/// The headers that a file's name gives. A page that is served as a file may do nothing: it is not ours.
pub(super) fn for_file(response: Builder, name: &[u8]) -> Builder {
    let text = String::from_utf8_lossy(name);
    let kind = mime_guess::from_path(&*text).first_raw().unwrap_or("application/octet-stream");
    let charset = if kind.starts_with("text/") { "; charset=utf-8" } else { "" };
    let response = if is_passive(kind) {
        response
    } else {
        response.header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"))
    };
    response
        .header(header::CONTENT_TYPE, format!("{kind}{charset}"))
        .header(header::CONTENT_DISPOSITION, disposition("inline", &text))
}

/// A `Content-Disposition` (RFC 6266): the name for who knows only ASCII, and as it is.
pub(super) fn disposition(kind: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._ ".contains(c) { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}", percent_encoded(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_do_nothing_in_a_page() {
        let names = ["<script>alert(1)</script>", "\"onload=x", "a&b", "你好"];
        let entries: Vec<ListEntry> = names
            .iter()
            .map(|name| ListEntry::new(name.as_bytes(), EntryKind::File, Some(1), None))
            .collect();
        let rows = entries.iter().map(Row::new).collect();
        let page = Page { title: names[0], style: STYLE, in_share: true, rows, truncated: true };
        let page = page.render().unwrap();
        assert!(!page.contains("<script") && !page.contains("\"onload"), "{page}");
        assert!(page.contains("你好") && page.contains("href=\"./%E4%BD%A0%E5%A5%BD\""), "{page}");
    }

    #[test]
    fn a_name_goes_into_its_header_in_two_ways() {
        assert_eq!(
            disposition("inline", "a \"b\"\r\n你.txt"),
            "inline; filename=\"a _b____.txt\"; filename*=UTF-8''a%20%22b%22%0D%0A%E4%BD%A0.txt"
        );
    }
}
