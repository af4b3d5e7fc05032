//! The control language: JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>), one message a line.
//!
//! `line` cuts a byte stream into lines, `message` reads and writes requests and answers, `call` types each
//! method's parameters and answer, `event` the log's entries and
//! `filter` which of them are wanted, `code` the errors.

pub mod call;
pub mod code;
pub mod event;
pub mod filter;
pub mod line;
pub mod message;
#[cfg(feature = "schema")]
pub mod schema;
