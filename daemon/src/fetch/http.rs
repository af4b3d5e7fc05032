//! `http(s)://…`: a GET, by parts where the server gives them and says with a strong validator that they belong
//! together (RFC 9110, sections 8.8 and 14). What a server says of names (Content-Disposition) is not read.

use super::answer::{self, Answer};
use super::net;
use super::source::{Ask, Body, Opened, Source};
use crate::hub::orders::Failed;
use crate::limits;
use bytes::Bytes;
use netkit_proto::rpc::code::Kind;
use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, RANGE};
use reqwest::{Client, Response, Url, redirect};
use std::error::Error as StdError;
use std::io;
use std::sync::OnceLock;

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
            request = request.header(RANGE, answer::range_of(range, *size));
            request =
                validator.iter().fold(request, |request, validator| request.header(IF_RANGE, validator));
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
        let size = response.content_length();
        let Answer { about, is_part, end } =
            answer::judge(ask, response.status(), response.headers(), size, self.host())?;
        Ok(Opened { about, is_part, end, body: HttpBody { response, host: self.host().to_owned() } })
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
