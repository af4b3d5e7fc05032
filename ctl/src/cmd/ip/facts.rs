//! All that is known of one address: gathered once, shown as rows for people and as one JSON object for programs.
//! Called by `ip` and `machine`. How the address is reached is looked up by the caller.

use super::class::Class;
use super::prefix::{self, Count, grouped};
use super::registry::Block;
use super::scope::{self, Scope};
use super::target::Target;
use super::whose::Holder;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};

/// What is known of an address. The names are for scripts and stay.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    kind: &'static str,
    address: IpAddr,
    /// The interface that has it, or that was typed behind `%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    version: u8,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    class: Option<ClassFacts>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    special: Option<Special>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    network: Option<NetworkFacts>,
    /// Whether a host can have it.
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable_because: Option<String>,
    /// The IPv4 address within.
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<Ipv4Addr>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// Which peers have it, as far as netkitd knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Holder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ClassFacts {
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_part: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_part: Option<String>,
    class_first: Ipv4Addr,
    class_last: Ipv4Addr,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_networks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_hosts: Option<u32>,
}

/// The block of a registry that the address is in.
#[derive(Debug, Serialize)]
struct Special {
    block: String,
    name: &'static str,
    rfc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    globally_reachable: Option<bool>,
}

#[derive(Debug, Serialize)]
struct NetworkFacts {
    network: String,
    prefix: u8,
    /// `given`, or `class` where none was.
    prefix_from: &'static str,
    netmask: IpAddr,
    wildcard: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<IpAddr>,
    first: IpAddr,
    last: IpAddr,
    hosts: Count,
    addresses: Count,
}

/// How packets would get there.
#[derive(Debug, Serialize)]
pub(super) struct Reach {
    /// Which interface they leave by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached_by: Option<String>,
    /// Which address they come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached_from: Option<IpAddr>,
    /// Why there is no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable_because: Option<String>,
    /// Whether it is this machine's own.
    pub own: bool,
}

impl Facts {
    /// What can be known without looking at this machine.
    pub(super) fn of(target: &Target) -> Facts {
        let Target { address, .. } = *target;
        let (scope, block) = Scope::of(address);
        let network = target.network();
        let unusable = scope::unusable(scope, block)
            .or_else(|| network.and_then(|(net, _)| prefix::not_a_host(&net)).map(str::to_owned));
        let (v4, v6) = match address {
            IpAddr::V4(ip) => (Some(ip), None),
            IpAddr::V6(ip) => (None, Some(ip)),
        };
        let mut notes = Vec::new();
        if let Some(first @ (0 | 127)) = v4.map(|ip| ip.octets()[0]) {
            let what = if first == 0 { "\"this network\"" } else { "loopback" };
            notes.push(format!(
                "{first}.0.0.0/8 is class A by its bits, {what} by its use: not one of the 126"
            ));
        }
        if let (Some((net, false)), Some(block)) = (network, block)
            && scope::reaches_out(&net, block)
        {
            notes.push(format!("{net} reaches out of {} ({})", block.net, block.name));
        }
        notes.extend(v6.and_then(scope::multicast_reach).map(|how_far| format!("reaches {how_far}")));
        Facts {
            kind: "address",
            address,
            interface: target.zone.clone(),
            version: if v4.is_some() { 4 } else { 6 },
            class: v4.map(ClassFacts::of),
            scope: scope.word(),
            special: block.map(Special::of),
            network: network.map(|(net, by_class)| NetworkFacts::of(&net, by_class)),
            usable: unusable.is_none(),
            unusable_because: unusable,
            ipv4: v6.and_then(scope::embedded),
            reach: None,
            peers: Vec::new(),
            notes,
        }
    }

