//! The queue without store and engine: what is committed is what these tests say is.
