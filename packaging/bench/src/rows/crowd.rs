//! Row `crowd`: a thousand clients fetch a file at once, from netkitd and from nginx. One thread plays all of them, so
//! that the servers have the processor.

use super::Plan;
use super::idle::peak;
use super::servers::{Content, netkitd, nginx};
use crate::measure::{Subject, interleave, percentile};
use crate::report::Line;
use anyhow::{Context as _, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub(crate) const ROW: &str = "crowd";
/// What netkitd may have in memory for one, in MiB.
const PEAK: f64 = 64.0;
/// How long a crowd may take; far longer than it ever does.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let (clients, size) = if plan.quick { (100, 1 << 20) } else { (1000, 10 << 20) };
    let content = Content::new(size)?;
    let (daemon, ours) = netkitd(&content)?;
    let peer = nginx(&content)?;
    let mut subjects = vec![Subject::new("netkitd", || round(ours, clients, size))];
    if let Some((_, theirs)) = &peer {
        subjects.push(Subject::new("nginx", || round(*theirs, clients, size)));
    }
    let values = interleave(plan.rounds(2, 7), &mut subjects)?;
    drop(subjects);
    let peak = [peak(&daemon)?];
    daemon.stop()?;

    let what = format!("{clients} clients, {} MiB each, no failure", size >> 20);
    let [rate, first] = &values[0];
    let mut lines = vec![
        Line::new(ROW, "netkitd", "rate", "GB/s", rate).note(what),
        Line::new(ROW, "netkitd", "p99 to first byte", "ms", first),
        Line::new(ROW, "netkitd", "peak memory", "MiB", &peak).at_most(PEAK),
    ];
    match values.get(1) {
        Some([their_rate, their_first]) => {
            lines.push(Line::new(ROW, "nginx", "rate", "GB/s", their_rate));
            lines.push(Line::new(ROW, "nginx", "p99 to first byte", "ms", their_first));
            lines.push(Line::ratio(ROW, "rate", ("netkitd", rate), ("nginx", their_rate)));
            lines.push(Line::ratio(ROW, "p99 to first byte", ("netkitd", first), ("nginx", their_first)));
        }
        None => lines.push(Line::not_installed(ROW, "nginx")),
    }
    Ok(lines)
}

/// A client under way.
struct Client {
    stream: TcpStream,
    asked: Instant,
    first: Option<Duration>,
    got: u64,
}

/// Gigabytes a second of all together, and the 99th percentile of the time to the first byte in milliseconds. Fails
/// where a client did not get all.
fn round(from: SocketAddr, count: usize, size: u64) -> Result<[f64; 2]> {
    let request = format!("GET /b/f HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n");
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let began = Instant::now();
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(from).context("cannot connect")?;
        let asked = Instant::now();
        stream.write_all(request.as_bytes())?;
        stream.set_nonblocking(true)?;
        epoll::add(&events, &stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        clients.push(Client { stream, asked, first: None, got: 0 });
    }
    let (mut left, mut buffer) = (count, vec![0; 256 << 10]);
    let mut ready = Vec::with_capacity(256);
    while left > 0 {
        ensure!(began.elapsed() < DEADLINE, "{left} clients got no end in {DEADLINE:?}");
        ready.clear();
        epoll::wait(
            &events,
            spare_capacity(&mut ready),
            Some(&rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 }),
        )?;
        for event in &ready {
            let number = usize::try_from(event.data.u64())?;
            let client = clients.get_mut(number).context("an event of nobody")?;
            match client.stream.read(&mut buffer) {
                Ok(0) => {
                    ensure!(client.got > size, "client {number} got {} bytes of {size}", client.got);
                    epoll::delete(&events, &client.stream)?;
                    left -= 1;
                }
                Ok(len) => {
                    client.first.get_or_insert_with(|| client.asked.elapsed());
                    client.got += len as u64;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e).with_context(|| format!("client {number}")),
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut first: Vec<u64> =
        clients.iter().filter_map(|client| u64::try_from(client.first?.as_micros()).ok()).collect();
    let p99 = percentile(&mut first, 99).context("no client")?;
    Ok([(size * count as u64) as f64 / 1e9 / seconds, p99 as f64 / 1e3])
}