    /// The same for people.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let zone = self.interface.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
        let mut rows = vec![("address", format!("{}{zone}", self.address))];
        if let Some(class) = &self.class {
            rows.extend(class.rows());
        }
        let special =
            self.special.as_ref().map(|Special { block, name, rfc, .. }| format!(": {block}, {name}, {rfc}"));
        rows.push(("today", format!("{}{}", self.scope, special.unwrap_or_default())));
        rows.extend(self.ipv4.map(|ip| ("ipv4", format!("{ip} is within it"))));
        if let Some(network) = &self.network {
            rows.extend(network.rows());
        }
        let usable =
            self.unusable_because.as_ref().map_or("as a host".to_owned(), |why| format!("no: {why}"));
        rows.push(("usable", usable));
        rows.extend(self.reach.as_ref().map(|reach| ("reached", reach.shown())));
        rows.extend(self.peers.iter().map(|holder| ("peer", holder.shown())));
        rows.extend(self.notes.iter().map(|note| ("note", note.clone())));
        rows
    }

    /// The word for its scope, and its broadcast address.
    pub(super) fn in_short(&self) -> String {
        let broadcast = self.network.as_ref().and_then(|network| network.broadcast);
        let broadcast = broadcast.map(|ip| format!(", broadcast {ip}")).unwrap_or_default();
        format!("{}{broadcast}", self.scope)
    }
}

impl ClassFacts {
    fn of(address: Ipv4Addr) -> ClassFacts {
        let class = Class::of(address);
        let (network_part, host_part) = class.parts(address).unzip();
        let [class_first, class_last] = class.range();
        ClassFacts {
            class: class.letter(),
            network_part,
            host_part,
            class_first,
            class_last,
            class_networks: class.networks(),
            class_hosts: class.hosts(),
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let ClassFacts { class, class_first, class_last, .. } = self;
        let range = format!("{class_first} to {class_last}");
        let (Some(network), Some(host)) = (&self.network_part, &self.host_part) else {
            return vec![("class", format!("{class}: no network and host part; {range}"))];
        };
        let (Some(networks), Some(hosts)) = (self.class_networks, self.class_hosts) else {
            return Vec::new();
        };
        let (networks, hosts) = (grouped(&networks.to_string()), grouped(&hosts.to_string()));
        vec![
            ("class", format!("{class}: network part {network}, host part {host}")),
            ("", format!("{networks} networks of {hosts} hosts, {range}")),
        ]
    }
}

impl Special {
    fn of(block: &Block) -> Special {
        let Block { net, name, rfc, global, .. } = block;
        Special { block: net.to_string(), name, rfc, globally_reachable: *global }
    }
}

impl NetworkFacts {
    fn of(net: &ipnet::IpNet, by_class: bool) -> NetworkFacts {
        let hosts = prefix::hosts(net);
        NetworkFacts {
            network: net.trunc().to_string(),
            prefix: net.prefix_len(),
            prefix_from: if by_class { "class" } else { "given" },
            netmask: net.netmask(),
            wildcard: net.hostmask(),
            broadcast: prefix::broadcast(net),
            first: hosts.first,
            last: hosts.last,
            hosts: hosts.count,
            addresses: prefix::addresses(net),
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let NetworkFacts { network, netmask, wildcard, first, last, hosts, .. } = self;
        let from = if self.prefix_from == "class" { ", by its class: no prefix was given" } else { "" };
        let mut rows = vec![("network", format!("{network}{from}"))];
        rows.push(("netmask", format!("{netmask}, wildcard {wildcard}")));
        rows.extend(self.broadcast.map(|ip| ("broadcast", ip.to_string())));
        rows.push((
            "hosts",
            if first == last { format!("{hosts}: {first}") } else { format!("{hosts}: {first} to {last}") },
        ));
        rows
    }
}

impl Reach {
    fn shown(&self) -> String {
        let by = self.reached_by.as_deref().unwrap_or("an interface without name");
        match (&self.unreachable_because, self.reached_from) {
            (Some(why), _) => format!("no: {why}"),
            (None, _) if self.own => format!("it is this machine's own, on {by}"),
            (None, Some(from)) => format!("by {by}, from {from}"),
            (None, None) => format!("by {by}"),
        }
    }
}

#[cfg(test)]
mod tests;
