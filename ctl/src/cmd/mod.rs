//! The verbs, one file or folder each. A verb declares its flags (`Args`), turns them into settings and does its
//! work (`run`); `cli` calls it. `delivery` is what verbs that send share, `downloads` what those share that fetch.

pub(crate) mod chat;
pub(crate) mod completions;
mod delivery;
mod downloads;
pub(crate) mod get;
pub(crate) mod ip;
pub(crate) mod ls;
pub(crate) mod peers;
pub(crate) mod port;
pub(crate) mod queue;
pub(crate) mod rooms;
pub(crate) mod rpc;
pub(crate) mod send;
pub(crate) mod share;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod wire;
