//! Files on disk: what is shared and how it is opened, read and listed. The only room that opens a shared file; a path
//! leaves a share nowhere else than here, and here it can't. Knows nothing of sockets.

mod buffers;
mod list;
mod root;
mod share;
mod stream;

pub use buffers::Buffers;
pub use list::{DirEntry, list};
pub use root::{Kind, OpenFile, Opened, Stamp};
pub use share::{Access, Share, Shares};
pub use stream::FileStream;
