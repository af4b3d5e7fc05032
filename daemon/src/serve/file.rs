//! A file as an answer: whole, in part, or not at all because the client has it.

use super::body::{Body, Counting};
use super::conditions::{self, Verdict};
use super::http::Refusal;
use super::pages;
use super::site::Site;
use super::stream::Reset;
use crate::files::{FileStream, OpenFile};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use netkit_proto::path::SafePath;
use std::sync::Arc;

/// The client wants the file as it was (RFC 9110, section 13.1.1).
pub(super) const CHANGED: Refusal =
    Refusal(StatusCode::PRECONDITION_FAILED, "the file is not what If-Match names any more");

/// Counts for what is sent.
pub(super) fn counting(site: &Site, reset: &Reset) -> Counting {
    Counting { counters: Arc::clone(&site.counters), reset: reset.clone() }
}

/// What a request for this file is answered.
pub(super) fn respond(
    site: &Site,
    reset: &Reset,
    request: &Request<Incoming>,
    path: &SafePath,
    file: OpenFile,
) -> Result<Response<Body>, Refusal> {
    let (stamp, size) = (file.stamp, file.stamp.size);
    let mut response = Response::builder()
        .header(header::ETAG, conditions::etag(&stamp))
        .header(header::LAST_MODIFIED, httpdate::fmt_http_date(conditions::last_modified(&stamp)))
        .header(header::ACCEPT_RANGES, "bytes");
    let range = match conditions::judge(request.headers(), &stamp) {
        Verdict::Changed => return Err(CHANGED),
        Verdict::NotModified => {
            return Ok(pages::built(response.status(StatusCode::NOT_MODIFIED), Body::empty()));
        }
        Verdict::Unsatisfiable => {
            let response = response.status(StatusCode::RANGE_NOT_SATISFIABLE);
            let response = response.header(header::CONTENT_RANGE, format!("bytes */{size}"));
            return Ok(pages::built(response, Body::empty()));
        }
        Verdict::Whole => 0..size,
        Verdict::Part(range) => {
            let (first, last) = (range.start, range.end - 1);
            response = response.status(StatusCode::PARTIAL_CONTENT);
            response = response.header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"));
            range
        }
    };
    let response = pages::for_file(response, path.file_name().unwrap_or_default())
        .header(header::CONTENT_LENGTH, range.end - range.start);
    if request.method() == Method::HEAD {
        return Ok(pages::built(response, Body::empty()));
    }
    let body = Body::file(FileStream::new(file, range, &site.buffers), counting(site, reset));
    Ok(pages::built(response, body))
}
