//! The file port: one TCP listener for everybody who fetches files. `listener` accepts, `permits` shares out, `connection`
//! finds out what a client speaks; `bare` answers the tutorial's file name, `http` everything else. Runs on a runtime of
//! its own: a crowd of downloads delays neither chat nor control.

mod bare;
mod blob;
mod body;
mod caller;
mod conditions;
mod connection;
mod file;
mod hashing;
mod http;
mod listener;
mod manifest;
mod pages;
mod permits;
mod pieces;
mod site;
mod stream;
mod tar;
mod target;
mod tls;
mod tree;
mod turns;
mod unreadable;

pub use listener::FilePort;
pub use site::Ends;
