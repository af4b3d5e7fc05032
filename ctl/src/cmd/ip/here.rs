//! `netkitctl ip` without an address: the interfaces of this machine with their addresses, its gateways, and where
//! netkitd listens, where it answers. Called by `ip`; reads through `machine`.

use super::facts::Facts;
use super::target::Target;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::machine::interfaces::interfaces;
use crate::machine::routes::gateways;
use crate::output::{Out, say};
use netkit_proto::rpc::call::NodeStatus;
use serde::Serialize;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long netkitd may take to say where it listens; it is not what was asked for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Bare<'a> {
    kind: &'static str,
    interface: &'a str,
}

#[derive(Serialize)]
struct Way<'a> {
    kind: &'static str,
    destination: String,
    gateway: IpAddr,
    interface: &'a str,
    metric: u32,
}

/// Where netkitd listens, or why that is not known.
#[derive(Serialize)]
struct Netkitd {
    kind: &'static str,
    answers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// Prints all of it.
pub(super) fn show(context: &Context, out: &mut Out) -> Outcome {
    let interfaces = interfaces().map_err(|e| {
        Failure::new(Exit::Failed, format!("asking the kernel for this machine's interfaces: {e}"))
    })?;
    for interface in &interfaces {
        let name = &interface.name;
        if interface.addresses.is_empty() {
            let object = Bare { kind: "interface", interface: name };
            out.either(context.json, &object, &format!("{name:<9} no address"))?;
        }
        for (nth, (address, prefix)) in interface.addresses.iter().enumerate() {
            let target = Target { address: *address, prefix: Some(*prefix), zone: Some(name.clone()) };
            let facts = Facts::of(&target);
            let head = if nth == 0 { name } else { "" };
            let down = if interface.up { "" } else { ", down" };
            let text = format!("{head:<9} {address}/{prefix}  {}{down}", facts.in_short());
            out.either(context.json, &facts, &text)?;
        }
    }
    let (gateways, more) = gateways();
    for way in &gateways {
        let destination = way.to.to_string();
        let to = if way.to.prefix_len() == 0 { String::new() } else { format!(" to {destination}") };
        let text = format!("gateway   {} by {}{to}", way.gateway, way.interface);
        let object = Way {
            kind: "gateway",
            destination,
            gateway: way.gateway,
            interface: &way.interface,
            metric: way.metric,
        };
        out.either(context.json, &object, &text)?;
    }
    out.flush()?;
    if more {
        say("this machine has more routes than are read here; ip route shows them");
    }
    let netkitd = ask(context);
    let text = match (&netkitd.because, &netkitd.chat, &netkitd.files) {
        (Some(why), ..) => why.trim_start_matches("netkitd ").to_owned(),
        (None, chat, files) => format!(
            "listens on {} for chat and {} for files",
            chat.as_deref().unwrap_or("nothing"),
            files.as_deref().unwrap_or("nothing")
        ),
    };
    out.either(context.json, &netkitd, &format!("netkitd   {text}"))
}

/// Asks netkitd; that it does not run is no failure here.
fn ask(context: &Context) -> Netkitd {
    let until = Instant::now() + PATIENCE;
    let answer = context.connect().and_then(|mut client| {
        client.wait_until(Some(until), None);
        Ok(client.call(&NodeStatus {})?)
    });
    let listens = |listen: String| Some(listen).filter(|listen| !listen.is_empty());
    match answer {
        Ok(status) => Netkitd {
            kind: "netkitd",
            answers: true,
            chat: listens(status.chat.listen),
            files: listens(status.files.listen),
            because: None,
        },
        Err(failure) => {
            let late = Instant::now() >= until;
            let because = Some(if late { "netkitd does not answer".to_owned() } else { failure.message });
            Netkitd { kind: "netkitd", answers: false, chat: None, files: None, because }
        }
    }
}
