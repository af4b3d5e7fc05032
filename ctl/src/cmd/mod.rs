//! The verbs, one file or folder each. A verb declares its flags (`Args`), turns them into settings and does its
//! work (`run`); `cli` calls it. `delivery` is what verbs that send share.

pub(crate) mod chat;
pub(crate) mod completions;
mod delivery;
pub(crate) mod ls;
pub(crate) mod rpc;
pub(crate) mod send;
pub(crate) mod share;
pub(crate) mod status;
pub(crate) mod tail;
