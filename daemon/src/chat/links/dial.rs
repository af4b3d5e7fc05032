//! Reaching a peer: its addresses are tried a few at a time, and the first that answers is kept. Hellos are said on one
//! connection at a time, so that the peer's hub never sees two links of one attempt.

use super::Links;
use super::greet::{self, Greeted, Proven};
use crate::hub::links::{DialFailure, DialId, LinkReport, Parting};
use crate::identity::tls;
use crate::limits;
use netkit_proto::ids::PeerId;
use quinn::ConnectionError;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Tries until the peer answers, or no address is left; then the hub has been told why.
pub(super) async fn reach(
    links: &Arc<Links>,
    dial: DialId,
    peer: Option<PeerId>,
    host: Option<(String, u16)>,
    mut addresses: Vec<SocketAddr>,
) -> Option<Greeted> {
    let mut unresolved = None;
    match host.map(resolve) {
        None => {}
        Some(found) => match found.await {
            Ok(found) => addresses.extend(found),
            Err(reason) => unresolved = Some(reason),
        },
    }
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    let (mut failures, mut trying) = (Vec::new(), JoinSet::new());
    let mut addresses = addresses.into_iter();
    loop {
        while trying.len() < limits::DIAL_ADDRESSES
            && let Some(address) = addresses.next()
        {
            let links = Arc::clone(links);
            trying.spawn(async move { (address, connect(&links, peer, address).await) });
        }
        let failure = match trying.join_next().await {
            None => break,
            Some(Err(error)) => {
                tracing::error!(%error, "an attempt to reach a peer failed");
                continue;
            }
            Some(Ok((address, Ok(proven)))) => match greeted(links, proven).await {
                Ok(greeted) => return Some(greeted), // the other attempts end with `trying`
                Err(Parting::Blocked) => (address, DialFailure::Blocked),
                Err(parting) => (address, DialFailure::Protocol(words(&parting))),
            },
            Some(Ok((address, Err(failure)))) => (address, failure),
        };
        failures.push(failure);
    }
    // Where nobody listens any more, there is nobody to tell.
    let _ = links.reports.send(LinkReport::DialFailed { dial, failures, unresolved }).await;
    None
}

/// The addresses of a host; the system's resolver has a thread for it.
async fn resolve((host, port): (String, u16)) -> Result<Vec<SocketAddr>, String> {
    match timeout(limits::RESOLVE, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.take(limits::RESOLVED).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the name service does not answer".into()),
    }
}

/// Makes a connection to an address, if the peer is there.
async fn connect(links: &Links, wanted: Option<PeerId>, address: SocketAddr) -> Result<Proven, DialFailure> {
    let unreachable = |reason: &str| Err(DialFailure::Unreachable(reason.to_owned()));
    if !links.config.borrow().chat.allow.contains(address.ip()) {
        return unreachable("not within chat.allow");
    }
    let connecting = match links.endpoint.connect_with(links.client.clone(), address, tls::SERVER_NAME) {
        Ok(connecting) => connecting,
        Err(error) => return unreachable(&error.to_string()),
    };
    let connection = match timeout(limits::DIAL, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(ConnectionError::TimedOut)) | Err(_) => return unreachable("no answer"),
        Ok(Err(error)) => {
            return match greet::parting(error) {
                Parting::Lost(reason) | Parting::Protocol(reason) => Err(DialFailure::Protocol(reason)),
                parting => Err(DialFailure::Protocol(words(&parting))),
            };
        }
    };
    let proven = Proven::new(links, connection).map_err(|parting| DialFailure::Protocol(words(&parting)))?;
    let peer = proven.peer;
    if peer == links.me || wanted.is_some_and(|wanted| wanted != peer) {
        greet::close(&proven.connection, &Parting::Superseded);
        return Err(if peer == links.me { DialFailure::Ourselves } else { DialFailure::Another(peer) });
    }
    Ok(proven)
}

async fn greeted(links: &Links, proven: Proven) -> Result<Greeted, Parting> {
    let connection = proven.connection.clone();
    let late = || Parting::Protocol("no hello in time".into());
    let greeted = timeout(limits::DIAL, greet::greet(links, proven, true)).await;
    greeted.unwrap_or_else(|_| Err(late())).inspect_err(|parting| greet::close(&connection, parting))
}

/// Why it ended, in words.
fn words(parting: &Parting) -> String {
    match parting {
        Parting::Stopping => "it stops".into(),
        Parting::Superseded => "it keeps another connection".into(),
        Parting::Blocked => "it does not want this box".into(),
        Parting::Busy => "it has too many connections".into(),
        Parting::Renewed => "it wants a new connection".into(),
        Parting::Protocol(reason) | Parting::Lost(reason) => reason.clone(),
    }
}
