//! `http(s)://…`: a GET, by parts where the server gives them and says with a strong validator that they belong
//! together (RFC 9110, sections 8.8 and 14). What a server says of names (Content-Disposition) is not read.

use super::net;
use super::source::{About, Ask, Body, Opened, Source};
use crate::hub::orders::{Failed, Retry};
use crate::limits;
use bytes::Bytes;
use netkit_proto::rpc::code::Kind;
use reqwest::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName,
    IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use std::error::Error as StdError;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// See the module.
#[derive(Debug)]
pub(super) struct Http {
    pub client: Client,
    pub url: Url,
    /// Where redirects led: all parts of one try come from there.
    pub found: OnceLock<Url>,
}

/// A client for all downloads. Blocks: it reads the system's certificates.
///
/// # Errors
/// Where TLS can't be set up.
pub(super) fn client() -> reqwest::Result<Client> {
    // Another thread may have installed it before: then that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .user_agent(concat!("netkit/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::custom(follow))
            .connect_timeout(limits::FETCH_CONNECT)
            .pool_idle_timeout(limits::FETCH_POOL_IDLE)
            .tcp_keepalive(limits::FETCH_STALLED)
            .dns_resolver(Resolver)
    };
    // Without any certificate of an authority there is still http://.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// Follows some redirects, and none that gives up encryption; to other schemes the client itself does not go.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from = attempt.previous().last();
    let is_downgrade = attempt.url().scheme() != "https" && from.is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > limits::FETCH_REDIRECTS {
        return attempt.error(BadRedirect("the server redirects in a circle, or too often"));
    }
    if is_downgrade {
        return attempt.error(BadRedirect("the server redirects from https:// to http://"));
    }
    attempt.follow()
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadRedirect(&'static str);

/// Finds addresses as everything else here does, with the same words for failures.
struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("{}", .0.failure.message)]
struct Unresolved(Failed);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let addresses = net::resolve(name.as_str(), 0).await.map_err(Unresolved)?;
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Source for Http {
    type Body = HttpBody;

    async fn open(&self, ask: Ask) -> Result<Opened<HttpBody>, Failed> {
        let url = self.found.get().unwrap_or(&self.url).clone();
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        if let Ask::Part { range, size, validator } = &ask {
            let last = if range.end < *size { (range.end - 1).to_string() } else { String::new() };
            request =
                request.header(RANGE, format!("bytes={}-{last}", range.start)).header(IF_RANGE, validator);
        }
        let response = tokio::time::timeout(limits::FETCH_ANSWER, request.send()).await;
        let response = match response {
            Ok(response) => response.map_err(|error| self.failed(&error))?,
            Err(_) => {
                let seconds = limits::FETCH_ANSWER.as_secs();
                return Err(Failed::passing(
                    Kind::Timeout,
                    format_args!("{} did not answer within {seconds} s", self.host()),
                ));
            }
        };
        let found = response.url().clone();
        let opened = self.opened(&ask, response)?;
        let _ = self.found.set(found); // the first one stays
        Ok(opened)
    }
}

impl Http {
    /// Host and port, as messages name the server.
    fn host(&self) -> &str {
        self.url.authority()
    }

