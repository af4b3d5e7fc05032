//! The stand-in's peers and rooms: those that the tests put there, and what was asked of them.

use super::State;
use serde_json::{Value, json};

impl State {
    /// There is another box; `changes` says what of it is not as usual.
    pub(crate) fn add_peer(&mut self, name: &str, changes: Value) {
        let id = name.chars().next().unwrap().to_string().repeat(51) + "a";
        let mut peer = json!({ "peer": name, "name": name, "id": id, "trust": "known", "linked": false,
            "addresses": [], "rooms": [], "queued": 0 });
        for (member, value) in changes.as_object().unwrap() {
            peer[member] = value.clone();
        }
        self.peers.push(peer);
    }

    fn peer(&mut self, params: &Value) -> Result<&mut Value, &'static str> {
        let asked = &params["peer"];
        let mut found: Vec<&mut Value> = (self.peers.iter_mut())
            .filter(|peer| ["peer", "name", "id"].iter().any(|member| peer[member] == *asked))
            .collect();
        match found.len() {
            0 => Err("not_found"),
            1 => Ok(found.remove(0)),
            _ => Err("refused"),
        }
    }
}

pub(super) fn call(state: &mut State, method: &str, params: &Value) -> Result<Value, &'static str> {
    if !matches!(method, "peers.list" | "peers.show" | "rooms.list") {
        state.changes.push(json!([method, params]));
    }
    Ok(match method {
        "peers.list" => {
            let me = json!({ "name": "box", "id": "m".repeat(51) + "a", "rooms": ["ops"] });
            json!({ "me": me, "peers": state.peers, "hosts": state.hosts })
        }
        "peers.show" => state.peer(params)?.clone(),
        "peers.add" => {
            let host = format!("{}:7890", params["host"].as_str().unwrap());
            state.hosts.push(json!({ "host": host, "configured": false }));
            json!({})
        }
        "peers.remove" => {
            state.peer(params)?;
            json!({})
        }
        "peers.trust" | "peers.block" => {
            let peer = state.peer(params)?;
            if params["id"].as_str().is_some_and(|id| peer["id"] != id) {
                return Err("refused");
            }
            peer["trust"] = json!(if method == "peers.trust" { "trusted" } else { "blocked" });
            peer.clone()
        }
        "rooms.list" => json!({ "rooms": state.rooms }),
        "rooms.join" | "rooms.leave" => json!({}),
        _ => return Err("method_not_found"),
    })
}
