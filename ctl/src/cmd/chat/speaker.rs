//! Says lines in a conversation, each exactly once: where netkitd goes away in between, the line is said again
//! under the same key, and netkitd knows whether it has it.

use super::Settings;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::listener::{BackOff, is_absence};
use netkit_proto::chat::plain::is_bye;
use netkit_proto::name::Key;
use netkit_proto::rpc::call::{ChatSend, Sent};
use std::time::SystemTime;

/// What a line that was said means for the conversation.
pub(crate) enum Said {
    /// It is committed.
    Committed(Sent),
    /// It is committed and ends the conversation.
    Bye(Sent),
    /// It was not taken; the conversation can go on.
    Refused(Failure),
}

pub(crate) struct Speaker<'a> {
    settings: &'a Settings,
    client: Client,
    /// Told apart from every other conversation of this user.
    key_prefix: String,
    lines: u64,
}

impl<'a> Speaker<'a> {
    pub(crate) fn open(settings: &'a Settings) -> Outcome<Speaker<'a>> {
        let client = Client::connect(&settings.socket)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let key_prefix = format!("chat:{}:{}", std::process::id(), now.as_nanos());
        Ok(Speaker { settings, client, key_prefix, lines: 0 })
    }

    /// Says a line.
    ///
    /// # Errors
    /// What makes going on pointless: nobody is there, or this caller may not.
    pub(crate) fn say(&mut self, text: &str) -> Outcome<Said> {
        self.lines += 1;
        let key: Key = format!("{}:{}", self.key_prefix, self.lines)
            .parse()
            .map_err(|e| Failure::new(Exit::Failed, format!("making a key: {e}")))?;
        let request =
            ChatSend { to: self.settings.peer.clone(), text: text.to_owned(), key: Some(key), expire: None };
        let mut back_off = BackOff::default();
        let error = loop {
            match self.client.call(&request) {
                Ok(sent) if is_bye(text) => return Ok(Said::Bye(sent)),
                Ok(sent) => return Ok(Said::Committed(sent)),
                Err(e) if is_absence(&e) => loop {
                    std::thread::sleep(back_off.pause());
                    if let Ok(client) = Client::connect(&self.settings.socket) {
                        self.client = client;
                        break;
                    }
                },
                Err(e) => break Failure::from(e),
            }
        };
        match error.exit {
            Exit::NotFound | Exit::Refused | Exit::Usage => Err(error),
            _ => Ok(Said::Refused(error)),
        }
    }
}