    fn opened(&self, ask: &Ask, response: Response) -> Result<Opened<HttpBody>, Failed> {
        let (status, headers) = (response.status(), response.headers());
        let validator = validator(headers);
        let body = |response| HttpBody { response, host: self.host().to_owned() };
        let encoding = text(headers, CONTENT_ENCODING).filter(|encoding| *encoding != "identity");
        if let Some(encoding) = encoding.filter(|_| status.is_success()) {
            let why =
                format!("{} sends the file packed ({encoding:?}), which it was asked not to do", self.host());
            return Err(Failed::new(Kind::Refused, why).hint("ask its operator for the file as it is"));
        }
        match (status, ask) {
            (StatusCode::OK, _) => {
                let ranges = text(headers, ACCEPT_RANGES).is_some_and(|units| units.contains("bytes"));
                let about = About { size: response.content_length(), validator, gives_parts: ranges };
                Ok(Opened { about, is_part: false, end: None, body: body(response) })
            }
            (StatusCode::PARTIAL_CONTENT, Ask::Part { range, size, validator: of_before }) => {
                let given = text(headers, CONTENT_RANGE).and_then(content_range);
                if let Some((_, _, Some(of))) = given.filter(|(_, _, of)| of.is_some_and(|of| of != *size)) {
                    let why = format!("the file at {} has {of} bytes now, and had {size}", self.host());
                    return Err(Failed::passing(Kind::Changed, why));
                }
                let is_of_it =
                    |&(first, last, _): &(u64, u64, Option<u64>)| first == range.start && last < range.end;
                let Some((_, last, _)) = given.filter(is_of_it) else {
                    let what = text(headers, CONTENT_RANGE).unwrap_or("nothing that it names");
                    let why = format!(
                        "{} was asked for bytes {}-{} of {size} and sent {what:?}",
                        self.host(),
                        range.start,
                        range.end - 1
                    );
                    return Err(Failed::passing(Kind::Network, why));
                };
                // It may leave the validator out (RFC 9110, section 15.3.7), but not give another one.
                if validator.as_ref().is_some_and(|now| now != of_before && is_same_kind(now, of_before)) {
                    let why = format!("the file at {} was replaced meanwhile", self.host());
                    return Err(Failed::passing(Kind::Changed, why));
                }
                let about =
                    About { size: Some(*size), validator: Some(of_before.clone()), gives_parts: true };
                Ok(Opened { about, is_part: true, end: Some(last + 1), body: body(response) })
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Ask::Part { .. }) => {
                let why = format!("the file at {} was replaced meanwhile by a shorter one", self.host());
                Err(Failed::passing(Kind::Changed, why))
            }
            _ => Err(self.refused(status, headers)),
        }
    }

    /// What a status that brings no file means (RFC 9110, section 15).
    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Failed {
        if let Some(to) = text(headers, LOCATION).filter(|_| status.is_redirection()) {
            let why = format!("{} redirects to {to:?}, which is neither http:// nor https://", self.host());
            return Failed::new(Kind::Refused, why).hint("name the address that you mean");
        }
        let kind = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
            _ => Kind::Refused,
        };
        let failed = Failed::new(kind, format_args!("{} answered {status}", self.host()));
        let passes = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || [408, 425, 429].contains(&status.as_u16());
        let hint = match status.as_u16() {
            401 | 403 | 407 => "the server wants to know who asks, which netkit does not tell it",
            404 | 410 => "check the address for slips",
            _ if passes => "the server may do better later",
            _ => "open the address in a browser to see what the server says",
        };
        let retry = match text(headers, RETRY_AFTER).and_then(retry_after) {
            _ if !passes => Retry::Never,
            Some(time) => Retry::After(time),
            None => Retry::Later,
        };
        Failed { retry, ..failed.hint(hint) }
    }

    fn failed(&self, error: &reqwest::Error) -> Failed {
        if let Some(Unresolved(failed)) = cause(error) {
            return failed.clone();
        }
        if error.is_redirect() || error.is_builder() {
            let why =
                cause::<BadRedirect>(error).map_or("it redirects where it can't be followed", |bad| bad.0);
            return Failed::new(Kind::Refused, format_args!("{}: {why}", self.host()))
                .hint("name the address that you mean");
        }
        if let Some(tls) = cause::<rustls::Error>(error) {
            let why = format!("{} could not prove who it is, or does not speak TLS: {tls}", self.host());
            return Failed::new(Kind::Tls, why).hint(
                "its certificate must come from an authority that this system trusts (package ca-certificates; \
                 SSL_CERT_FILE names others)",
            );
        }
        if error.is_timeout() {
            let seconds = limits::FETCH_CONNECT.as_secs();
            return Failed::passing(
                Kind::Timeout,
                format_args!("{} took no connection within {seconds} s", self.host()),
            );
        }
        match cause::<io::Error>(error) {
            Some(io) if error.is_connect() => net::unreachable(&self.host(), io),
            Some(io) => net::broken(io, self.host()),
            None => Failed::passing(
                Kind::Network,
                format_args!("{} gave no proper answer: {}", self.host(), root(error)),
            ),
        }
    }
}

/// See [`Body`].
#[derive(Debug)]
pub(super) struct HttpBody {
    response: Response,
    host: String,
}

