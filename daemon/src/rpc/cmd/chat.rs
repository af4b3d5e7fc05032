//! `chat.send`: finds out where a message goes and has the hub queue it.

use super::{Handle, Progress, Session};
use crate::hub::handle::{Command, Route, SendRequest};
use crate::limits;
use netkit_proto::limits as wire;
use netkit_proto::name::Destination;
use netkit_proto::rpc::call::{ChatSend, Sent};
use netkit_proto::rpc::code::{Error, Kind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

impl Handle for ChatSend {
    async fn start(self, session: &mut Session) -> Result<Progress<Sent>, Error> {
        if self.text.len() > wire::TEXT {
            let why = format!("the text is {} bytes, at most {} are allowed", self.text.len(), wire::TEXT);
            return Err(Error::new(Kind::TooLarge, why)
                .hint("a longer text is a file: netkitctl share add here, netkitctl get there"));
        }
        let longest = limits::EXPIRE_MAX.as_secs();
        if self.expire.is_some_and(|seconds| seconds > longest) {
            let why = format!("expire is at most {longest} seconds, 365 days");
            return Err(Error::new(Kind::InvalidParams, why));
        }
        let destination = self.to.parse().map_err(|e| {
            Error::new(Kind::InvalidParams, format_args!("{:?} is no destination: {e}", self.to))
                .hint("a plain peer is written udp://HOST:PORT")
        })?;
        let route = match destination {
            Destination::Plain { host, port } => {
                let config = session.context.config.borrow().chat.clone();
                if !config.plain {
                    return Err(Error::new(
                        Kind::Refused,
                        "chat.plain is off: nothing is sent to plain peers",
                    )
                    .hint("set chat.plain = true in the configuration and reload"));
                }
                Route::Plain(resolve(&host, port, session.context.chat_listen.is_ipv6()).await?)
            }
            Destination::Peer { name, id_prefix } => Route::Peer { name, prefix: id_prefix },
            Destination::Room(room) => Route::Room(room),
            Destination::All => Route::All,
        };
        let request = SendRequest {
            uid: session.caller.uid,
            to: self.to,
            route,
            text: self.text,
            key: self.key,
            expire: self.expire.map(Duration::from_secs),
        };
        let answer = session.context.hub.ask(|reply| Command::Send(request, reply)).await?;
        Ok(Progress::later(async move {
            let queued = answer.wait().await?;
            Ok(Sent { id: queued.id, repeated: queued.repeated, to: queued.to })
        }))
    }
}

/// The address of a host that a datagram can go to.
async fn resolve(host: &str, port: u16, ipv6: bool) -> Result<SocketAddr, Error> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::new(Kind::NameResolution, format_args!("can't find the address of {host}: {why}"))
            .hint("use the address itself, or check the name: getent hosts NAME")
    };
    let lookup = tokio::time::timeout(limits::RESOLVE, tokio::net::lookup_host((host, port)));
    let addresses = match lookup.await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(e)) => return Err(failed(&e)),
        Err(_) => return Err(failed(&format_args!("no answer within {} s", limits::RESOLVE.as_secs()))),
    };
    let address = addresses.map(canonical).find(|address| ipv6 || address.is_ipv4());
    let address =
        address.ok_or_else(|| failed(&"it has no IPv4 address, and the chat port is for IPv4 alone"))?;
    let ip = address.ip();
    if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Error::new(
            Kind::Refused,
            format_args!("{ip} is not one peer: messages go to a single address"),
        )
        .hint("name the peer's own address"));
    }
    Ok(address)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
