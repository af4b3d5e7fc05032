//! Computes the checksum of a file that lies on the disk. Blocks.

use crate::limits;
use netkit_proto::files::checksum::{Algorithm, Checksum};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use tokio_util::sync::CancellationToken;

/// Reads all of a file and gives its checksum and size.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::Interrupted`] where `stop` came first.
pub(super) fn checksum(
    file: &File,
    algorithm: Algorithm,
    stop: &CancellationToken,
) -> io::Result<(Checksum, u64)> {
    let (digest, size) = match algorithm {
        Algorithm::Blake3 => {
            let mut hasher = blake3::Hasher::new();
            let size = read(file, stop, |bytes| {
                hasher.update(bytes);
            })?;
            (hasher.finalize().as_bytes().to_vec(), size)
        }
        Algorithm::Sha256 => digest::<sha2::Sha256>(file, stop)?,
        Algorithm::Sha512 => digest::<sha2::Sha512>(file, stop)?,
        Algorithm::Md5 => digest::<md5::Md5>(file, stop)?,
    };
    let checksum = Checksum::new(algorithm, &digest);
    Ok((checksum.ok_or_else(|| io::Error::other("a digest of another length"))?, size))
}

fn digest<D: sha2::Digest>(file: &File, stop: &CancellationToken) -> io::Result<(Vec<u8>, u64)> {
    let mut hasher = D::new();
    let size = read(file, stop, |bytes| hasher.update(bytes))?;
    Ok((hasher.finalize().to_vec(), size))
}

fn read(file: &File, stop: &CancellationToken, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut buffer = vec![0; limits::VERIFY_PIECE];
    let mut at = 0;
    loop {
        if stop.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(at),
            Ok(len) => {
                each(&buffer[..len]);
                at += len as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn each_algorithm_gives_its_digest() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        // FIPS 180-4 and RFC 1321 have these of "abc"; BLAKE3's is of its reference implementation.
        for expected in [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "md5:900150983cd24fb0d6963f7d28e17f72",
            "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ] {
            let expected: Checksum = expected.parse().unwrap();
            let found = checksum(&file, expected.algorithm(), &CancellationToken::new()).unwrap();
            assert_eq!(found, (expected, 3));
        }
    }

    #[test]
    fn it_stops_when_told_to() {
        let stop = CancellationToken::new();
        stop.cancel();
        let error = checksum(&tempfile::tempfile().unwrap(), Algorithm::Md5, &stop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