impl Body for HttpBody {
    async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        let error = match self.response.chunk().await {
            Ok(piece) => return Ok(piece),
            Err(error) => error,
        };
        let is_incomplete = cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_incomplete_message);
        Err(match cause::<io::Error>(&error) {
            Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => net::short(&self.host),
            Some(io) => net::broken(io, &self.host),
            None if is_incomplete => net::short(&self.host),
            None => Failed::passing(
                Kind::Network,
                format_args!("{} sent what is no proper answer: {}", self.host, root(&error)),
            ),
        })
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What tells this content from any other byte by byte: a strong ETag; else a date that is so long past that the file
/// was not changed twice within its second (RFC 9110, section 8.8.2.2).
fn validator(headers: &HeaderMap) -> Option<String> {
    if let Some(etag) = text(headers, ETAG) {
        return etag.starts_with('"').then(|| etag.to_owned());
    }
    let date = |name| text(headers, name).and_then(|text| httpdate::parse_http_date(text).ok());
    let age = date(DATE)?.duration_since(date(LAST_MODIFIED)?).ok()?;
    (age >= limits::FETCH_DATE_AGE).then(|| text(headers, LAST_MODIFIED).map(str::to_owned))?
}

/// Both are ETags, or both are dates.
fn is_same_kind(one: &str, other: &str) -> bool {
    one.starts_with('"') == other.starts_with('"')
}

/// First byte, last byte and size, where that is known, of `bytes 5-9/20` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let size = if size == "*" { None } else { Some(size.parse().ok()?) };
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < u64::MAX).then_some((first, last, size))
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The first error of this type among the causes, those within an [`io::Error`] too.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What the last cause says.
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_what_is_strong_is_a_validator() {
        let day = |hour| format!("Wed, 25 Nov 2026 {hour} GMT");
        for (of, expected) in [
            (headers(&[(ETAG, "\"abc\"")]), Some("\"abc\"".to_owned())),
            (headers(&[(ETAG, "W/\"abc\"")]), None),
            (headers(&[(ETAG, "abc")]), None),
            (headers(&[(LAST_MODIFIED, &day("01:00:00"))]), None),
            (headers(&[(LAST_MODIFIED, &day("01:00:00")), (DATE, &day("01:00:05"))]), None),
            (headers(&[(LAST_MODIFIED, &day("01:00:00")), (DATE, &day("01:01:00"))]), Some(day("01:00:00"))),
            (headers(&[(LAST_MODIFIED, &day("01:00:00")), (DATE, &day("00:01:00"))]), None),
            (
                headers(&[(ETAG, "W/\"a\""), (LAST_MODIFIED, &day("01:00:00")), (DATE, &day("02:00:00"))]),
                None,
            ),
        ] {
            assert_eq!(validator(&of), expected, "{of:?}");
        }
    }

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/20"), Some((5, 9, Some(20))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for text in [
            "bytes */20",
            "bytes 9-5/20",
            "bytes 0-18446744073709551615/*",
            "5-9/20",
            "bytes 5-/20",
            "bytes -1-9/20",
            "",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_may_say_when_it_can_be_asked_again() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 25 Nov 2020 01:00:00 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Wed, 25 Nov 2099 01:00:00 GMT").unwrap() > Duration::from_secs(3600));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn statuses_say_whether_to_try_again() {
        let http =
            Http { client: client().unwrap(), url: "http://h/f".parse().unwrap(), found: OnceLock::new() };
        let after = headers(&[(RETRY_AFTER, "9")]);
        for (status, of, kind, retry) in [
            (404, HeaderMap::new(), Kind::NotFound, Retry::Never),
            (410, HeaderMap::new(), Kind::NotFound, Retry::Never),
            (403, HeaderMap::new(), Kind::Refused, Retry::Never),
            (204, HeaderMap::new(), Kind::Refused, Retry::Never),
            (501, HeaderMap::new(), Kind::Refused, Retry::Never),
            (500, HeaderMap::new(), Kind::Refused, Retry::Later),
            (503, after.clone(), Kind::Refused, Retry::After(Duration::from_secs(9))),
            (429, after.clone(), Kind::Refused, Retry::After(Duration::from_secs(9))),
            (403, after, Kind::Refused, Retry::Never),
        ] {
            let failed = http.refused(StatusCode::from_u16(status).unwrap(), &of);
            assert_eq!((failed.failure.kind, failed.retry), (kind, retry), "{status}");
            assert!(failed.failure.hint.is_some());
        }
    }
}
