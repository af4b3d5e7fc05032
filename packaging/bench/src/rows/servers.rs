//! Who serves the files of the rows that fetch: netkitd; nginx with sendfile, one worker a core; an rsync daemon; an sshd.
//! All serve one directory, as `b`.

use crate::daemon::Daemon;
use crate::process::{Guard, in_path};
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
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
        let content = Content { dir, size };
        content.add("f", b'n')?;
        Ok(content)
    }

    /// Another file of that size: of this byte alone.
    pub(crate) fn add(&self, name: &str, byte: u8) -> Result<()> {
        let mut bytes = std::io::Read::take(std::io::repeat(byte), self.size);
        std::io::copy(&mut bytes, &mut File::create(self.shared().join(name))?)
            .context("cannot write the file")?;
        Ok(())
    }

    /// Has all of it in the page cache again: a kernel may take back what it holds, and one round would read a disk that
    /// writes for another.
    pub(crate) fn warm(&self) -> Result<()> {
        for entry in fs::read_dir(self.shared())? {
            std::io::copy(&mut File::open(entry?.path())?, &mut std::io::sink())
                .context("cannot read the file")?;
        }
        Ok(())
    }

    /// The directory with the file in it.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.path().join("b")
    }
}

/// A netkitd that shares the content.
pub(crate) fn netkitd(content: &Content) -> Result<(Daemon, SocketAddr)> {
    let daemon = Daemon::start_with(&shared_by(content))?;
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

/// A netkitd of this name that shares the content with its peers.
pub(crate) fn named(name: &str, content: &Content) -> Result<Daemon> {
    Daemon::named_with(name, &shared_by(content))
}

/// What the configuration of a netkitd says that shares the content.
pub(crate) fn shared_by(content: &Content) -> String {
    format!("[[share]]\nname = \"b\"\npath = \"{}\"\naccess = \"public\"\n", content.shared().display())
}

/// An rsync daemon that serves the content, and its URL; `None` where rsync is not installed.
pub(crate) fn rsync(content: &Content) -> Result<Option<(Guard, String)>> {
    let Some(rsync) = in_path("rsync") else { return Ok(None) };
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let at = content.dir.path().display();
    let file = content.dir.path().join("rsyncd.conf");
    fs::write(&file, format!("use chroot = no\n[b]\npath = {at}/b\nread only = yes\n"))?;
    let mut command = Command::new(rsync);
    command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]);
    command.arg(format!("--port={}", address.port())).arg(format!("--config={}", file.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = Guard::spawn("rsync", &mut command)?;
    guard.wait_ready(|| TcpStream::connect(address)).context("rsync does not start")?;
    Ok(Some((guard, format!("rsync://{address}/b/"))))
}

/// An sshd of the bench's own user.
#[derive(Debug)]
pub(crate) struct Ssh {
    _guard: Guard,
    address: SocketAddr,
    /// Where its keys are, and the content.
    dir: PathBuf,
}

/// An sshd on loopback; why there is none, where it is not installed or lets this user not in.
pub(crate) fn sshd(content: &Content) -> Result<Result<Ssh, String>> {
    let found = in_path("sshd").or_else(|| Some("/usr/sbin/sshd".into()).filter(|p: &PathBuf| p.is_file()));
    let (Some(sshd), Some(keygen), Some(_)) = (found, in_path("ssh-keygen"), in_path("scp")) else {
        return Ok(Err("not installed".to_owned()));
    };
    let dir = content.dir.path().to_owned();
    for key in ["host", "user"] {
        let mut make = Command::new(&keygen);
        make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(key)).stdin(Stdio::null());
        ensure!(make.status()?.success(), "ssh-keygen makes no key");
    }
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let at = dir.display();
    let config = format!(
        "Port {}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nStrictModes no\n\
         UsePAM no\nPidFile none\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
        address.port()
    );
    fs::write(dir.join("sshd_config"), config)?;
    if rustix::process::getuid().is_root() {
        fs::create_dir_all("/run/sshd")?; // where it confines what is not let in yet
    }
    let mut command = Command::new(sshd);
    command.arg("-D").arg("-f").arg(dir.join("sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = Guard::spawn("sshd", &mut command)?;
    if let Err(error) = guard.wait_ready(|| TcpStream::connect(address)) {
        return Ok(Err(format!("{error:#}")));
    }
    let ssh = Ssh { _guard: guard, address, dir };
    // A user whose account is locked is let in by no key where PAM is not asked.
    let probe = ssh.copy("sshd_config", &ssh.dir.join("probe")).output()?;
    let said = String::from_utf8_lossy(&probe.stderr).trim_end().to_owned();
    Ok(if probe.status.success() { Ok(ssh) } else { Err(said) })
}

impl Ssh {
    /// Copies a file of the content by AES-GCM, and syncs it.
    pub(crate) fn copy(&self, from: &str, to: &Path) -> Command {
        let at = self.dir.display();
        let script = format!(
            "scp -q -c aes128-gcm@openssh.com -P {} -i {at}/user -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes 127.0.0.1:{at}/{from} \"$0\" \
             && sync \"$0\"",
            self.address.port()
        );
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(to).stdin(Stdio::null());
        shell
    }
}
