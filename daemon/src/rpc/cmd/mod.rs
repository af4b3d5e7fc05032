//! The methods of the control socket, one file a verb. This one finds the method, checks that the caller may use
//! it, reads the parameters and writes the result.

mod chat;
mod cursors;
mod downloads;
mod events;
mod files;
mod node;
mod peers;
mod shares;

use super::Context;
use super::caller::Caller;
use super::dispatch::{Later, Methods, Outcome, Started, by_name, to_json};
use super::subscriptions::Subscriptions;
use crate::hub::handle::SessionId;
use netkit_proto::rpc::call::{
    Call, ChatSend, CursorsClose, CursorsCommit, CursorsList, CursorsOpen, CursorsRemove, Discover,
    DownloadsAdd, DownloadsCancel, DownloadsLimit, DownloadsList, DownloadsMove, DownloadsPause,
    DownloadsRemove, DownloadsResume, DownloadsRetry, DownloadsShow, EventsPosition, EventsRead,
    EventsSubscribe, EventsUnsubscribe, FilesList, NodeReload, NodeStatus, PeersAdd, PeersBlock, PeersList,
    PeersRemove, PeersShow, PeersTrust, RoomsJoin, RoomsLeave, RoomsList, SharesAdd, SharesList,
    SharesRemove,
};
use netkit_proto::rpc::code::{Error, Kind};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What the methods of a session work with.
pub(in crate::rpc) struct Session {
    pub context: Arc<Context>,
    pub id: SessionId,
    pub caller: Caller,
    pub subscriptions: Subscriptions,
}

impl Methods for Session {
    async fn start(&mut self, method: &str, params: Option<&RawValue>) -> Started {
        start(self, method, params).await
    }
}

/// A result: there already, or on its way.
enum Progress<T> {
    Done(T),
    Later(Later<Outcome>),
    /// See [`Started::Large`].
    Large(Later<Outcome>),
}

impl<T: Serialize> Progress<T> {
    fn later(answer: impl Future<Output = Result<T, Error>> + Send + 'static) -> Progress<T> {
        Progress::Later(Box::pin(async move { to_json(&answer.await?) }))
    }

    fn large(answer: impl Future<Output = Result<T, Error>> + Send + 'static) -> Progress<T> {
        Progress::Large(Box::pin(async move { to_json(&answer.await?) }))
    }
}

/// A method's handler.
trait Handle: Call {
    /// Starts the call; see [`super::dispatch::Methods::start`].
    fn start(
        self,
        session: &mut Session,
    ) -> impl Future<Output = Result<Progress<Self::Answer>, Error>> + Send;
}

/// Starts the call of a method.
async fn start(session: &mut Session, method: &str, params: Option<&RawValue>) -> Started {
    macro_rules! methods {
        ($($params:ty),* $(,)?) => {
            match method {
                $(<$params>::METHOD => typed::<$params>(session, params).await,)*
                _ => no_such_method(method),
            }
        };
    }
    methods!(
        ChatSend,
        EventsRead,
        EventsSubscribe,
        EventsPosition,
        EventsUnsubscribe,
        CursorsOpen,
        CursorsCommit,
        CursorsClose,
        CursorsList,
        CursorsRemove,
        PeersList,
        PeersShow,
        PeersAdd,
        PeersRemove,
        PeersTrust,
        PeersBlock,
        RoomsList,
        RoomsJoin,
        RoomsLeave,
        SharesList,
        SharesAdd,
        SharesRemove,
        FilesList,
        DownloadsAdd,
        DownloadsList,
        DownloadsShow,
        DownloadsPause,
        DownloadsResume,
        DownloadsRetry,
        DownloadsCancel,
        DownloadsRemove,
        DownloadsMove,
        DownloadsLimit,
        NodeStatus,
        NodeReload,
        Discover,
    )
}

async fn typed<P: Handle<Answer: 'static> + Send>(
    session: &mut Session,
    params: Option<&RawValue>,
) -> Started {
    if let Err(denied) = session.context.check(&session.caller, P::ACCESS) {
        return failed(denied);
    }
    let params: P = match by_name(params) {
        Ok(params) => params,
        Err(error) => return failed(error),
    };
    match params.start(session).await {
        Ok(Progress::Done(result)) => done(to_json(&result)),
        Ok(Progress::Later(later)) => Started::Later(later),
        Ok(Progress::Large(later)) => Started::Large(later),
        Err(error) => failed(error),
    }
}

/// A call that fails at once.
fn failed(error: Error) -> Started {
    Started::Done(Err(error))
}

/// A call for a method that does not exist.
fn no_such_method(method: &str) -> Started {
    let shown: String = method.chars().take(100).collect();
    failed(
        Error::new(Kind::MethodNotFound, format_args!("there is no method {shown:?}"))
            .hint("rpc.discover lists the methods"),
    )
}

/// A result that is there at once.
fn done(outcome: Outcome) -> Started {
    Started::Done(outcome)
}
