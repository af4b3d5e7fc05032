//! Reads an archive of small files (POSIX, pax interchange format) as a peer sends it: only regular files, each with its
//! hash and within bounds. Whatever else stands in an archive is refused. Blocks while it reads; writes nothing.

use netkit_proto::files::manifest::{BlockHash, from_hex};
use netkit_proto::path::SafePath;
use std::io::{self, Read};
use tar::{EntryType, Header};

/// Bytes that a header takes, and of which all is a multiple.
pub(super) const BLOCK: usize = 512;
/// Bytes of a header that says more of the next file: a path, a time and a hash need far less.
const EXTENSION: u64 = 16 << 10;

/// Headers of one file: its own, one that says more of it, and one for a long path.
const HEADERS: usize = 3;

/// A file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub path: SafePath,
    pub content: Vec<u8>,
    pub hash: BlockHash,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Archive<R> {
    from: R,
    /// The largest file that is taken.
    largest: u64,
}

/// What a header says of the next file.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    hash: Option<BlockHash>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(from: R, largest: u64) -> Archive<R> {
        Archive { from, largest }
    }

    /// The next file, which is what its hash says; `None` at the archive's end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is no such archive; what reading gives.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extension = Extension::default();
        let mut headers = 0;
        loop {
            headers += 1;
            if headers > HEADERS {
                return Err(wrong("headers without a file"));
            }
            let mut bytes = [0; BLOCK];
            self.from.read_exact(&mut bytes)?;
            if bytes == [0; BLOCK] {
                return Ok(None);
            }
            let header = Header::from_byte_slice(&bytes);
            let size = header.size().map_err(|_| wrong("a size that is none"))?;
            match header.entry_type() {
                EntryType::XHeader => extension.read(&self.content(size, EXTENSION)?)?,
                EntryType::GNULongName => {
                    let mut path = self.content(size, EXTENSION)?;
                    while path.last() == Some(&0) {
                        path.pop();
                    }
                    extension.path = Some(path);
                }
                EntryType::Regular => {
                    let path = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
                    let path = SafePath::parse(&path).map_err(|_| wrong("a path that is none"))?;
                    let hash = extension.hash.ok_or_else(|| wrong("a file without its hash"))?;
                    let content = self.content(size, self.largest)?;
                    if blake3::hash(&content) != hash {
                        return Err(wrong("a file that is not what its hash says"));
                    }
                    return Ok(Some(Member { path, content, hash }));
                }
                _ => return Err(wrong("something that is no file")),
            }
        }
    }

    /// So many bytes, and those that fill the last block.
    fn content(&mut self, size: u64, most: u64) -> io::Result<Vec<u8>> {
        if size > most {
            return Err(wrong("something larger than was asked for"));
        }
        let size = usize::try_from(size).map_err(io::Error::other)?;
        let mut content = vec![0; size.next_multiple_of(BLOCK)];
        self.from.read_exact(&mut content)?;
        content.truncate(size);
        Ok(content)
    }
}

impl Extension {
    /// Takes in records of the form `LENGTH KEY=VALUE\n`.
    fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let bad = || wrong("a header that can't be read");
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|length| length.parse().ok());
            let length: usize =
                length.filter(|length| (space + 2..=bytes.len()).contains(length)).ok_or_else(bad)?;
            let (record, rest) = bytes.split_at(length);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            match (&record[..equals], &record[equals + 1..]) {
                (b"path", value) => self.path = Some(value.to_vec()),
                (b"NETKIT.blake3", value) => {
                    self.hash = std::str::from_utf8(value).ok().and_then(from_hex);
                }
                _ => {}
            }
            bytes = rest;
        }
        Ok(())
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the archive has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::files::manifest::to_hex;
    use tar::Builder;

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header
    }

    fn add(builder: &mut Builder<Vec<u8>>, path: &str, content: &[u8]) {
        let hash = to_hex(blake3::hash(content).as_bytes());
        builder.append_pax_extensions([("NETKIT.blake3", hash.as_bytes()), ("mtime", b"1.5")]).unwrap();
        let mut header = header(EntryType::Regular, content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<Member>> {
        let mut archive = Archive::new(bytes, 1000);
        std::iter::from_fn(|| archive.next().transpose()).collect()
    }

    #[test]
    fn files_come_out_as_they_went_in() {
        let mut builder = Builder::new(Vec::new());
        let long = format!("{}/{}", "深".repeat(60), "x".repeat(200));
        for (path, content) in [("a", &b"one"[..]), ("d/empty", b""), (&long, &[7; 1000])] {
            add(&mut builder, path, content);
        }
        let bytes = builder.into_inner().unwrap();
        let members = read(&bytes).unwrap();
        let paths: Vec<&[u8]> = members.iter().map(|member| member.path.as_bytes()).collect();
        assert_eq!(paths, [&b"a"[..], b"d/empty", long.as_bytes()]);
        assert_eq!((members[0].content.as_slice(), members[2].content.len()), (&b"one"[..], 1000));
        for cut in [0, 5, 700, bytes.len() - 1024] {
            let error = read(&bytes[..cut]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
    }

    #[test]
    fn whatever_else_an_archive_can_have_is_refused() {
        let refused = |what: &str, fill: &dyn Fn(&mut Builder<Vec<u8>>)| {
            let mut builder = Builder::new(Vec::new());
            fill(&mut builder);
            let error = read(&builder.into_inner().unwrap()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}: {error}");
        };
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Char,
            EntryType::Block,
            EntryType::Fifo,
            EntryType::Directory,
            EntryType::GNULongLink,
            EntryType::GNUSparse,
            EntryType::XGlobalHeader,
        ] {
            refused(&format!("{kind:?}"), &|builder| {
                let mut header = header(kind, 0);
                header.set_path("x").unwrap();
                header.set_cksum();
                builder.append(&header, io::empty()).unwrap();
            });
        }
        for path in ["../x", "/x", "a/../../x", "", "a//b", "."] {
            refused(path, &|builder| {
                let hash = to_hex(blake3::hash(b"").as_bytes());
                let records = [("NETKIT.blake3", hash.as_bytes()), ("path", path.as_bytes())];
                builder.append_pax_extensions(records).unwrap();
                builder.append_data(&mut header(EntryType::Regular, 0), "x", io::empty()).unwrap();
            });
        }
        refused("no hash", &|builder| {
            builder.append_data(&mut header(EntryType::Regular, 1), "x", &b"x"[..]).unwrap();
        });
        refused("a wrong hash", &|builder| {
            builder.append_pax_extensions([("NETKIT.blake3", &[b'0'; 64][..])]).unwrap();
            builder.append_data(&mut header(EntryType::Regular, 1), "x", &b"x"[..]).unwrap();
        });
        refused("too large", &|builder| add(builder, "x", &[0; 1001]));
        refused("a huge header", &|builder| {
            let records = vec![b'x'; EXTENSION as usize + 1];
            builder.append_pax_extensions([("comment", records.as_slice())]).unwrap();
        });
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for records in
            ["5 a\n", "99 a=b\n", "x a=b\n", "0 a=b\n", "6 a=b", "18446744073709551615 a=b\n", "2 \n"]
        {
            assert!(Extension::default().read(records.as_bytes()).is_err(), "{records:?}");
        }
        assert!(Extension::default().read(b"6 a=b\n").is_ok());
    }
}
