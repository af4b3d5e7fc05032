//! What a line from netkitd means. Called by `client` alone.

use crate::client::CallError;
use netkit_proto::limits;
use netkit_proto::rpc::code::Error;
use netkit_proto::rpc::line::Line;
use netkit_proto::rpc::message::Received;
use serde_json::value::RawValue;

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
