//! Discovery: announces this box by multicast DNS (RFC 6762) as an instance of `_netkit._udp` (RFC 6763), and tells the
//! hub who else announces itself, with the addresses that are on a link of ours. `run` starts it. It proves nothing and
//! dials nobody; where it fails, netkitd goes on without it.

mod announcement;
mod announcer;
mod interfaces;
mod sightings;

use crate::config::Config;
use crate::hub::links::Sighting;
use crate::limits;
use announcer::{Announcer, Heard};
use interfaces::{Changes, Selection};
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;
use sightings::Sightings;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;

/// What is announced of this box.
#[derive(Clone, Debug)]
pub struct Me {
    /// Which box it is.
    pub peer: PeerId,
    /// What it is called.
    pub name: PeerName,
    /// Where the chat port listens.
    pub chat: SocketAddr,
    /// Where files are served.
    pub files: Option<u16>,
}

/// What discovery works with.
#[derive(Debug)]
pub struct Ends {
    /// What is in force at present: `discovery.mdns` and `discovery.interfaces`.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where sightings go.
    pub hub: mpsc::Sender<Sighting>,
    /// Who we are.
    pub me: Me,
}

/// Why it stops for a while.
enum End {
    /// For good.
    Stop,
    /// It is not wanted any more.
    SwitchedOff,
    /// It does not work, or is flooded.
    Failed(String),
}

/// Announces and listens until `stop`, where the configuration wants it. What fails is tried again.
pub async fn run(ends: Ends, stop: CancellationToken) {
    if ends.me.chat.ip().is_loopback() {
        tracing::debug!("the chat port is on loopback: nobody to be found by");
        return;
    }
    let mut config = ends.config.clone();
    let mut pause = Duration::ZERO;
    loop {
        let is_wanted = async { config.wait_for(|config| config.discovery.mdns).await.map(drop) };
        tokio::select! {
            () = stop.cancelled() => return,
            wanted = async { tokio::time::sleep(pause).await; is_wanted.await } => if wanted.is_err() {
                return; // nobody is there to change it
            },
        }
        pause = match session(&ends, &stop).await {
            End::Stop => return,
            End::SwitchedOff => Duration::ZERO,
            End::Failed(error) => {
                tracing::warn!(%error, again_in = ?limits::DISCOVERY_PAUSE, "discovery is left out for a while");
                limits::DISCOVERY_PAUSE
            }
        };
    }
}

/// From the first announcement to the goodbye.
async fn session(ends: &Ends, stop: &CancellationToken) -> End {
    let selection = Selection { config: ends.config.clone(), listen: ends.me.chat.ip() };
    let mut changes = Changes::new(); // before the interfaces are looked at, so that none is missed
    let nets = selection.nets().unwrap_or_default();
    let announcer = match Announcer::start(&ends.me, selection.clone()) {
        Ok(announcer) => announcer,
        Err(error) => return End::Failed(error.to_string()),
    };
    tracing::debug!(?nets, "discovery begins");
    let sightings = Sightings::new(ends.me.peer, ends.me.chat.port(), nets.clone());
    let now = Instant::now();
    let mut session = Session {
        me: ends.me.peer,
        selection,
        announcer,
        nets,
        sightings,
        look: Some(now),
        ask: None,
        asked: now,
        ask_pause: limits::ASKED_ANEW_AFTER,
        deaf_since: Some(now),
    };
    let end = session.run(ends, stop, &mut changes).await;
    session.announcer.stop().await;
    if !matches!(end, End::Stop) {
        // Who was seen must not be taken for still there.
        session.sightings.clear(Instant::now());
        while let Some(at) = session.sightings.due() {
            tokio::select! {
                () = stop.cancelled() => return End::Stop,
                () = sleep_until(at) => {}
            }
            while let Some(sighting) = session.sightings.next(Instant::now()) {
                tokio::select! {
                    () = stop.cancelled() => return End::Stop,
                    _ = ends.hub.send(sighting) => {}
                }
            }
        }
    }
    end
}

struct Session {
    me: PeerId,
    selection: Selection,
    announcer: Announcer,
    nets: Vec<interfaces::Net>,
    sightings: Sightings,
    /// When the interfaces are to be looked at.
    look: Option<Instant>,
    /// When all are to be asked for anew, when they were last, and how far these are to be apart.
    ask: Option<Instant>,
    asked: Instant,
    ask_pause: Duration,
    /// Since when we have not heard ourselves; `None` once we have, or it was told that we do not.
    deaf_since: Option<Instant>,
}

