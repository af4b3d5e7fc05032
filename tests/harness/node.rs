//! One box: a temporary directory, a configuration, and a netkitd that can be stopped, killed and started again.

use super::{Control, Ended, Running, command, eventually};
use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What a box is to be like.
#[derive(Default)]
pub struct NodeBuilder {
    name: Option<String>,
    control: String,
    chat: String,
    files: String,
    downloads: String,
    rest: String,
    listen: Option<String>,
    state: Option<PathBuf>,
    wrapper: Vec<String>,
}

impl NodeBuilder {
    /// Another name than `box`.
    pub fn name(mut self, name: &str) -> NodeBuilder {
        self.name = Some(name.to_owned());
        self
    }

    /// Lines of `[control]`.
    pub fn control(mut self, lines: &str) -> NodeBuilder {
        self.control = lines.to_owned();
        self
    }

    /// Lines of `[chat]`.
    pub fn chat(mut self, lines: &str) -> NodeBuilder {
        self.chat = lines.to_owned();
        self
    }

    /// Lines of `[files]`.
    pub fn files(mut self, lines: &str) -> NodeBuilder {
        self.files = lines.to_owned();
        self
    }

    /// Lines of `[downloads]`; without other words the directory is in the box's, and the disk may be filled.
    pub fn downloads(mut self, lines: &str) -> NodeBuilder {
        self.downloads = lines.to_owned();
        self
    }

    /// Further sections. Without a word of `[discovery]` there is none: the box must not be found by the LAN around.
    pub fn sections(mut self, text: &str) -> NodeBuilder {
        self.rest = text.to_owned();
        self
    }

    /// Another address than `127.0.0.1:0`, for both ports.
    pub fn listen(mut self, address: &str) -> NodeBuilder {
        self.listen = Some(address.to_owned());
        self
    }

    /// A state directory elsewhere than in the box's own directory.
    pub fn state(mut self, path: &Path) -> NodeBuilder {
        self.state = Some(path.to_owned());
        self
    }

    /// A command that starts netkitd: its words come before netkitd's.
    pub fn wrapper(mut self, words: &[&str]) -> NodeBuilder {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Writes the configuration; starts nothing.
    pub fn prepare(self) -> Node {
        let dir = tempfile::Builder::new().prefix("netkit-e2e-").tempdir().unwrap();
        // Other users must reach the socket: what they may do there is netkitd's to decide.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let state = self.state.map_or_else(|| at("state"), |path| path.display().to_string());
        let mut downloads = format!("[downloads]\n{}\n", self.downloads);
        for (key, value) in [("dir", format!("\"{}\"", at("downloads"))), ("keep_free", "0".into())] {
            if !self.downloads.contains(&format!("{key} = ")) {
                downloads.push_str(&format!("{key} = {value}\n"));
            }
        }
        let name = self.name.unwrap_or_else(|| "box".into());
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:0");
        let is_told = self.rest.contains("[discovery]");
        let discovery = if is_told { "" } else { "[discovery]\nmdns = false\n" };
        let text = format!(
            "[node]\nname = \"{name}\"\nstate_dir = \"{state}\"\n[control]\nsocket = \"{}\"\n{}\n\
             [chat]\nlisten = \"{}\"\n{}\n[files]\nlisten = \"{}\"\n{}\n\
             {}\n{}\n{discovery}",
            at("netkitd.sock"),
            self.control,
            listen,
            self.chat,
            listen,
            self.files,
            self.rest,
            downloads,
        );
        std::fs::write(dir.path().join("netkitd.toml"), text).unwrap();
        Node { dir, wrapper: self.wrapper, daemon: None }
    }

    /// Starts netkitd and waits until it answers.
    pub fn start(self) -> Node {
        let mut node = self.prepare();
        node.start();
        node
    }
}

/// A box.
pub struct Node {
    dir: TempDir,
    wrapper: Vec<String>,
    daemon: Option<Running>,
}

impl Node {
    /// A box with the smallest configuration, started.
    pub fn new() -> Node {
        NodeBuilder::default().start()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("netkitd.sock")
    }

