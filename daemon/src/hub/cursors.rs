//! Who holds which cursor. Where a cursor stands is the store's business; that two never read with the same
//! cursor at the same time is this one's.

use super::handle::{CursorOf, SessionId};
use netkit_proto::name::CursorName;
use netkit_proto::rpc::code::{Error, Kind};
use std::collections::HashMap;

/// Holders by (user, cursor).
#[derive(Debug, Default)]
pub(super) struct Leases(HashMap<(u32, CursorName), SessionId>);

impl Leases {
    /// Takes hold of a cursor; taking hold again is fine.
    pub(super) fn take(&mut self, cursor: &CursorOf) -> Result<(), Error> {
        let holder = *self.0.entry((cursor.uid, cursor.name.clone())).or_insert(cursor.session);
        if holder == cursor.session { Ok(()) } else { Err(busy(cursor)) }
    }

    /// Whether the session holds the cursor.
    pub(super) fn check(&self, cursor: &CursorOf) -> Result<(), Error> {
        match self.0.get(&(cursor.uid, cursor.name.clone())) {
            Some(&holder) if holder == cursor.session => Ok(()),
            Some(_) => Err(busy(cursor)),
            None => {
                Err(Error::new(Kind::InvalidParams, format_args!("cursor {} is not open here", cursor.name))
                    .hint("call cursors.open in this session first"))
            }
        }
    }

    /// Whether anybody else than the session holds the cursor.
    pub(super) fn check_free(&self, cursor: &CursorOf) -> Result<(), Error> {
        match self.0.get(&(cursor.uid, cursor.name.clone())) {
            Some(&holder) if holder != cursor.session => Err(busy(cursor)),
            _ => Ok(()),
        }
    }

    pub(super) fn release(&mut self, cursor: &CursorOf) {
        self.0.remove(&(cursor.uid, cursor.name.clone()));
    }

    pub(super) fn release_all(&mut self, session: SessionId) {
        self.0.retain(|_, holder| *holder != session);
    }

    pub(super) fn is_held(&self, uid: u32, name: &str) -> bool {
        name.parse().is_ok_and(|name: CursorName| self.0.contains_key(&(uid, name)))
    }
}

fn busy(cursor: &CursorOf) -> Error {
    Error::new(Kind::Busy, format_args!("cursor {} is held by another reader", cursor.name))
        .hint("a cursor has one reader at a time; end the other one, or use a cursor of another name")
}
