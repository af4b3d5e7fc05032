//! What is said on the chat port: the plain face, one datagram a line, and the frames of the peer protocol.

pub mod frame;
pub mod plain;
