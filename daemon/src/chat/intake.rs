//! Lines that wait between the socket and the log, one queue a source. While they fit, nothing is lost; when they
//! do not, the source with the most waiting loses its newest, so that a flood costs only who makes it. Sources
//! take turns. Pure data: no socket, no clock.

use crate::hub::handle::Arrived;
use crate::limits;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// See the module.
#[derive(Debug)]
pub(super) struct Intake {
    queues: HashMap<IpAddr, Queue>,
    /// Sources with a queue, in the order of their turns.
    turns: VecDeque<IpAddr>,
    bytes: usize,
    max_bytes: usize,
    max_sources: usize,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Arrived>,
    bytes: usize,
}

/// The queue that sources share once there are too many.
const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn cost(arrived: &Arrived) -> usize {
    arrived.line.text.len() + limits::INTAKE_OVERHEAD
}

impl Intake {
    pub(super) fn new() -> Intake {
        Intake::with_bounds(limits::INTAKE_BYTES, limits::INTAKE_SOURCES)
    }

    fn with_bounds(max_bytes: usize, max_sources: usize) -> Intake {
        Intake { queues: HashMap::new(), turns: VecDeque::new(), bytes: 0, max_bytes, max_sources }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Takes a line in; how many lines were dropped for it.
    pub(super) fn push(&mut self, arrived: Arrived) -> u64 {
        let mut source = arrived.from.ip();
        if !self.queues.contains_key(&source) && self.queues.len() >= self.max_sources {
            source = CROWD;
        }
        let cost = cost(&arrived);
        let own = self.queues.get(&source).map_or(0, |queue| queue.bytes) + cost;
        let mut dropped = 0;
        while self.bytes + cost > self.max_bytes {
            // Where this source is at or over its share the answer is known without looking at all the others.
            let share = self.max_bytes / self.queues.len().max(1);
            let Some(heaviest) = (own < share).then(|| self.heaviest()).flatten().filter(|&(_, b)| b >= own)
            else {
                return dropped + 1;
            };
            self.drop_newest(heaviest.0);
            dropped += 1;
        }
        let queue = self.queues.entry(source).or_default();
        if queue.lines.is_empty() {
            self.turns.push_back(source);
        }
        queue.bytes += cost;
        self.bytes += cost;
        queue.lines.push_back(arrived);
        dropped
    }

    fn heaviest(&self) -> Option<(IpAddr, usize)> {
        self.queues.iter().map(|(&source, queue)| (source, queue.bytes)).max_by_key(|&(_, bytes)| bytes)
    }

    fn drop_newest(&mut self, source: IpAddr) {
        let Some(queue) = self.queues.get_mut(&source) else { return };
        if let Some(line) = queue.lines.pop_back() {
            queue.bytes -= cost(&line);
            self.bytes -= cost(&line);
        }
        if queue.lines.is_empty() {
            self.queues.remove(&source);
            self.turns.retain(|&turn| turn != source);
        }
    }

    /// At most `most` lines, one from each source in turn.
    pub(super) fn pop(&mut self, most: usize) -> Vec<Arrived> {
        let mut lines = Vec::new();
        while lines.len() < most
            && let Some(source) = self.turns.pop_front()
        {
            let Some(queue) = self.queues.get_mut(&source) else { continue };
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= cost(&line);
                self.bytes -= cost(&line);
                lines.push(line);
            }
            if queue.lines.is_empty() {
                self.queues.remove(&source);
            } else {
                self.turns.push_back(source);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::chat::plain::{Encoding, Line};
    use std::net::SocketAddr;

    fn line(source: u8, text: &str) -> Arrived {
        let line = Line { text: text.into(), encoding: Encoding::Utf8 };
        Arrived { from: SocketAddr::from(([10, 0, 0, source], 1)), local: None, line }
    }

    fn popped(intake: &mut Intake, most: usize) -> Vec<String> {
        intake.pop(most).into_iter().map(|arrived| arrived.line.text).collect()
    }

    fn bounds(lines: usize, sources: usize) -> Intake {
        Intake::with_bounds(lines * cost(&line(0, "xx")), sources)
    }

    #[test]
    fn sources_take_turns_and_keep_their_order() {
        let mut intake = bounds(100, 10);
        for text in ["a1", "a2", "a3"] {
            assert_eq!(intake.push(line(1, text)), 0);
        }
        intake.push(line(2, "b1"));
        intake.push(line(3, "c1"));
        intake.push(line(2, "b2"));
        assert_eq!(popped(&mut intake, 4), ["a1", "b1", "c1", "a2"]);
        assert_eq!(popped(&mut intake, 9), ["b2", "a3"]);
        assert!(intake.is_empty());
        assert_eq!((intake.bytes, intake.queues.len()), (0, 0));
    }

    #[test]
    fn a_flood_costs_only_who_makes_it() {
        let mut intake = bounds(10, 10);
        let flood: u64 = (0..1000).map(|_| intake.push(line(1, "fl"))).sum();
        assert_eq!(flood, 990);
        assert_eq!(intake.push(line(2, "b1")), 1, "the flood's newest goes");
        assert_eq!(intake.push(line(3, "c1")), 1);
        assert_eq!(intake.push(line(1, "fl")), 1, "its own newest goes");
        let lines = popped(&mut intake, 99);
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[..3], ["fl", "b1", "c1"]);
    }

    #[test]
    fn two_floods_and_a_trickle_share() {
        let mut intake = bounds(30, 10);
        let mut trickle = 0;
        for round in 0..100 {
            for _ in 0..10 {
                intake.push(line(1, "aa"));
                intake.push(line(2, "bb"));
            }
            if round % 10 == 0 {
                trickle += intake.push(line(3, "cc"));
            }
            let lines = popped(&mut intake, 10);
            let a = lines.iter().filter(|l| *l == "aa").count();
            let b = lines.iter().filter(|l| *l == "bb").count();
            assert!(a.abs_diff(b) <= 1, "{a} and {b}");
            assert_eq!(lines.iter().any(|l| l == "cc"), round % 10 == 0, "the trickle goes through at once");
        }
        assert_eq!(trickle, 9, "but for the first, each of its lines took the place of one of a flood's");
    }

    #[test]
    fn many_sources_share_one_queue_beyond_the_bound() {
        let mut intake = bounds(100, 4);
        for source in 0..50 {
            intake.push(line(source, "xx"));
        }
        assert_eq!(intake.queues.len(), 5, "four and the crowd");
        assert_eq!(popped(&mut intake, 99).len(), 50);
    }

    #[test]
    fn a_line_larger_than_all_room_is_dropped() {
        let mut intake = bounds(1, 4);
        assert_eq!(intake.push(line(1, &"x".repeat(10_000))), 1);
        assert!(intake.is_empty());
    }
}
