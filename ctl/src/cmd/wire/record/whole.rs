//! The file of a record, in which entries stand whole: where the disk takes only a part of one, that part is cut off
//! again, so that what reads the file finds no broken end. Called by `record`.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// Bytes that are gathered before they are written though nobody asked for it.
const BUFFER: usize = 64 * 1024;

pub(super) struct Whole {
    file: File,
    /// What the file has.
    written: u64,
    gathered: Vec<u8>,
    /// Where in `gathered` entries end.
    ends: Vec<usize>,
}

impl Whole {
    pub(super) fn new(file: File) -> Whole {
        Whole { file, written: 0, gathered: Vec::new(), ends: Vec::new() }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// As [`Whole::flush`].
    pub(super) fn add(&mut self, entry: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(entry);
        self.ends.push(self.gathered.len());
        if self.gathered.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Hands all to the system.
    ///
    /// # Errors
    /// That it does not take all; the file ends with the last entry that it took whole.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let (gone, done) = write(&mut self.file, &self.gathered);
        self.written += whole(&self.ends, gone);
        if done.is_err() {
            let _ = self.file.set_len(self.written); // a device has no length; the failure is told
        }
        self.gathered.clear();
        self.ends.clear();
        done
    }
}

/// Writes all; how much has gone, and why not more.
fn write(to: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut gone = 0;
    while let Some(rest) = bytes.get(gone..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(0) => return (gone, Err(ErrorKind::WriteZero.into())),
            Ok(written) => gone += written,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (gone, Err(e)),
        }
    }
    (gone, Ok(()))
}

/// How much of `gone` bytes are whole entries.
fn whole(ends: &[usize], gone: usize) -> u64 {
    ends.iter().copied().take_while(|&end| end <= gone).last().unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0).min(4);
            self.0 -= taken;
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_entries() {
        let ends = [5, 7, 12];
        for (room, kept) in [(0, 0), (4, 0), (5, 5), (6, 5), (11, 7), (12, 12), (20, 12)] {
            let (gone, done) = write(&mut Disk(room), &[0; 12]);
            assert_eq!((whole(&ends, gone), done.is_ok()), (kept, room >= 12), "{room}");
        }
    }

    #[test]
    fn entries_come_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        let mut file = Whole::new(File::create(&path).unwrap());
        let large = vec![b'x'; BUFFER];
        for entry in [&b"one"[..], &large, b"two"] {
            file.add(entry).unwrap();
        }
        file.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [&b"one"[..], &large, b"two"].concat());
        assert_eq!(file.written, std::fs::metadata(&path).unwrap().len());
    }
}
