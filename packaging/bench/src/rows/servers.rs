//! Who serves the files of `fetch` and `crowd`: netkitd, and nginx with sendfile, one worker a core. Both serve one
//! directory under `/b/`.

use crate::daemon::Daemon;
use crate::process::{Guard, in_path};
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory that both serve, with one file `f` in it.
#[derive(Debug)]
pub(crate) struct Content {
    dir: TempDir,
    pub(crate) size: u64,
}

impl Content {
    /// A file of so many bytes, in the page cache afterwards.
    pub(crate) fn new(size: u64) -> Result<Content> {
        let dir = TempDir::with_prefix("netkit-bench-files-").context("cannot make a temporary directory")?;
        fs::create_dir(dir.path().join("b"))?;
        let mut zeros = std::io::Read::take(std::io::repeat(b'n'), size);
        std::io::copy(&mut zeros, &mut File::create(dir.path().join("b/f"))?)
            .context("cannot write the file")?;
        Ok(Content { dir, size })
    }

    /// The directory with the file in it.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.path().join("b")
    }
}

/// A netkitd that shares the content.
pub(crate) fn netkitd(content: &Content) -> Result<(Daemon, SocketAddr)> {
    let share =
        format!("[[share]]\nname = \"b\"\npath = \"{}\"\naccess = \"public\"\n", content.shared().display());
    let daemon = Daemon::start_with(&share)?;
    let address = daemon.connect()?.files_address()?;
    Ok((daemon, address))
}

/// An nginx that serves the content; `None` where it is not installed.
pub(crate) fn nginx(content: &Content) -> Result<Option<(Guard, SocketAddr)>> {
    let Some(nginx) =
        in_path("nginx").or_else(|| Some("/usr/sbin/nginx".into()).filter(|p: &PathBuf| p.is_file()))
    else {
        return Ok(None);
    };
    // A port that was free a moment ago: nginx can't be asked which one it got.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let at = content.dir.path().display();
    let workers = std::thread::available_parallelism()?;
    let config = format!(
        "worker_processes {workers}; worker_rlimit_nofile 65536; pid {at}/nginx.pid; error_log {at}/nginx.log; daemon off;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; \
         server {{ listen {address} backlog=4096; root {at}; }} }}\n"
    );
    let file = content.dir.path().join("nginx.conf");
    fs::write(&file, config)?;
    // Its workers run as another user, who must be let in.
    fs::set_permissions(content.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = Command::new(nginx);
    command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = Guard::spawn("nginx", &mut command)?;
    guard.wait_ready(|| TcpStream::connect(address)).context("nginx does not start")?;
    Ok(Some((guard, address)))
}
