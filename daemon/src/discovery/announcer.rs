//! The multicast DNS daemon of the library mdns-sd, which has a thread and the sockets on port 5353: started, asked,
//! kept within bounds, and ended with a goodbye. Decides nothing of what is told to the hub.

use super::Me;
use super::announcement::{self, Claim, SERVICE};
use super::interfaces::Selection;
use super::sightings::Scoped;
use crate::limits;
use mdns_sd::{
    DaemonEvent, IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent,
    ServiceInfo,
};
use tokio::time::{Instant, timeout};

/// What was heard on the LAN.
#[derive(Debug)]
pub(super) enum Heard {
    /// An instance was resolved, or something of it changed.
    Instance {
        /// Its name.
        fullname: String,
        /// What it says that it is, if that is of use.
        claim: Option<Claim>,
        /// Its chat port.
        port: u16,
        /// Where it says that it is.
        addresses: Vec<Scoped>,
    },
    /// An instance said goodbye (RFC 6762, section 10.1), or was not renewed.
    Removed(String),
    /// The daemon is on a new address of ours.
    Joined,
    /// Something of no matter.
    Nothing,
}

/// A running daemon of mdns-sd.
pub(super) struct Announcer {
    daemon: ServiceDaemon,
    ours: ServiceInfo,
    /// What it does by itself.
    deeds: Receiver<DaemonEvent>,
    events: Receiver<ServiceEvent>,
    /// Until when the daemon looks at the interfaces by itself.
    looks_until: Option<Instant>,
    /// When something was noted last, and what was not since.
    noted: Option<Instant>,
    unnoted: u64,
}

impl Announcer {
    /// Announces us, and asks for others.
    ///
    /// # Errors
    /// That there is no thread to be had, or a name that can't be.
    pub(super) fn start(me: &Me, selection: Selection) -> mdns_sd::Result<Announcer> {
        let ours = announcement::ours(me)?;
        let daemon = ServiceDaemon::new()?;
        // Before anything is sent: it begins with all interfaces.
        daemon.disable_interface(IfKind::Predicate(IfPredicate::new(move |i| !selection.takes(i))))?;
        daemon.set_ip_check_interval(0)?; // we are told when to look
        let deeds = daemon.monitor()?;
        let events = daemon.browse(SERVICE)?;
        daemon.register(ours.clone())?;
        Ok(Announcer { daemon, ours, deeds, events, looks_until: None, noted: None, unnoted: 0 })
    }

    /// The next thing that was heard; `None` where the daemon gave up. May be dropped.
    pub(super) async fn hear(&mut self) -> Option<Heard> {
        let event = tokio::select! {
            deed = self.deeds.recv_async() => {
                let is_joined = matches!(deed.ok()?, DaemonEvent::IpAdd(_));
                return Some(if is_joined { Heard::Joined } else { Heard::Nothing });
            }
            event = self.events.recv_async() => event.ok()?,
        };
        match event {
            ServiceEvent::ServiceResolved(service) => Some(self.instance(&service)),
            ServiceEvent::ServiceRemoved(_, fullname) => Some(Heard::Removed(fullname)),
            ServiceEvent::SearchStopped(_) => None,
            _ => Some(Heard::Nothing),
        }
    }

    fn instance(&mut self, service: &ResolvedService) -> Heard {
        let claim = announcement::read(&service.txt_properties);
        if let Err(why) = claim {
            self.note(&why.to_string());
        }
        let addresses = service.addresses.iter();
        let addresses = addresses.filter_map(|address| match address {
            ScopedIp::V4(v4) => Some(((*v4.addr()).into(), 0)),
            ScopedIp::V6(v6) => Some(((*v6.addr()).into(), v6.scope_id().index)),
            _ => None,
        });
        let (fullname, port) = (service.fullname.clone(), service.port);
        Heard::Instance { fullname, claim: claim.ok(), port, addresses: addresses.collect() }
    }

    /// Notes that something that was announced is left out: not each time, since whoever announces decides how often.
    pub(super) fn note(&mut self, why: &str) {
        let now = Instant::now();
        if self.noted.is_some_and(|noted| now < noted + limits::DISCOVERY_NOTE) {
            self.unnoted += 1;
            return;
        }
        tracing::debug!(why, more = self.unnoted, "an announcement is left out");
        (self.noted, self.unnoted) = (Some(now), 0);
    }

    /// Lets the daemon look at the interfaces: it does so by an interval only, which is switched on for a while.
    pub(super) fn look_at_interfaces(&mut self) {
        let was_off = self.looks_until.replace(Instant::now() + limits::ANNOUNCER_LOOKS).is_none();
        if was_off && self.daemon.set_ip_check_interval(1).is_err() {
            self.looks_until = None; // it has too much to do; [`Self::tend`] tells if it stays so
        }
    }

    /// Forgets who was heard, asks for all, at once and then at growing intervals, and announces us again.
    ///
    /// On a new address the daemon asks and announces once. That may be in vain: who spoke less than a second before says
    /// nothing (RFC 6762, section 6). What it asks later lists whom it knows by another interface, and those say nothing
    /// either (section 7.1), until their records are to be renewed.
    ///
    /// # Errors
    /// Why the daemon has to go.
    pub(super) fn ask_anew(&mut self) -> mdns_sd::Result<()> {
        self.daemon.stop_browse(SERVICE)?;
        self.events = self.daemon.browse(SERVICE)?;
        self.daemon.register(self.ours.clone())
    }

    /// What is done now and then: the daemon's memory of what was announced has no bound of its own.
    ///
    /// # Errors
    /// Why the daemon has to go.
    pub(super) async fn tend(&mut self) -> Result<(), String> {
        if self.looks_until.is_some_and(|until| until <= Instant::now()) {
            self.daemon.set_ip_check_interval(0).map_err(|e| e.to_string())?;
            self.looks_until = None;
        }
        let metrics = self.daemon.get_metrics().map_err(|e| e.to_string())?;
        let metrics = timeout(limits::STOP_DISCOVERY, metrics.recv_async()).await;
        let metrics = metrics.map_err(|_| "the announcer does not answer")?.map_err(|e| e.to_string())?;
        let records: i64 = metrics.iter().filter(|(key, _)| key.starts_with("cached-")).map(|(_, n)| n).sum();
        let timers = metrics.get("timer").copied().unwrap_or(0);
        if records > limits::ANNOUNCER_RECORDS || timers > limits::ANNOUNCER_TIMERS {
            return Err(format!(
                "somebody floods the LAN with announcements: {records} records, {timers} timers"
            ));
        }
        Ok(())
    }

    /// Says goodbye, and ends. Nothing is lost where that takes too long: what was announced expires.
    pub(super) async fn stop(&self) {
        let ended = match self.daemon.shutdown() {
            Ok(ended) => timeout(limits::STOP_DISCOVERY, ended.recv_async()).await.is_ok(),
            Err(_) => false,
        };
        if !ended {
            tracing::debug!("the announcer did not end in time");
        }
    }
}
