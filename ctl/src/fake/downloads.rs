//! The stand-in's download queue: what the tests say happens to a download happens to it.

use super::{Fake, State};
use serde_json::{Value, json};

impl Fake {
    /// A download is there already.
    pub(crate) fn holds(&self, id: u64, state: &str) {
        self.state().downloads.insert(id, download(id, "http://a/x.iso", state));
    }

    /// An event of this kind happens to a download, and leaves it in that state.
    pub(crate) fn happens(&self, kind: &str, id: u64) {
        self.state().happens(kind, id);
    }
}

impl State {
    fn happens(&mut self, kind: &str, id: u64) {
        let error = json!({ "kind": "network", "message": "connection refused" });
        let members = match kind {
            "queued" => json!({ "source": "http://a/x.iso", "path": "/d/x.iso" }),
            "active" => json!({ "bytes": 0 }),
            "restarted" => json!({ "lost": 5, "reason": "it changed" }),
            "retry_wait" => json!({ "error": error, "retry_at": "2026-11-23T08:00:05Z" }),
            "done" => json!({ "source": "http://a/x.iso", "path": format!("/d/{id}.iso"), "bytes": 9,
                "verified": true, "blake3": "00" }),
            "failed" => json!({ "source": "http://a/x.iso", "error": error }),
            _ => json!({}),
        };
        self.happens_with(kind, id, members);
    }

    /// The same, with other members.
    pub(crate) fn happens_with(&mut self, kind: &str, id: u64, mut members: Value) {
        if kind == "removed" {
            self.downloads.remove(&id);
        } else if let Some(download) = self.downloads.get_mut(&id)
            && kind != "restarted"
        {
            download["state"] = json!(kind);
            for member in ["error", "retry_at", "path"] {
                if let Some(value) = members.get(member) {
                    download[member] = value.clone();
                }
            }
        }
        members["kind"] = json!(format!("download.{kind}"));
        members["download"] = json!(id);
        self.publish(members);
    }
}

fn download(id: u64, source: &str, state: &str) -> Value {
    let mut download = json!({ "id": id, "source": source, "state": state, "path": format!("/d/{id}.iso"),
        "size": 9, "bytes": 4, "rate": 2, "limit": 0, "verified": false, "attempts": 0,
        "added": "2026-11-23T08:00:00.000Z", "changed": "2026-11-23T08:00:00.000Z" });
    if state == "failed" {
        download["error"] = json!({ "kind": "checksum", "message": "it is another file" });
    }
    download
}

/// `http://a/STATE` is in that state at once; `refuse`, `full` and `missing` are not taken.
pub(super) fn call(state: &mut State, method: &str, params: &Value) -> Result<Value, &'static str> {
    let id = params["id"].as_u64().unwrap_or_default();
    let verb = method.trim_start_matches("downloads.");
    if !matches!(verb, "list" | "show") {
        let mut change = params.clone();
        change["verb"] = json!(verb);
        state.changes.push(change);
    }
    match verb {
        "add" => {
            let source = params["source"].as_str().unwrap();
            let is = match source.rsplit('/').next().unwrap() {
                "refuse" => return Err("refused"),
                "full" => return Err("busy"),
                "missing" => return Err("not_found"),
                is @ ("done" | "failed" | "cancelled" | "paused" | "retry_wait") => is.to_owned(),
                _ => "queued".to_owned(),
            };
            let id = state.downloads.len() as u64 + 1;
            state.downloads.insert(id, download(id, source, &is));
            return Ok(json!({ "id": id, "repeated": is != "queued" }));
        }
        "list" => {
            let states = params["states"].as_array().cloned().unwrap_or_default();
            let skip = usize::try_from(params["skip"].as_u64().unwrap_or(0)).unwrap();
            let wanted = |d: &&Value| states.is_empty() || states.contains(&d["state"]);
            let all: Vec<Value> = state.downloads.values().filter(wanted).cloned().collect();
            let page: Vec<&Value> = all.iter().skip(skip).take(2).collect(); // small pages
            return Ok(json!({ "downloads": page, "more": skip + page.len() < all.len(), "limit": 0 }));
        }
        "limit" if id == 0 => return Ok(json!({})),
        _ if !state.downloads.contains_key(&id) => return Err("not_found"),
        "show" | "move" | "limit" => {}
        "pause" => state.happens("paused", id),
        "resume" | "retry" => state.happens("queued", id),
        "cancel" => state.happens("cancelled", id),
        "remove" => {
            state.happens("removed", id);
            return Ok(json!({}));
        }
        _ => return Err("method_not_found"),
    }
    Ok(if matches!(verb, "move" | "limit") { json!({}) } else { state.downloads[&id].clone() })
}
