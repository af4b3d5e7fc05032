//! A session of the control socket, spoken by hand.

use super::DEADLINE;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A session.
pub struct Control {
    stream: BufReader<UnixStream>,
    last_id: u64,
    /// Notifications that came while an answer was waited for.
    pub notified: Vec<Value>,
}

impl Control {
    pub fn connect(path: &Path) -> Control {
        Control::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// A session, where there is a netkitd.
    pub fn try_connect(path: &Path) -> Option<Control> {
        Control::open(path).ok()
    }

    fn open(path: &Path) -> std::io::Result<Control> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Ok(Control { stream: BufReader::new(stream), last_id: 0, notified: Vec::new() })
    }

    /// Sends bytes; `None` where netkitd went away.
    pub fn try_send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.get_mut().write_all(bytes).ok()
    }

    /// The next line; `None` where netkitd went away.
    pub fn try_line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|&read| read > 0)?;
        serde_json::from_str(&line).ok()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Nothing more will be sent.
    pub fn shut_down(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// The next line; `None` at the end.
    #[track_caller]
    pub fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).expect("a line before the deadline");
        (read > 0).then(|| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}")))
    }

    /// Sends one line and gives the next one.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> Value {
        self.send(format!("{line}\n").as_bytes());
        self.line().expect("an answer")
    }

    /// Sends a request; gives its id.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.send(format!("{request}\n").as_bytes());
        self.last_id
    }

    /// Calls a method; gives its result or its error. Notifications that come before are kept.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.request(method, &params);
        loop {
            let mut answer = self.line().unwrap_or_else(|| panic!("no answer to {method}"));
            if answer["id"] == id {
                return match answer.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(answer["result"].take()),
                };
            }
            self.notified.push(answer);
        }
    }

    /// Calls a method; `None` where netkitd went away before it answered.
    pub fn try_call(&mut self, method: &str, params: Value) -> Option<Result<Value, Value>> {
        self.last_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).ok()?;
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let mut answer: Value = serde_json::from_str(&line).ok()?;
        Some(answer.get("error").cloned().map_or_else(|| Ok(answer["result"].take()), Err))
    }

    /// Sends one line and gives the next one; `None` where netkitd went away before it answered.
    pub fn try_ask(&mut self, line: &str) -> Option<Value> {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).ok()?;
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// The next event of a subscription.
    #[track_caller]
    pub fn event(&mut self) -> Value {
        let mut message =
            if self.notified.is_empty() { self.line().expect("an event") } else { self.notified.remove(0) };
        assert_eq!(message["method"], "events.event", "{message}");
        message["params"]["result"].take()
    }

    /// The whole log, page by page.
    #[track_caller]
    pub fn all_events(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        let mut since = Value::Null;
        loop {
            let params = if since.is_null() { json!({}) } else { json!({ "since": since }) };
            let page = self.call("events.read", params).unwrap();
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            since = page["next"].clone();
            if page["more"] == false {
                return events;
            }
        }
    }
}
