//! Servers that others wrote: nginx, and what Python brings along, with and without TLS.

use super::{Running, command, eventually};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A server that serves a directory.
pub struct Server {
    pub address: SocketAddr,
    pub dir: TempDir,
    _running: Running,
}

fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("netkit-server-").tempdir().unwrap();
    // nginx's workers run as another user.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    dir
}

impl Server {
    /// Where the files are that it serves.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// nginx as Debian has it. What it was asked is in its log: method, range, status.
    pub fn nginx() -> Server {
        let dir = directory();
        let at = dir.path().display();
        loop {
            // A port that was free a moment ago: nginx can't be asked which one it got.
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let config = format!(
                "worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx.log; daemon off;\n\
                 events {{ worker_connections 64; }}\n\
                 http {{ log_format asked '$request_method $http_range $status'; \
                 access_log {at}/access.log asked; client_body_temp_path {at}/body; \
                 proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; \
                 scgi_temp_path {at}/scgi; sendfile on; \
                 server {{ listen {address}; root {at}/files; }} }}\n"
            );
            let file = dir.path().join("nginx.conf");
            std::fs::write(&file, config).unwrap();
            let words = ["-c".into(), file.into_os_string()];
            let mut running = Running::start(command("nginx", &words));
            let is_up = eventually("nginx starts", || match TcpStream::connect(address) {
                Ok(_) => Some(true),
                Err(_) => (!running.is_running()).then_some(false),
            });
            if is_up && running.is_running() {
                return Server { address, dir, _running: running };
            }
        }
    }

    /// What nginx was asked.
    pub fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// `python3 -m http.server`: no ranges, no entity tags, HTTP/1.0.
    pub fn python() -> Server {
        let dir = directory();
        let files = dir.path().join("files").display().to_string();
        let words = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", &files];
        let mut running = Running::start(command("python3", &words));
        let told = running.line(); // Serving HTTP on 127.0.0.1 port 41000 (…
        let port = told.split(" port ").nth(1).and_then(|rest| rest.split(' ').next());
        let port: u16 = port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{told}"));
        Server { address: ([127, 0, 0, 1], port).into(), dir, _running: running }
    }

    /// The same by HTTPS, with a certificate for 127.0.0.1 by an authority of its own: [`Server::authority`].
    pub fn https() -> Server {
        const PROGRAM: &str = "\
import http.server, os, ssl, sys
os.chdir(sys.argv[1] + '/files')
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + '/leaf.pem', sys.argv[1] + '/leaf.key')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
";
        let dir = directory();
        certificates(dir.path());
        let at = dir.path().display().to_string();
        let mut running = Running::start(command("python3", &["-c", PROGRAM, &at]));
        let port: u16 = running.line().parse().unwrap();
        Server { address: ([127, 0, 0, 1], port).into(), dir, _running: running }
    }

    /// The certificate of the authority that vouches for the HTTPS server.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("authority.pem")
    }
}

/// An authority, and a certificate of its for 127.0.0.1.
fn certificates(dir: &Path) {
    let at = |name: &str| dir.join(name).display().to_string();
    let new = |name: &str, more: &[&str]| {
        let (key, out) = (at(&format!("{name}.key")), at(&format!("{name}.pem")));
        let words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let subject = format!("/CN=netkit test {name}");
        let words = [&words[..], &["-keyout", &key, "-out", &out, "-subj", &subject], more].concat();
        Running::to_end(command("openssl", &words), b"").expect(0);
    };
    new("authority", &["-addext", "keyUsage=critical,keyCertSign"]);
    let (authority, key) = (at("authority.pem"), at("authority.key"));
    let leaf = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    new("leaf", &[&leaf[..], &["-CA", &authority, "-CAkey", &key]].concat());
}
