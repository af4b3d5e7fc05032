//! Clients of the file port within TLS: a netkit box of any identity, and programs that have none.

use super::{Answer, DEADLINE, Ended, Node, Running, command, connect, parse};
use netkit_daemon::identity::{Identity, tls};
use netkit_proto::chat::frame::ALPN;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A connection on which both sides proved who they are.
pub type Channel = StreamOwned<ClientConnection, TcpStream>;

/// A netkit box as the file port sees it, with no netkitd behind it.
pub struct Caller(Identity);

impl Caller {
    /// With an identity that nobody has seen.
    pub fn stranger() -> Caller {
        let dir = tempfile::tempdir().unwrap();
        Caller::from(dir.path())
    }

    /// With a box's own.
    pub fn of(node: &Node) -> Caller {
        Caller::from(&node.path("state"))
    }

    fn from(dir: &Path) -> Caller {
        Caller(Identity::load_or_create(dir, None).unwrap())
    }

    /// Shakes hands with a box.
    pub fn connect(&self, to: SocketAddr) -> Channel {
        let config = Arc::new(tls::client_config(&self.0, ALPN).unwrap());
        let connection = ClientConnection::new(config, tls::SERVER_NAME.try_into().unwrap()).unwrap();
        let stream = connect(to);
        stream.set_nodelay(true).unwrap(); // a handshake ends with a short message, and a request is another one
        StreamOwned::new(connection, stream)
    }

    /// `METHOD target` with these header lines, under way.
    pub fn ask(&self, to: SocketAddr, request: &str, headers: &[&str]) -> Channel {
        let mut channel = self.connect(to);
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!("{request} HTTP/1.1\r\nHost: netkit.local\r\n{headers}Connection: close\r\n\r\n");
        channel.write_all(head.as_bytes()).unwrap();
        channel
    }

    /// The same with its whole answer.
    pub fn http(&self, to: SocketAddr, request: &str, headers: &[&str]) -> Answer {
        let mut answer = Vec::new();
        self.ask(to, request, headers).read_to_end(&mut answer).unwrap();
        parse(&answer)
    }
}

/// The head of an answer that is under way.
#[track_caller]
pub fn head(channel: &mut Channel) -> Answer {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        channel.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    parse(&head)
}

/// `openssl s_client` with these words, which is sent `input`.
pub fn openssl(to: SocketAddr, words: &[&str], input: &str) -> Ended {
    let to = to.to_string();
    let common = ["s_client", "-connect", &to, "-quiet", "-ign_eof", "-no_ticket"];
    Running::to_end(command("openssl", &[&common, words].concat()), input.as_bytes())
}

/// `curl -k` with these words, the last of them a target.
pub fn curl(to: SocketAddr, words: &[&str]) -> Ended {
    let (target, words) = words.split_last().unwrap();
    let (url, most) = (format!("https://{to}{target}"), DEADLINE.as_secs().to_string());
    let words = [&["-sS", "-k", "--path-as-is", "-m", &most], words, &[&url]].concat();
    Running::to_end(command("curl", &words), b"")
}
