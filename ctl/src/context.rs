//! What holds for every verb, as `cli` hands it to them.

use crate::client::Client;
use crate::exit::Outcome;
use std::path::PathBuf;

/// What holds for every verb.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// netkitd's socket.
    pub socket: PathBuf,
    /// Print for programs.
    pub json: bool,
}

impl Context {
    /// Begins a session with netkitd.
    ///
    /// # Errors
    /// See [`Client::connect`].
    pub(crate) fn connect(&self) -> Outcome<Client> {
        Client::connect(&self.socket)
    }
}
