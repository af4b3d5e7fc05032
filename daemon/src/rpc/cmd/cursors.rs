//! `cursors.*`: named places in the log, by user. The hub knows who holds which, the store where they stand.

use super::{Handle, Progress, Session};
use crate::hub::handle::{Command, CursorOf};
use netkit_proto::name::CursorName;
use netkit_proto::rpc::call::{
    Cursor, CursorList, CursorOpened, CursorsClose, CursorsCommit, CursorsList, CursorsOpen, CursorsRemove,
    Empty,
};
use netkit_proto::rpc::code::{Error, Kind};

fn of(session: &Session, name: CursorName) -> CursorOf {
    CursorOf { session: session.id, uid: session.caller.uid, name }
}

impl Handle for CursorsOpen {
    async fn start(self, session: &mut Session) -> Result<Progress<CursorOpened>, Error> {
        let (cursor, epoch) = (of(session, self.name), session.context.epoch);
        let answer = session.context.hub.ask(|reply| Command::CursorOpen(cursor, reply)).await?;
        Ok(Progress::later(async move {
            let row = answer.wait().await?;
            let epoch_changed = row.as_ref().is_some_and(|row| row.epoch != epoch);
            Ok(CursorOpened {
                epoch,
                seq: row.filter(|row| row.epoch == epoch).map(|row| row.seq),
                epoch_changed,
            })
        }))
    }
}

impl Handle for CursorsCommit {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        session.context.check_epoch(Some(self.epoch))?;
        let head = session.context.feed.head();
        if self.seq > head {
            return Err(Error::new(
                Kind::InvalidParams,
                format_args!("{} is beyond the log's end {head}", self.seq),
            ));
        }
        let cursor = of(session, self.name);
        let answer = session.context.hub.ask(|reply| Command::CursorCommit(cursor, self.seq, reply)).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
    }
}

impl Handle for CursorsClose {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let cursor = of(session, self.name);
        let answer = session.context.hub.ask(|reply| Command::CursorClose(cursor, reply)).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
    }
}

impl Handle for CursorsRemove {
    async fn start(self, session: &mut Session) -> Result<Progress<Empty>, Error> {
        let cursor = of(session, self.name);
        let answer = session.context.hub.ask(|reply| Command::CursorRemove(cursor, reply)).await?;
        Ok(Progress::later(async move { answer.wait().await.map(|()| Empty {}) }))
    }
}

impl Handle for CursorsList {
    async fn start(self, session: &mut Session) -> Result<Progress<CursorList>, Error> {
        let uid = session.caller.uid;
        let answer = session.context.hub.ask(|reply| Command::CursorList(uid, reply)).await?;
        Ok(Progress::later(async move {
            let cursors = answer.wait().await?.into_iter().filter_map(|(row, held)| {
                // Only checked names are ever stored; one that is not is of no use to anybody.
                let name = row.name.parse().ok()?;
                Some(Cursor { name, epoch: row.epoch, seq: row.seq, moved: row.moved, held })
            });
            Ok(CursorList { cursors: cursors.collect() })
        }))
    }
}
