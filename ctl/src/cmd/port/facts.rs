//! All that is known of one port: gathered once, shown as rows or as a line for people, and as one JSON object for
//! programs. Called by `port`.

use super::survey::{Listener, Survey};
use crate::machine::ports::{Bound, try_bind};
use crate::machine::services::{Service, of_netkit};
use serde::Serialize;

/// What is known of a port. The names are for scripts and stay.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    kind: &'static str,
    port: u16,
    services: Vec<Named>,
    services_from: &'static str,
    /// IANA's range (RFC 6335, section 6): `system`, `user`, `dynamic`.
    range: &'static str,
    /// Of the two kinds that are taught: `well-known`, `dynamic`.
    taught_as: &'static str,
    /// Whether binding it needs a privilege here.
    privileged: bool,
    /// Whether this caller may bind it.
    may_bind: bool,
    unprivileged_from: u16,
    /// Whether the kernel gives it to sockets that ask for none.
    ephemeral: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_range: Option<(u16, u16)>,
    listeners: Vec<Listener>,
    #[serde(skip_serializing_if = "Option::is_none")]
    free: Option<Free>,
    /// What could not be seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unseen: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    protocol: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

/// Whether it is free, by protocol and family; null where that can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Free {
    tcp4: Option<bool>,
    tcp6: Option<bool>,
    udp4: Option<bool>,
    udp6: Option<bool>,
}

/// IANA's range of a port, and its bounds.
fn range(port: u16) -> (&'static str, &'static str) {
    match port {
        0..=1023 => ("system", "0 to 1023"),
        1024..=49_151 => ("user", "1024 to 49151"),
        49_152.. => ("dynamic", "49152 to 65535"),
    }
}

impl Free {
    fn of(port: u16, listeners: &[Listener]) -> Free {
        let free = |protocol: &str, v6: bool| match try_bind(protocol, v6, port) {
            Bound::Free => Some(true),
            Bound::Used => Some(false),
            // Who may not bind is told what the tables show; a socket of IPv6 for all may hold IPv4, too.
            Bound::Denied => Some(!listeners.iter().any(|listener| {
                let address = listener.address;
                listener.protocol == protocol
                    && (address.is_ipv6() == v6 || !v6 && address.is_ipv6() && address.is_unspecified())
            })),
            Bound::Impossible => None,
        };
        Free {
            tcp4: free("tcp", false),
            tcp6: free("tcp", true),
            udp4: free("udp", false),
            udp6: free("udp", true),
        }
    }

    fn all(self) -> [(&'static str, Option<bool>); 4] {
        [("tcp4", self.tcp4), ("tcp6", self.tcp6), ("udp4", self.udp4), ("udp6", self.udp6)]
    }
}

impl Facts {
    /// What is known of `port`.
    pub(super) fn of(port: u16, survey: &Survey) -> Facts {
        let Survey { services, rules, unseen, .. } = survey;
        let listeners: Vec<Listener> = survey.at(port).cloned().collect();
        let named = |service: &Service| Named {
            name: service.name.clone(),
            protocol: service.protocol.clone(),
            aliases: service.aliases.clone(),
        };
        let privileged = rules.is_privileged(port);
        Facts {
            kind: "port",
            port,
            services: services.on(port).map(named).collect(),
            services_from: services.source,
            range: range(port).0,
            taught_as: if port < 1024 { "well-known" } else { "dynamic" },
            privileged,
            may_bind: !privileged || rules.may_bind_all,
            unprivileged_from: rules.unprivileged_from,
            ephemeral: rules.ephemeral.is_some_and(|(first, last)| (first..=last).contains(&port)),
            ephemeral_range: rules.ephemeral,
            free: (port != 0).then(|| Free::of(port, &listeners)),
            unseen: if listeners.iter().any(|l| l.processes.is_empty()) {
                unseen.clone()
            } else {
                Vec::new()
            },
            listeners,
            note: if port == 0 {
                Some("0 is no port: who binds it gets a free one")
            } else {
                of_netkit(port)
            },
        }
    }

    /// The same for people.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("port", self.port.to_string())];
        if self.services.is_empty() {
            rows.push(("service", format!("no name in {}", self.services_from)));
        } else {
            rows.push(("service", format!("{}, from {}", self.names(), self.services_from)));
        }
        let taught = match self.taught_as {
            "well-known" => "taught as a well-known port",
            _ => "taught as a dynamic port, 1024 to 65535",
        };
        rows.push(("range", format!("{}, {} (IANA); {taught}", self.range, range(self.port).1)));
        let from = self.unprivileged_from;
        rows.push((
            "binding",
            match (self.privileged, self.may_bind) {
                (false, _) if from == 0 => "anybody may: no port needs a privilege here".to_owned(),
                (false, _) => format!("anybody may: only ports below {from} need a privilege here"),
                (true, true) => format!("needs a privilege, as all below {from} here; you have it"),
                (true, false) => format!(
                    "needs a privilege, as all below {from} here; you lack it: CAP_NET_BIND_SERVICE, or root"
                ),
            },
        ));
        if let Some((first, last)) = self.ephemeral_range {
            let is = if self.ephemeral { "yes" } else { "no" };
            rows.push(("ephemeral", format!("{is}: the kernel gives out {first} to {last}")));
        }
        rows.extend(self.listeners.iter().map(|listener| ("used by", listener.shown())));
        rows.extend(self.free.map(|free| ("free", free_in_words(free))));
        rows.extend(self.unseen.iter().map(|what| ("unseen", what.clone())));
        rows.extend(self.note.map(|note| ("note", note.to_owned())));
        rows
    }

