//! The methods of the control socket, one file a verb. This one finds the method, checks that the caller may use
//! it, reads the parameters and writes the result.

mod chat;
mod cursors;
mod events;
mod files;
mod node;
mod shares;

use super::dispatch::{Later, Started, by_name, to_json};
use super::session::{Session, done, failed, no_such_method};
use netkit_proto::rpc::call::{
    Call, ChatSend, CursorsClose, CursorsCommit, CursorsList, CursorsOpen, CursorsRemove, Discover,
    EventsPosition, EventsRead, EventsSubscribe, EventsUnsubscribe, FilesList, NodeReload, NodeStatus,
    SharesAdd, SharesList, SharesRemove,
};
use netkit_proto::rpc::code::Error;
use serde_json::value::RawValue;

/// A result: there already, or on its way.
enum Progress<T> {
    Done(T),
    Later(Later<Result<T, Error>>),
    /// See [`Started::Large`].
    Large(Later<Result<T, Error>>),
}

impl<T> Progress<T> {
    fn later(answer: impl Future<Output = Result<T, Error>> + Send + 'static) -> Progress<T> {
        Progress::Later(Box::pin(answer))
    }

    fn large(answer: impl Future<Output = Result<T, Error>> + Send + 'static) -> Progress<T> {
        Progress::Large(Box::pin(answer))
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
pub(super) async fn start(session: &mut Session, method: &str, params: Option<&RawValue>) -> Started {
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
        SharesList,
        SharesAdd,
        SharesRemove,
        FilesList,
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
        Ok(Progress::Later(later)) => Started::Later(Box::pin(async move { to_json(&later.await?) })),
        Ok(Progress::Large(later)) => Started::Large(Box::pin(async move { to_json(&later.await?) })),
        Err(error) => failed(error),
    }
}
