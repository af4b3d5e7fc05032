//! mosquitto as the peer of `stream`: a broker in memory, and a client that publishes with QoS 1, spoken by hand so that
//! both sides cost as little as they can (MQTT 3.1.1, sections 3.1 to 3.4).

use super::stream::TEXT;
use crate::process::{Guard, in_path};
use anyhow::{Context as _, Result, ensure};
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Messages published and not yet acknowledged: what a link of netkit's has on its way.
const WINDOW: usize = 4096;
/// Messages written at once.
const BURST: usize = 64;
const TOPIC: &[u8] = b"bench";
const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench";
const PUBACK: u8 = 0x40;

/// A broker.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    _guard: Guard, // goes before the directory of its configuration
    _dir: TempDir,
    port: u16,
}

/// None where it is not installed.
pub(crate) fn start() -> Result<Option<Mosquitto>> {
    let usual = || Some(PathBuf::from("/usr/sbin/mosquitto")).filter(|path| path.is_file());
    let Some(program) = in_path("mosquitto").or_else(usual) else { return Ok(None) };
    let dir = TempDir::with_prefix("netkit-bench-mqtt-").context("cannot make a temporary directory")?;
    // A port that was free a moment ago: it takes no port 0.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let file = dir.path().join("mosquitto.conf");
    let limits = "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true";
    let config = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n{limits}\n"
    );
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = Guard::spawn("mosquitto", &mut command)?;
    guard.wait_ready(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
    Ok(Some(Mosquitto { _guard: guard, _dir: dir, port }))
}

impl Mosquitto {
    /// Messages a second, each acknowledged by the broker.
    pub(crate) fn round(&self, messages: usize) -> Result<[f64; 1]> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(CONNECT)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let mut connack = [0; 4];
        answers.read_exact(&mut connack).context("mosquitto does not answer")?;
        ensure!(connack == [0x20, 2, 0, 0], "mosquitto refused: {connack:?}");
        let (mut sent, mut acknowledged, mut burst) = (0, 0, Vec::new());
        let start = Instant::now();
        while acknowledged < messages {
            if sent < messages && sent - acknowledged + BURST <= WINDOW {
                burst.clear();
                let count = BURST.min(messages - sent);
                (sent..sent + count).for_each(|n| publish(n, &mut burst));
                stream.write_all(&burst).context("mosquitto takes no more")?;
                sent += count;
                continue;
            }
            let mut answer = [0; 4];
            answers.read_exact(&mut answer).context("mosquitto does not answer")?;
            ensure!(answer[0] == PUBACK, "mosquitto says {answer:?}");
            acknowledged += 1;
        }
        Ok([messages as f64 / start.elapsed().as_secs_f64()])
    }
}

/// A PUBLISH with QoS 1; its packet identifier is never 0.
fn publish(n: usize, to: &mut Vec<u8>) {
    let length = 2 + TOPIC.len() + 2 + TEXT;
    to.extend([0x32, length as u8]); // below 128, so that it fits its one byte
    to.extend([0, TOPIC.len() as u8]);
    to.extend(TOPIC);
    to.extend(((n % 65_535 + 1) as u16).to_be_bytes());
    to.extend([b'x'; TEXT]);
}
