//! Row `bare`: a text by its bare name: by `netkitctl get --wait` from the file port of another netkitd, synced, and by a
//! tutorial's Python client from that tutorial's Python server, not synced.

use super::Plan;
use super::arrival::{Fetcher, round};
use super::servers::{Content, netkitd};
use crate::measure::{Subject, interleave};
use crate::process::{Guard, in_path};
use crate::report::Line;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const ROW: &str = "bare";
/// netkitctl's rate in multiples of the tutorial's.
const ASKED: f64 = 8.0;

/// Listens where it is told, and sends a kilobyte at a time; a thread a client.
const SERVER: &str = r#"
import socket, sys, threading

def send_info(client):
    try:
        name = client.recv(1024).decode("utf-8")
    except Exception:
        return
    try:
        with open(name, "rb") as f:
            while True:
                info = f.read(1024)
                if not info:
                    break
                client.send(info)
        client.close()
    except Exception:
        client.send("no_file".encode("utf-8"))
        client.close()

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen(128)
while True:
    client, address = server.accept()
    threading.Thread(target=send_info, args=(client,)).start()
"#;

/// Asks its user for a name, and appends a kilobyte at a time to a file that it opens for each.
const CLIENT: &str = r#"
import socket, sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect(("127.0.0.1", int(sys.argv[1])))
name = input()
client.send(name.encode("utf-8"))
while True:
    data = client.recv(1024)
    if not data:
        break
    elif data.decode("utf-8") == "no_file":
        print("no such file", file=sys.stderr)
        break
    with open("new-%s" % name, "ab") as f:
        f.write(data)
client.close()
"#;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let content = Content::new(if plan.quick { 8 << 20 } else { 256 << 20 })?;
    let (daemon, ours) = netkitd(&content)?;
    let source = format!("tcp://{ours}/f");
    let fetcher = Fetcher::start()?;
    let python = in_path("python3");
    let server = match &python {
        Some(python) => Some((python, server(python, &content.shared())?)),
        None => None,
    };
    let mut subjects = vec![Subject::new("netkitctl", || fetcher.get(&source, content.size))];
    if let Some((python, (_, theirs))) = &server {
        subjects.push(Subject::new("python", || {
            round(&mut client(python, *theirs, fetcher.dir())?, &fetcher.file("new-f"), content.size)
        }));
    }
    let values = interleave(plan.rounds(2, 7), &mut subjects)?;
    drop(subjects);
    fetcher.stop()?;
    daemon.stop()?;

    let what = format!("{} MiB of text to the disk, synced, from a netkitd", content.size >> 20);
    let mut lines = vec![Line::new(ROW, "netkitctl", "rate", "GB/s", &values[0][0]).note(what)];
    match values.get(1) {
        Some([python]) => {
            lines
                .push(Line::new(ROW, "python", "rate", "GB/s", python).note("client and server, not synced"));
            let line = Line::ratio(ROW, "rate", ("netkitctl", &values[0][0]), ("python", python));
            lines.push(line.at_least(ASKED));
        }
        None => lines.push(Line::not_installed(ROW, "python3")),
    }
    Ok(lines)
}

/// The tutorial's server of what is in a directory.
fn server(python: &Path, dir: &Path) -> Result<(Guard, SocketAddr)> {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(python);
    command.arg("-c").arg(SERVER).arg(address.port().to_string()).current_dir(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = Guard::spawn("python3", &mut command)?;
    guard.wait_ready(|| TcpStream::connect(address)).context("the tutorial's server does not start")?;
    Ok((guard, address))
}

/// The tutorial's client, whose user types `f`.
fn client(python: &Path, server: SocketAddr, dir: &Path) -> Result<Command> {
    let typed = dir.join("typed");
    fs::write(&typed, "f\n")?;
    let mut command = Command::new(python);
    command.arg("-c").arg(CLIENT).arg(server.port().to_string()).current_dir(dir).stdin(File::open(typed)?);
    Ok(command)
}
