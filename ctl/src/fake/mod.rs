//! A stand-in for netkitd in tests: a log, cursors, downloads, peers and subscriptions behind a socket, and a way to die in
//! between.

mod downloads;
mod peers;

use netkit_proto::rpc::message::{Message, parse};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The epoch of a new stand-in's log.
pub(crate) const EPOCH: u64 = 7;

#[derive(Default)]
pub(crate) struct State {
    pub epoch: u64,
    pub events: Vec<Value>,
    pub cursors: HashMap<String, u64>,
    pub downloads: BTreeMap<u64, Value>,
    pub peers: Vec<Value>,
    pub hosts: Vec<Value>,
    pub rooms: Vec<Value>,
    /// Whom messages go to, where they go to a room.
    pub members: Vec<String>,
    /// Messages that are sent are this one, of before.
    pub repeats: Option<u64>,
    /// A call of this method fails so.
    pub fails: Option<(&'static str, &'static str)>,
    /// Parameters of calls that changed downloads, in their order; of those that changed peers with their methods.
    pub changes: Vec<Value>,
    /// Method names in the order of their calls.
    pub calls: Vec<String>,
    /// A call of this method is not answered: the stand-in dies instead, once.
    pub die_at: Option<&'static str>,
    live: Vec<UnixStream>,
    subscribers: Vec<UnixStream>,
}

pub(crate) struct Fake {
    dir: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// A stand-in whose log holds messages with these texts.
    pub(crate) fn with(texts: &[&str]) -> Fake {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State { epoch: EPOCH, ..State::default() }));
        let fake = Fake { dir, state };
        texts.iter().for_each(|text| fake.receive(text));
        let listener = UnixListener::bind(fake.socket()).unwrap();
        let state = Arc::clone(&fake.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&state));
                state.lock().unwrap().live.push(stream.try_clone().unwrap());
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        fake
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("netkitd.sock")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A message arrives.
    pub(crate) fn receive(&self, text: &str) {
        self.state().publish(json!({ "kind": "message.received", "peer": "udp://10.0.0.9:9",
            "verified": false, "encoding": "utf-8", "text": text }));
    }

    /// netkitd is killed and comes back with another, empty log.
    pub(crate) fn come_back_restored(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.events.clear();
        state.die();
    }

    /// netkitd is killed; its socket is served again at once.
    pub(crate) fn die(&self) {
        self.state().die();
    }

    /// Waits until `condition` holds.
    pub(crate) fn until(&self, condition: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition(&self.state()) {
            assert!(Instant::now() < deadline, "it never came to that: {:?}", self.state().calls);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl State {
    /// Something happens.
    pub(crate) fn publish(&mut self, mut event: Value) {
        event["seq"] = json!(self.events.len() + 1);
        event["at"] = json!("2026-11-23T08:00:00.000Z");
        let note = delivery(&event);
        self.events.push(event);
        for mut subscriber in &self.subscribers {
            let _ = subscriber.write_all(note.as_bytes());
        }
    }

    fn die(&mut self) {
        self.subscribers.clear();
        for stream in self.live.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn delivery(event: &Value) -> String {
    let params = json!({ "subscription": 1, "result": event });
    format!("{}\n", json!({ "jsonrpc": "2.0", "method": "events.event", "params": params }))
}

fn serve(stream: &UnixStream, state: &Mutex<State>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let mut state = state.lock().unwrap();
        let (entries, batch) = match parse(line.as_bytes()) {
            Message::Single(entry) => (vec![entry], false),
            Message::Batch(entries) => (entries, true),
        };
        let mut answers = Vec::new();
        let mut after = String::new();
        for request in entries.into_iter().map(Result::unwrap) {
            let params: Value = serde_json::from_str(request.params.unwrap().get()).unwrap();
            state.calls.push(request.method.to_string());
            if state.die_at == Some(&*request.method) {
                state.die_at = None;
                return state.die();
            }
            let id: Value = serde_json::from_str(request.id.unwrap().get()).unwrap();
            let answer = match call(&mut state, &request.method, &params) {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                Err(kind) => {
                    let error = json!({ "code": -1, "message": "it failed", "data": { "kind": kind } });
                    json!({ "jsonrpc": "2.0", "id": id, "error": error })
                }
            };
            let is_done = answer.get("result").is_some();
            answers.push(answer);
            if is_done && request.method == "events.subscribe" {
                let since = params["since"].as_u64().unwrap_or(state.events.len() as u64);
                after = state.events[usize::try_from(since).unwrap()..].iter().map(delivery).collect();
                state.subscribers.push(stream.try_clone().unwrap());
            }
        }
        let text = if batch { json!(answers).to_string() } else { answers[0].to_string() };
        let mut stream = stream;
        if stream.write_all(format!("{text}\n{after}").as_bytes()).is_err() {
            return;
        }
    }
}

fn call(state: &mut State, method: &str, params: &Value) -> Result<Value, &'static str> {
    let head = state.events.len() as u64;
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    if params["epoch"].as_u64().is_some_and(|epoch| epoch != state.epoch) {
        return Err("epoch_changed");
    }
    if let Some((_, kind)) = state.fails.filter(|(of, _)| *of == method) {
        return Err(kind);
    }
    Ok(match method {
        "events.read" => {
            let limit = usize::try_from(params["limit"].as_u64().unwrap()).unwrap().min(2); // small pages
            let since = params["since"].as_u64().unwrap_or(0);
            let before = params["before"].as_u64().unwrap_or(u64::MAX);
            let matching: Vec<&Value> = state
                .events
                .iter()
                .filter(|e| e["seq"].as_u64().unwrap() > since && e["seq"].as_u64().unwrap() < before)
                .collect();
            let more = matching.len() > limit;
            let (events, next) = if params["last"] == true {
                let events = &matching[matching.len().saturating_sub(limit)..];
                (events, if more { events[0]["seq"].as_u64().unwrap() } else { head })
            } else {
                let events = &matching[..limit.min(matching.len())];
                (events, if more { events[limit - 1]["seq"].as_u64().unwrap() } else { head })
            };
            json!({ "epoch": state.epoch, "events": events, "next": next, "more": more, "head": head })
        }
        "events.subscribe" => json!({ "subscription": 1, "epoch": state.epoch, "head": head }),
        "cursors.open" => json!({ "epoch": state.epoch, "seq": state.cursors.get(&name) }),
        "cursors.commit" => {
            state.cursors.insert(name, params["seq"].as_u64().unwrap());
            json!({})
        }
        _ if method.starts_with("downloads.") => return downloads::call(state, method, params),
        _ if method.starts_with("peers.") || method.starts_with("rooms.") => {
            return peers::call(state, method, params);
        }
        "chat.send" if params["text"] == "refuse me" => return Err("refused"),
        "chat.send" => match state.repeats {
            Some(id) => json!({ "id": id, "repeated": true, "to": state.members }),
            None => json!({ "id": head + 1, "repeated": false, "to": state.members }),
        },
        _ => return Err("method_not_found"),
    })
}
