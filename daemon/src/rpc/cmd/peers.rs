//! `peers.*` and `rooms.*`: the hub knows them.

use super::{Handle, Progress, Session};
use crate::config::HostPort;
use crate::hub::handle::{Command, PeerCommand};
use netkit_proto::rpc::call::{
    Empty, Peer, PeerList, PeersAdd, PeersBlock, PeersList, PeersRemove, PeersShow, PeersTrust, RoomList,
    RoomsJoin, RoomsLeave, RoomsList,
};
use netkit_proto::rpc::code::{Error, Kind};

impl Handle for PeersList {
    async fn start(self, session: &mut Session) -> Result<Progress<PeerList>, Error> {
        let answer = session.context.hub.ask(Command::PeerList).await?;
        Ok(Progress::large(async move { Ok(*answer.wait().await?) }))
    }
}

impl Handle for PeersShow {
    async fn start(self, session: &mut Session) -> Result<Progress<Peer>, Error> {
        let answer = session.context.hub.ask(|reply| Command::PeerShow(self.peer, reply)).await?;
        Ok(Progress::later(async move { Ok(*answer.wait().await?) }))
    }
}

impl Handle for PeersAdd {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let host: HostPort = self.host.parse().map_err(|why: String| {
            Error::new(Kind::InvalidParams, why)
                .hint("write a host name or an address, and :PORT where it is not 7890")
        })?;
        let answer = session.context.hub.ask(|reply| Command::Peers(PeerCommand::Add(host, reply))).await?;
        Ok(Progress::later(answer.wait()))
    }
}

impl Handle for PeersRemove {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let remove = |reply| Command::Peers(PeerCommand::Remove(self.peer, reply));
        let answer = session.context.hub.ask(remove).await?;
        Ok(Progress::later(answer.wait()))
    }
}

impl Handle for PeersTrust {
    async fn start(self, session: &mut Session) -> Result<Progress<Peer>, Error> {
        let trust = |reply| Command::Peers(PeerCommand::Trust(self.peer, self.id, reply));
        let answer = session.context.hub.ask(trust).await?;
        Ok(Progress::later(async move { Ok(*answer.wait().await?) }))
    }
}

impl Handle for PeersBlock {
    async fn start(self, session: &mut Session) -> Result<Progress<Peer>, Error> {
        let block = |reply| Command::Peers(PeerCommand::Block(self.peer, reply));
        let answer = session.context.hub.ask(block).await?;
        Ok(Progress::later(async move { Ok(*answer.wait().await?) }))
    }
}

impl Handle for RoomsList {
    async fn start(self, session: &mut Session) -> Result<Progress<RoomList>, Error> {
        let answer = session.context.hub.ask(Command::RoomList).await?;
        Ok(Progress::large(answer.wait()))
    }
}

impl Handle for RoomsJoin {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let join = |reply| Command::Peers(PeerCommand::Room(self.room, true, reply));
        let answer = session.context.hub.ask(join).await?;
        Ok(Progress::later(answer.wait()))
    }
}

impl Handle for RoomsLeave {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let leave = |reply| Command::Peers(PeerCommand::Room(self.room, false, reply));
        let answer = session.context.hub.ask(leave).await?;
        Ok(Progress::later(answer.wait()))
    }
}
