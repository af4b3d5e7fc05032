//! The languages of the file port.

pub mod listing;
pub mod plain;
pub mod start;
