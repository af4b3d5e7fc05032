//! System calls that no library offers in safe form. The only place of netkit with unsafe code.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Reads a socket option made of 32-bit numbers into `values`; how many bytes the kernel wrote, or would have.
fn get(socket: BorrowedFd<'_>, option: libc::c_int, values: &mut [u32]) -> Result<usize, (io::Error, usize)> {
    let mut len = libc::socklen_t::try_from(size_of_val(values)).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: `values` is valid for writes of `len` bytes, any bytes are valid u32s, and the kernel writes no more
    // than `len` bytes (getsockopt(2)); `socket` is open for the whole call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            values.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    let len = usize::try_from(len).unwrap_or(0);
    if result == 0 { Ok(len) } else { Err((io::Error::last_os_error(), len)) }
}

/// How many datagrams the kernel dropped at this socket because its buffer was full (`SO_MEMINFO`, sock_diag(7)).
///
/// # Errors
/// Those of getsockopt(2).
pub fn datagrams_dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0; SK_MEMINFO_DROPS + 1];
    get(socket, libc::SO_MEMINFO, &mut values).map_err(|(error, _)| error)?;
    Ok(values[SK_MEMINFO_DROPS])
}

/// The supplementary groups of the process that connected (`SO_PEERGROUPS`, unix(7)); `SO_PEERCRED` has none.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; 64];
    loop {
        match get(socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(bytes) => {
                groups.truncate(bytes / size_of::<u32>());
                return Ok(groups);
            }
            // The kernel tells how much it needs: at most NGROUPS_MAX = 65,536 groups.
            Err((error, bytes))
                if error.raw_os_error() == Some(libc::ERANGE) && bytes > size_of_val(&*groups) =>
            {
                groups.resize(bytes / size_of::<u32>(), 0);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Lets the allocator keep what was freed, up to 8 MiB, and take blocks below 1 MiB from it (mallopt(3)). By default it
/// gives the pieces of files that are on their way back to the kernel one by one, and the kernel clears each page
/// again: a tenth of the time of a download.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets numbers, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
    }
}

/// A descriptor that tokio waits for, of a kind that it has no type for.
#[derive(Debug)]
pub struct Waited(AsyncFd<OwnedFd>);

impl Waited {
    /// Takes a descriptor that does not block, within a runtime.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn new(fd: OwnedFd) -> io::Result<Waited> {
        // SAFETY: an `OwnedFd` keeps its descriptor open; it is neither replaced nor closed before the `AsyncFd` is,
        // since only shared references to it are given away.
        Ok(Waited(unsafe { AsyncFd::register(fd) }?))
    }

    /// Waits until something can be read. May be dropped.
    ///
    /// # Errors
    /// That the runtime ends.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn datagrams_beyond_the_buffer_are_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(datagrams_dropped(receiver.as_fd()).unwrap(), 0);
        for _ in 0..2000 {
            sender.send_to(&[0; 1000], receiver.local_addr().unwrap()).unwrap();
        }
        assert!(datagrams_dropped(receiver.as_fd()).unwrap() > 0);
    }

    #[test]
    fn own_groups_are_told() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut groups = peer_groups(a.as_fd()).unwrap();
        let mut own: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|g| g.as_raw()).collect();
        groups.sort_unstable();
        own.sort_unstable();
        assert_eq!(groups, own);
    }
}