    pub fn config(&self) -> PathBuf {
        self.path("netkitd.toml")
    }

    /// Replaces a piece of the configuration.
    #[track_caller]
    pub fn edit_config(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "no {from:?} in {text}");
        std::fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// `netkitd --config …` with further arguments.
    pub fn netkitd(&self, args: &[&str]) -> Command {
        let config = self.config().display().to_string();
        let mut words: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        words.extend([env!("CARGO_BIN_EXE_netkitd"), "--config", &config]);
        words.extend(args);
        command(words[0], &words[1..])
    }

    /// From the next start on: see [`NodeBuilder::wrapper`].
    pub fn wrap(&mut self, words: &[&str]) {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
    }

    /// Starts netkitd and waits until it is ready.
    #[track_caller]
    pub fn start(&mut self) {
        let mut daemon = Running::start(self.netkitd(&[]));
        daemon.stderr_with(" ready ");
        self.daemon = Some(daemon);
    }

    pub fn daemon(&mut self) -> &mut Running {
        self.daemon.as_mut().unwrap()
    }

    /// SIGTERM: it must end with 0.
    #[track_caller]
    pub fn stop(&mut self) -> Ended {
        self.daemon().signal(Signal::TERM);
        self.daemon.take().unwrap().end().expect(0)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let daemon = self.daemon.take().unwrap();
        daemon.signal(Signal::KILL);
        daemon.end();
    }

    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// A session of the control socket.
    pub fn session(&self) -> Control {
        Control::connect(&self.socket())
    }

    /// The answer of `node.status`.
    pub fn status(&self) -> Value {
        self.session().call("node.status", serde_json::json!({})).unwrap()
    }

    /// Where the chat port listens now.
    pub fn chat(&self) -> SocketAddr {
        self.status()["chat"]["listen"].as_str().unwrap().parse().unwrap()
    }

    /// Where the file port listens now.
    pub fn files(&self) -> SocketAddr {
        self.status()["files"]["listen"].as_str().unwrap().parse().unwrap()
    }

    /// How plain peers are sent to: `udp://…`.
    pub fn url(&self) -> String {
        format!("udp://{}", self.chat())
    }

    /// `netkitctl --socket … ARGS`.
    pub fn ctl_command(&self, args: &[&str]) -> Command {
        let socket = self.socket().display().to_string();
        command(env!("CARGO_BIN_EXE_netkitctl"), &[&["--socket", &socket], args].concat())
    }

    /// netkitctl, run to its end.
    pub fn ctl(&self, args: &[&str]) -> Ended {
        Running::to_end(self.ctl_command(args), b"")
    }

    /// netkitctl with `input` on stdin, run to its end.
    pub fn ctl_with(&self, args: &[&str], input: &[u8]) -> Ended {
        Running::to_end(self.ctl_command(args), input)
    }

    /// netkitctl, under way.
    pub fn follow(&self, args: &[&str]) -> Running {
        Running::start(self.ctl_command(args))
    }

    /// Waits until `node.status` shows `value` at `pointer`.
    #[track_caller]
    pub fn wait_for(&self, pointer: &str, value: u64) {
        let mut session = self.session();
        let mut last = Value::Null;
        eventually(&format!("{pointer} is {value}"), || {
            let status = session.call("node.status", serde_json::json!({})).unwrap();
            last = status.pointer(pointer).cloned().unwrap_or_default();
            (last == value).then_some(())
        });
    }

    /// The texts of all messages that arrived, oldest first.
    pub fn received(&self) -> Vec<String> {
        self.session()
            .all_events()
            .iter()
            .filter(|e| e["kind"] == "message.received")
            .map(|e| e["text"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Node {
    /// A test that failed shows what netkitd logged.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(daemon) = self.daemon.take()
        {
            daemon.signal(Signal::TERM);
            eprintln!("netkitd logged:\n{}", daemon.end().stderr);
        }
    }
}
