//! What is said on the chat port: today the plain face, one datagram a line.

pub mod plain;
