//! A box that downloads: a netkitd with a queue, and a session that adds to it and looks at it.

use super::{Control, Node, NodeBuilder, eventually};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The box. Its downloads go to a directory of its own.
pub struct Downloader {
    pub node: Node,
    session: Control,
}

impl Downloader {
    pub fn new() -> Downloader {
        Downloader::with("")
    }

    /// With lines of `[downloads]`.
    pub fn with(lines: &str) -> Downloader {
        Downloader::on(NodeBuilder::default().downloads(lines).start())
    }

    /// On a box that runs already.
    pub fn on(node: Node) -> Downloader {
        let session = node.session();
        Downloader { node, session }
    }

    /// Where a file of this name goes, where nothing else is asked for.
    pub fn path(&self, name: &str) -> PathBuf {
        self.node.path("downloads").join(name)
    }

    /// All names in the download directory, hidden ones too, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; there is {:?}", path.display(), self.names()))
    }

    /// The part file of a download in the download directory.
    pub fn part(&self, id: u64) -> PathBuf {
        self.path(&format!(".netkit-{id}.part"))
    }

    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.session.call(method, params)
    }

    /// `downloads.VERB` for one download; must be taken.
    #[track_caller]
    pub fn tell(&mut self, verb: &str, id: u64) -> Value {
        self.call(&format!("downloads.{verb}"), json!({ "id": id }))
            .unwrap_or_else(|e| panic!("{verb} {id}: {e}"))
    }

    /// Adds a download; gives its id.
    #[track_caller]
    pub fn add(&mut self, source: &str) -> u64 {
        self.add_with(source, json!({}))
    }

    /// Adds a download with further parameters; gives its id.
    #[track_caller]
    pub fn add_with(&mut self, source: &str, more: Value) -> u64 {
        let added = self.try_add(source, more).unwrap_or_else(|e| panic!("{source} is refused: {e}"));
        added["id"].as_u64().unwrap()
    }

    /// Adds a download, which may be refused.
    pub fn try_add(&mut self, source: &str, mut more: Value) -> Result<Value, Value> {
        more["source"] = source.into();
        self.call("downloads.add", more)
    }

    #[track_caller]
    pub fn show(&mut self, id: u64) -> Value {
        self.tell("show", id)
    }

    /// Waits until `look` says so of what is shown.
    #[track_caller]
    pub fn until(&mut self, id: u64, what: &str, mut look: impl FnMut(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = eventually_or(&format!("download {id}: {what}"), || {
            last = self.session.call("downloads.show", json!({ "id": id })).unwrap();
            look(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|message| panic!("{message}; it is {last}"))
    }

    /// Waits until it stands so.
    #[track_caller]
    pub fn state(&mut self, id: u64, state: &str) -> Value {
        self.until(id, state, |shown| shown["state"] == state)
    }

    /// Waits for its end: the file is there.
    #[track_caller]
    pub fn done(&mut self, id: u64) -> Value {
        let shown = self.until(id, "ends", |shown| ENDED.iter().any(|&state| shown["state"] == state));
        assert_eq!(shown["state"], "done", "{shown}");
        assert_eq!(shown.get("error"), None, "{shown}");
        shown
    }

    /// Waits for its end: it failed so.
    #[track_caller]
    pub fn failed(&mut self, id: u64, kind: &str) -> Value {
        let shown = self.until(id, "ends", |shown| ENDED.iter().any(|&state| shown["state"] == state));
        assert_eq!((&shown["state"], &shown["error"]["kind"]), (&json!("failed"), &json!(kind)), "{shown}");
        shown
    }

    /// Waits until it was tried in vain and is to be tried again; gives the event.
    #[track_caller]
    pub fn tried(&mut self, id: u64, kind: &str) -> Value {
        let event = self.event(id, "retry_wait");
        assert_eq!(event["error"]["kind"], kind, "{event}");
        assert!(event["retry_at"].as_str() > event["at"].as_str(), "{event}");
        event
    }

    /// What happened to a download so far.
    pub fn events(&mut self, id: u64) -> Vec<Value> {
        self.session.all_events().into_iter().filter(|event| event["download"] == id).collect()
    }

    /// The same, as words without `download.`.
    pub fn words(&mut self, id: u64) -> Vec<String> {
        let word = |event: Value| event["kind"].as_str().unwrap().trim_start_matches("download.").to_owned();
        self.events(id).into_iter().map(word).collect()
    }

    /// Waits for the first event `download.WORD` of a download.
    #[track_caller]
    pub fn event(&mut self, id: u64, word: &str) -> Value {
        let kind = format!("download.{word}");
        let found = eventually_or(&format!("{kind} of {id}"), || {
            self.events(id).into_iter().find(|event| event["kind"] == *kind)
        });
        found.unwrap_or_else(|message| panic!("{message}; there is {:#?}", self.events(id)))
    }

    /// Ids in the order of the list.
    pub fn listed(&mut self, states: &[&str]) -> Vec<u64> {
        let (mut ids, mut more) = (Vec::new(), true);
        while more {
            let page = self.call("downloads.list", json!({"states": states, "skip": ids.len()})).unwrap();
            let downloads = page["downloads"].as_array().unwrap();
            assert!(!downloads.is_empty() || ids.is_empty() || page["more"] == false, "an empty page");
            ids.extend(downloads.iter().map(|download| download["id"].as_u64().unwrap()));
            more = page["more"] == true;
        }
        ids
    }

    /// SIGTERM, and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.node.stop();
        self.start();
    }

    /// SIGKILL, and starts it again.
    #[track_caller]
    pub fn kill(&mut self) {
        self.node.kill();
        self.start();
    }

    #[track_caller]
    pub fn start(&mut self) {
        self.node.start();
        self.session = self.node.session();
    }

    /// What the database answers while netkitd does not run.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> String {
        let db = self.node.path("state/netkit.db").display().to_string();
        super::Running::to_end(super::command("sqlite3", &[&db, statement]), b"").expect(0).stdout
    }
}

const ENDED: [&str; 3] = ["done", "failed", "cancelled"];

/// As [`eventually`], but the caller says how it stands.
fn eventually_or<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let end = std::time::Instant::now() + super::DEADLINE;
    eventually(what, || match look() {
        Some(found) => Some(Ok(found)),
        None if std::time::Instant::now() >= end => Some(Err(format!("did not happen in time: {what}"))),
        None => None,
    })
}
