//! The languages netkit speaks, without input or output: names, datagrams, JSON-RPC messages.
//!
//! Used by `netkit-daemon` and, for `rpc`, `ids`, `name` and `time`, by `netkit-ctl`. Nothing here opens a
//! socket or a file, reads a clock or draws a random number: time and seeds come as arguments.
#![warn(missing_docs)]

pub mod chat;
pub mod files;
pub mod ids;
pub mod limits;
pub mod name;
pub mod path;
pub mod rpc;
pub mod sniff;
pub mod time;
