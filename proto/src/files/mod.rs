//! The languages of the file port.

pub mod checksum;
pub mod listing;
pub mod manifest;
pub mod pattern;
pub mod plain;
pub mod source;
pub mod start;
