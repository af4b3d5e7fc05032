//! Files on disk: what is shared and how it is opened, read and listed. The only room that opens a file that is shared
//! or downloaded; a path leaves its directory nowhere else than here, and here it can't. Knows nothing of sockets.

mod buffers;
mod hash;
mod leftover;
mod list;
mod part;
mod root;
mod share;
mod stage;
mod stream;
mod syncer;
mod target;
mod walk;

pub use buffers::Buffers;
pub use leftover::discard;
pub use list::{DirEntry, list};
pub use netkit_proto::path::numbered;
pub use part::{Naming, PartFile, TakenAway, find_placed, part_name, uncache};
pub use root::{Kind, OpenFile, Opened, Stamp, is_nothing};
pub use share::{Access, Share, Shares};
pub use stage::{Attributes, Stage, set};
pub use stream::FileStream;
pub use syncer::Syncer;
pub use target::{Group, Target, TargetDir};
pub use walk::{Step, Walk};

/// Does something on a thread that the modes of files hold for, whoever runs the tests.
#[cfg(test)]
pub(crate) fn without_capabilities<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySet::empty();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
            set_capabilities(None, sets).unwrap(); // of this thread alone
            what()
        });
        thread.join().unwrap()
    })
}