impl Session {
    async fn run(&mut self, ends: &Ends, stop: &CancellationToken, changes: &mut Changes) -> End {
        let mut config = ends.config.clone();
        let patterns = config.borrow_and_update().discovery.interfaces.clone();
        let mut tend = tokio::time::interval(limits::DISCOVERY_TEND);
        tend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_news = false;
        loop {
            let (look, ask, due) = (self.look, self.ask, self.sightings.due());
            tokio::select! {
                () = stop.cancelled() => return End::Stop,
                changed = config.changed() => {
                    if changed.is_err() {
                        return End::Stop;
                    }
                    let discovery = &config.borrow_and_update().discovery;
                    if !discovery.mdns || discovery.interfaces != patterns {
                        return End::SwitchedOff; // and on again, with what is chosen now
                    }
                    self.look = Some(Instant::now());
                }
                () = changes.next() => {
                    self.look.get_or_insert(Instant::now() + limits::INTERFACES_PAUSE);
                }
                () = at(look), if look.is_some() => {
                    self.look = None;
                    self.look_at_interfaces().await;
                }
                () = at(ask), if ask.is_some() => {
                    (self.ask, self.asked) = (None, Instant::now());
                    self.ask_pause = (2 * self.ask_pause).min(limits::ASKED_ANEW_LONGEST);
                    if let Err(error) = self.announcer.ask_anew() {
                        return End::Failed(error.to_string());
                    }
                    self.sightings.on_asked_anew(self.asked);
                }
                heard = self.announcer.hear() => match heard {
                    Some(heard) => self.on_heard(heard),
                    None => return End::Failed("the announcer ended by itself".into()),
                },
                () = at(due), if due.is_some() && !has_news => has_news = true,
                permit = ends.hub.reserve(), if has_news => match permit {
                    Ok(permit) => match self.sightings.next(Instant::now()) {
                        Some(sighting) => permit.send(sighting),
                        None => has_news = false,
                    },
                    Err(_) => return End::Stop, // the hub ended
                },
                _ = tend.tick() => {
                    self.note_deafness();
                    if let Err(why) = self.announcer.tend().await {
                        return End::Failed(why);
                    }
                }
            }
        }
    }

    fn on_heard(&mut self, heard: Heard) {
        let now = Instant::now();
        match heard {
            Heard::Instance { fullname, claim, port, addresses } => {
                if claim.as_ref().is_some_and(|claim| claim.peer == self.me) {
                    self.deaf_since = None;
                }
                if !self.sightings.on_resolved(now, &fullname, claim, port, addresses) {
                    self.announcer.note("there is no room for another announcement");
                }
            }
            Heard::Removed(fullname) => self.sightings.on_removed(now, &fullname),
            Heard::Joined => {
                if self.asked + limits::ASKED_ANEW_LONGEST < now {
                    self.ask_pause = limits::ASKED_ANEW_AFTER;
                }
                self.ask.get_or_insert((self.asked + self.ask_pause).max(now + limits::ASKED_ANEW_AFTER));
            }
            Heard::Nothing => {}
        }
    }

    /// What we announce comes back to us, so that somebody who hears nothing at all can be told.
    fn note_deafness(&mut self) {
        if self.nets.is_empty() {
            self.deaf_since = self.deaf_since.map(|_| Instant::now()); // nowhere to hear anything yet
        }
        if self.deaf_since.is_some_and(|since| since.elapsed() > limits::DISCOVERY_DEAF) {
            self.deaf_since = None;
            tracing::warn!(
                "discovery hears nothing, not even itself: UDP port 5353 may be taken by a program that does not share \
                 it, or kept shut by a firewall"
            );
        }
    }

    /// Looks at the interfaces; where they changed, the announcer is told to look, too.
    async fn look_at_interfaces(&mut self) {
        let selection = self.selection.clone();
        match tokio::task::spawn_blocking(move || selection.nets()).await {
            Ok(Ok(nets)) if nets != self.nets => {
                tracing::debug!(?nets, "interfaces changed");
                self.nets.clone_from(&nets);
                self.announcer.look_at_interfaces();
                self.sightings.on_nets(Instant::now(), nets);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "can't look at the interfaces"),
            Err(error) => tracing::debug!(%error, "can't look at the interfaces"),
        }
    }
}

/// Waits until a time that there may be.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
