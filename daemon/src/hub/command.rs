//! What sessions of the control socket ask for: handed to whom it concerns, and committed where it must be.

use super::commit::Then;
use super::handle::{Command, Queued, Reply, Route};
use super::orders::{Failed, ListPeer, Order};
use super::{Hub, answer, now};
use crate::files::Access;
use crate::store::{Op, StoreError};
use netkit_proto::rpc::code::Error;
use tokio::time::Instant;

impl Hub {
    pub(super) fn on_command(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Send(send, reply) if !matches!(send.route, Route::Plain(_)) => {
                self.peers.on_send(now(), send, reply);
            }
            Command::Send(send, reply) => {
                let encoding = self.config.borrow().chat.plain_encoding;
                if let Some((op, reply)) = granted(self.chat.on_send(now(), encoding, send), reply) {
                    self.queue(op, reply)?;
                }
            }
            Command::CursorOpen(cursor, reply) => {
                if let Some(((), reply)) = granted(self.leases.take(&cursor), reply) {
                    let op = Op::CursorRead(cursor.uid, cursor.name.clone());
                    self.submit_one(op, Then::CursorOpened(cursor, reply))?;
                }
            }
            Command::CursorCommit(cursor, seq, reply) => {
                if let Some(((), reply)) = granted(self.leases.check(&cursor), reply) {
                    let op = Op::CursorMove(now(), cursor.uid, cursor.name.clone(), seq);
                    self.submit_one(op, Then::CursorDone(cursor, reply))?;
                }
            }
            Command::CursorClose(cursor, reply) => {
                if let Some(((), reply)) = granted(self.leases.check(&cursor), reply) {
                    self.leases.release(&cursor);
                    answer(reply, Ok(()));
                }
            }
            Command::CursorRemove(cursor, reply) => {
                if let Some(((), reply)) = granted(self.leases.check_free(&cursor), reply) {
                    self.leases.release(&cursor);
                    let op = Op::CursorRemove(cursor.uid, cursor.name.clone());
                    self.submit_one(op, Then::CursorDone(cursor, reply))?;
                }
            }
            Command::CursorList(uid, reply) => {
                self.submit_one(Op::CursorList(uid), Then::CursorsListed(uid, reply))?;
            }
            Command::ShareAdd(mut share, reply) => {
                let resolved = match &mut share.access {
                    Access::Peers(peers) => self.peers.audience(peers).map(|ids| *peers = ids),
                    Access::Public | Access::Trusted => Ok(()),
                };
                let op = resolved.and_then(|()| self.shares.on_add(&share));
                if let Some((op, reply)) = granted(op, reply) {
                    self.submit_one(op, Then::ShareAdded(share, reply))?;
                }
            }
            Command::ShareRemove(name, reply) => {
                if let Some((op, reply)) = granted(self.shares.on_remove(&name), reply) {
                    self.submit_one(op, Then::ShareRemoved(name, reply))?;
                }
            }
            Command::DownloadAdd(mut request, peer, reply) => {
                let peer = peer.map(|peer| self.peers.wanted(now(), &peer)).transpose();
                if let Some((peer, reply)) = granted(peer, reply) {
                    request.peer = peer;
                    self.downloads.on_add(now(), *request, reply);
                }
            }
            Command::DownloadChange(id, change, reply) => self.downloads.on_change(now(), id, change, reply),
            Command::DownloadMove(id, place, reply) => self.downloads.on_move(id, place, reply),
            Command::DownloadLimit(limit, reply) => self.downloads.on_limit(limit, reply),
            Command::DownloadShow(id, reply) => answer(reply, self.downloads.show(id)),
            Command::PeerFiles(peer, path, reply) => {
                let way =
                    self.peers.find(&peer).and_then(|id| self.peers.way(id).map_err(Failed::into_error));
                if let Some((way, reply)) = granted(way, reply) {
                    let is_linked = self.peers.is_linked(way.id);
                    let list = Box::new(ListPeer { way, path, is_linked, reply });
                    self.downloads.orders.push_back(Order::List(list));
                }
            }
            Command::DownloadList(states, skip, reply) => {
                answer(reply, Ok(self.downloads.list(&states, skip)));
            }
            Command::Peers(command) => self.peers.on_command(now(), command),
            Command::PeerList(reply) => answer(reply, Ok(Box::new(self.peers.list(Instant::now())))),
            Command::PeerShow(peer, reply) => {
                answer(reply, self.peers.show_called(Instant::now(), &peer).map(Box::new));
            }
            Command::RoomList(reply) => answer(reply, Ok(self.peers.rooms())),
            Command::SessionEnded(session) => self.leases.release_all(session),
        }
        Ok(())
    }

    fn queue(&mut self, op: Op, reply: Reply<Queued>) -> Result<(), StoreError> {
        let Op::Queue { address, ref datagram, expires, .. } = op else { return Ok(()) };
        let then = Then::Queued { address, datagram: datagram.clone(), expires, reply };
        self.submit_one(op, then)
    }
}

/// What was asked for and who waits for it; where it is refused, tells so and gives nothing.
fn granted<T, R>(permission: Result<T, Error>, reply: Reply<R>) -> Option<(T, Reply<R>)> {
    match permission {
        Ok(granted) => Some((granted, reply)),
        Err(error) => {
            answer(reply, Err(error));
            None
        }
    }
}