    /// The same on one line, for a range of ports.
    pub(super) fn line(&self) -> String {
        let used: Vec<String> = self.listeners.iter().map(Listener::shown).collect();
        let free = match self.free {
            None => "",
            Some(free) if free.all().iter().any(|(_, is_free)| *is_free == Some(false)) => "used",
            Some(_) => "free",
        };
        let name = self.services.first().map_or("-", |service| &service.name);
        let line = format!("{:>5} {:<7} {name:<16} {free:<4} {}", self.port, self.range, used.join("; "));
        line.trim_end().to_owned()
    }

    /// `http (tcp; also www)`, one after the other.
    fn names(&self) -> String {
        let mut names: Vec<(&str, Vec<&str>, &[String])> = Vec::new();
        for Named { name, protocol, aliases } in &self.services {
            match names.iter_mut().find(|(known, ..)| known == name) {
                Some((_, protocols, _)) => protocols.push(protocol),
                None => names.push((name, vec![protocol], aliases)),
            }
        }
        let shown = names.iter().map(|(name, protocols, aliases)| {
            let also =
                if aliases.is_empty() { String::new() } else { format!("; also {}", aliases.join(", ")) };
            format!("{name} ({}{also})", protocols.join(", "))
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn free_in_words(free: Free) -> String {
    let shown = free.all().map(|(what, is_free)| match is_free {
        Some(true) => format!("{what} yes"),
        Some(false) => format!("{what} no"),
        None => format!("{what} not to be told"),
    });
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::processes::Process;
    use crate::machine::services::Services;

    fn survey(may_bind_all: bool) -> Survey {
        let mut survey = Survey::take(Services::read(), |_| false);
        survey.rules.unprivileged_from = 1024;
        survey.rules.may_bind_all = may_bind_all;
        survey.rules.ephemeral = Some((32_768, 60_999));
        survey
    }

    #[test]
    fn ports_have_the_ranges_of_rfc_6335_and_the_two_that_are_taught() {
        let survey = survey(false);
        for (port, range, taught, privileged, ephemeral) in [
            (0, "system", "well-known", false, false),
            (1, "system", "well-known", true, false),
            (1023, "system", "well-known", true, false),
            (1024, "user", "dynamic", false, false),
            (8080, "user", "dynamic", false, false),
            (32_768, "user", "dynamic", false, true),
            (49_151, "user", "dynamic", false, true),
            (49_152, "dynamic", "dynamic", false, true),
            (61_000, "dynamic", "dynamic", false, false),
            (65_535, "dynamic", "dynamic", false, false),
        ] {
            let facts = Facts::of(port, &survey);
            assert_eq!((facts.range, facts.taught_as), (range, taught), "{port}");
            assert_eq!((facts.privileged, facts.ephemeral), (privileged, ephemeral), "{port}");
            assert_eq!(facts.may_bind, !privileged, "{port}");
            assert_eq!(facts.free.is_none(), port == 0);
        }
    }

    #[test]
    fn people_see_rows_and_who_it_is() {
        let mut facts = Facts::of(80, &survey(true));
        facts.listeners = vec![Listener {
            kind: "listener",
            protocol: "tcp",
            address: [0, 0, 0, 0].into(),
            port: 80,
            service: None,
            uid: 33,
            user: Some("www-data".into()),
            processes: vec![
                Process { pid: 7, name: "nginx".into() },
                Process { pid: 8, name: "nginx".into() },
            ],
        }];
        facts.free = Some(Free { tcp4: Some(false), tcp6: Some(true), udp4: Some(true), udp6: None });
        facts.services_from = "/etc/services";
        facts.services = [("tcp", vec!["www".to_owned()]), ("udp", Vec::new())]
            .map(|(protocol, aliases)| Named { name: "http".into(), protocol: protocol.into(), aliases })
            .into();
        let rows: Vec<String> = facts.rows().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            rows,
            [
                "port: 80",
                "service: http (tcp, udp; also www), from /etc/services",
                "range: system, 0 to 1023 (IANA); taught as a well-known port",
                "binding: needs a privilege, as all below 1024 here; you have it",
                "ephemeral: no: the kernel gives out 32768 to 60999",
                "used by: tcp 0.0.0.0:80, nginx (7), nginx (8), user www-data",
                "free: tcp4 no, tcp6 yes, udp4 yes, udp6 not to be told",
            ]
        );
        assert_eq!(
            facts.line(),
            "   80 system  http             used tcp 0.0.0.0:80, nginx (7), nginx (8), user www-data"
        );
        assert!(Facts::of(7890, &survey(true)).rows().last().unwrap().1.contains("netkit's chat"));
    }
}
