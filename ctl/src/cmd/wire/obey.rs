//! Does what lines say, typed or read: sends them, or obeys a command. What nobody can take yet is held, and nothing
//! more is read meanwhile. Called by `run` and `turn`.

use super::command::{Command, HELP, parse};
use super::entry::What;
use super::input::Came;
use super::journal::counted;
use super::limits;
use super::peers::Target;
use super::run::Session;
use crate::exit::Outcome;

impl Session {
    /// Goes on with what was held, then with what was read.
    pub(super) fn obey_lines(&mut self) -> Outcome {
        if let Some(held) = self.pending.take() {
            self.obey(held)?;
            self.go_on();
        }
        self.is_behind = false;
        for _ in 0..limits::LINES {
            if self.pending.is_some() || self.is_ended {
                return Ok(());
            }
            let Some(next) = self.input.as_mut().and_then(super::input::Input::next) else { return Ok(()) };
            let command = next.and_then(|came| match came {
                Came::Raw(payload) => Ok(Command::Send(None, payload)),
                Came::Line(line) => parse(&line, &self.writing, self.settings.commands),
            });
            match command {
                Ok(command) => self.obey(command)?,
                Err(why) => {
                    self.is_line_refused = true;
                    self.journal.warn(&why);
                }
            }
        }
        self.is_behind = true;
        Ok(())
    }

    /// Obeys what somebody typed, who is told at once where nobody is there to hear it.
    pub(super) fn obey_typed(&mut self, line: &str) -> Outcome {
        match parse(line, &self.writing, true) {
            Ok(Command::Send(to, _)) if self.peers.meant(to.unwrap_or(self.target)).is_empty() => {
                self.journal.warn("not sent: nobody is there to send it to; /peers shows who is");
            }
            Ok(command) => self.obey(command)?,
            Err(why) => self.journal.warn(&why),
        }
        self.go_on();
        Ok(())
    }

    /// Lets the editor take another line, once this one is dealt with.
    fn go_on(&self) {
        if let Some(prompt) = self.prompt.as_ref().filter(|_| self.pending.is_none() && !self.is_ended) {
            prompt.go_on();
        }
    }

    fn obey(&mut self, command: Command) -> Outcome {
        match command {
            Command::Send(to, payload) => {
                let target = to.unwrap_or(self.target);
                if self.takes_more(target) {
                    return self.send(target, &payload, self.prompt.is_some());
                }
                match target {
                    Target::One(number) if self.peers.has_left(number) => {
                        self.journal.warn(&format!("not sent: #{number} has left"));
                    }
                    _ => self.pending = Some(Command::Send(to, payload)),
                }
            }
            Command::To(target) => self.target = target,
            Command::Peers => self.show_peers(),
            Command::Close(target) => self.close_peers(target)?,
            Command::As(format) => self.journal.format = format,
            Command::Help => HELP.iter().for_each(|line| self.journal.warn(line)),
            Command::Quit => self.is_ended = true,
            Command::Nothing => {}
        }
        Ok(())
    }

    fn show_peers(&mut self) {
        if self.peers.is_empty() {
            self.journal.warn("nobody is here");
        }
        let meant = self.peers.meant(self.target);
        for peer in self.peers.iter() {
            let mark = if meant.contains(&peer.facts.number) { "*" } else { " " };
            let (number, name) = (peer.facts.number, &peer.facts.name);
            let (received, sent) = (counted(peer.received), counted(peer.sent));
            self.journal.warn(&format!("{mark}#{number} {name}  received {received}; sent {sent}"));
        }
    }

    fn close_peers(&mut self, target: Target) -> Outcome {
        for number in self.peers.meant(target) {
            let Some(peer) = self.peers.get_mut(number) else { continue };
            if peer.stream.is_some() {
                peer.drop_queue();
                peer.is_leaving = true;
            } else if peer.facts.came
                && let Some(mut peer) = self.peers.remove(number)
            {
                self.journal.enter(&mut peer, What::Closed { trouble: None })?;
            }
        }
        Ok(())
    }
}
