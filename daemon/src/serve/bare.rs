//! The tutorial's face: a bare file name is answered by the file's bytes, or by `no_file`.

use super::caller::Caller;
use super::site::Site;
use super::stream::Stream;
use crate::files::{FileStream, OpenFile, Opened, Share, is_nothing};
use netkit_proto::files::plain::{NO_FILE, paths_of};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::AsyncWriteExt as _;

/// Answers a request for `name`.
pub(super) async fn serve(
    mut stream: Stream,
    name: &[u8],
    caller: &Caller,
    site: &Arc<Site>,
) -> io::Result<()> {
    let cut_off = caller.cut_off(site); // from before the first look at what it may see
    let file = match find(name, site).await {
        Ok(Some((share, file))) => {
            caller.takes(&share);
            file
        }
        Ok(None) => {
            stream.write_all(NO_FILE).await?;
            stream.finish().await;
            return Ok(());
        }
        Err(error) => return Err(error), // a reset: a clean end would be an empty file
    };
    stream.begin()?;
    let size = file.stamp.size;
    let mut pieces = FileStream::new(file, 0..size, &site.buffers);
    tokio::select! {
        sent = send(&mut stream, &mut pieces, site) => sent?,
        () = cut_off => return Err(io::Error::other("the caller may not have it any more")),
    }
    site.counters.served.fetch_add(1, Relaxed);
    stream.finish().await;
    Ok(())
}

/// Whether a file of this name would be answered.
pub(super) async fn is_there(name: &[u8], site: &Arc<Site>) -> bool {
    matches!(find(name, site).await, Ok(Some(_)))
}

async fn send(stream: &mut Stream, pieces: &mut FileStream, site: &Site) -> io::Result<()> {
    while let Some(piece) = pieces.next().await? {
        stream.write_all(&piece).await?;
        site.counters.bytes.fetch_add(piece.len() as u64, Relaxed);
    }
    Ok(())
}

/// The file of this name in the first public share that has it.
async fn find(name: &[u8], site: &Site) -> io::Result<Option<(Arc<Share>, OpenFile)>> {
    let (paths, shares) = (paths_of(name), site.shares());
    for path in paths {
        for share in shares.public() {
            let opened = match share.open_cached(&path) {
                Some(opened) => opened,
                None => {
                    let (share, path) = (Arc::clone(share), path.clone());
                    tokio::task::spawn_blocking(move || share.open(&path)).await.map_err(io::Error::other)?
                }
            };
            match opened {
                Ok(Opened::File(file)) => return Ok(Some((Arc::clone(share), file))),
                Ok(Opened::Dir(_)) => {}
                Err(error) if is_nothing(&error) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(None)
}
