//! What a line from netkitd means, and what can go wrong with a call. Lines are read by `client` alone.

use crate::exit::{Exit, Failure};
use netkit_proto::limits;
use netkit_proto::rpc::code::Error;
use netkit_proto::rpc::line::Line;
use netkit_proto::rpc::message::Received;
use serde_json::value::RawValue;
use std::io;

/// What became of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// netkitd went away, so whether it did what was asked is not known.
    #[error("netkitd went away: {0}")]
    Lost(io::Error),
    /// netkitd answered that it can't.
    #[error("{0}")]
    Answer(Error),
    /// What answered does not speak netkit's language.
    #[error("netkitd sent {0}")]
    Protocol(String),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        match error {
            CallError::Answer(error) => error.into(),
            CallError::Lost(_) => Failure::new(Exit::Unreachable, error.to_string())
                .hint("whether the last request was carried out is not known; see: systemctl status netkitd"),
            CallError::Protocol(_) => Failure::new(Exit::Failed, error.to_string())
                .hint("is netkitctl as new as netkitd? compare netkitctl --version with netkitctl status"),
        }
    }
}

/// An answer, and the id of the request it belongs to; no id where netkitd could not tell.
pub(crate) type Answer = (Option<u64>, Result<Box<RawValue>, Error>);

/// What a line from netkitd is.
#[derive(Debug)]
pub(crate) enum Message {
    /// To one request or to a batch.
    Answers(Vec<Answer>),
    /// Of a subscription; its parameters.
    Notification(Box<RawValue>),
}

/// Reads a line.
///
/// # Errors
/// Where it is not JSON-RPC as netkitd speaks it.
pub(crate) fn understand(line: Line) -> Result<Message, CallError> {
    let Line::Complete(line) = line else {
        return Err(CallError::Protocol(format!("a line of more than {} bytes", limits::RPC_LINE)));
    };
    let strange = |e: serde_json::Error| CallError::Protocol(format!("a line that is not JSON-RPC: {e}"));
    if line.trim_ascii_start().starts_with(b"[") {
        let batch: Vec<Received<'_>> = serde_json::from_slice(&line).map_err(strange)?;
        return Ok(Message::Answers(batch.into_iter().map(answer).collect::<Result<_, _>>()?));
    }
    let received: Received<'_> = serde_json::from_slice(&line).map_err(strange)?;
    if received.method.is_some() {
        let params = received.params.unwrap_or(RawValue::NULL).to_owned();
        return Ok(Message::Notification(params));
    }
    Ok(Message::Answers(vec![answer(received)?]))
}

fn answer(received: Received<'_>) -> Result<Answer, CallError> {
    let id = received.id.and_then(|id| id.get().parse().ok());
    match (received.error, received.result) {
        (Some(error), _) => Ok((id, Err(error))),
        (None, Some(result)) => Ok((id, Ok(result.to_owned()))),
        (None, None) => Err(CallError::Protocol("an answer without result and error".into())),
    }
}
