//! The log: to the journal where stderr is the journal, else to stderr. A thread of its own writes it; whoever logs
//! hands over and goes on, so that a stalled journal stalls nothing. What does not fit is dropped and counted.

use crate::config::LogLevel;
use std::fmt::{Debug, Write as _};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tracing::field::{Field, Value, Visit, display};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, reload};

/// Lines that wait to be written: a second's worth of a busy start.
const WAITING: usize = 1024;
/// Fields of one line; the rest of a longer one is left out.
const FIELDS: usize = 16;

/// The log's front.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: reload::Handle<Targets, Registry>,
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl LogHandle {
    /// Lines dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Logs at this level from now on.
    pub fn set_level(&self, level: LogLevel) {
        let _ = self.level.reload(filter(level)); // fails only where the subscriber is gone, at the very end
    }

    /// Waits until what was logged so far is written, or the time is over.
    pub fn flush(&self, most: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(most); // what is not written by then is lost
        }
    }
}

/// What the logging thread is handed.
#[derive(Debug)]
enum Message {
    Line { metadata: &'static Metadata<'static>, fields: Vec<(Field, String)> },
    Flush(SyncSender<()>),
}

/// Starts the log. Once in a process.
///
/// # Errors
/// Where the thread can't be started, or the journal's socket not be opened.
pub fn init(level: LogLevel) -> io::Result<LogHandle> {
    let is_journal = stderr_is_the_journal();
    let writer = if is_journal { Dispatch::new(journal()?) } else { Dispatch::new(stderr()) };
    let (handover, queue) = Handover::new();
    let (level, handle) = reload::Layer::new(filter(level));
    let front =
        LogHandle { level: handle, lines: handover.lines.clone(), dropped: Arc::clone(&handover.dropped) };
    std::thread::Builder::new().name("log".into()).spawn(move || write(&queue, &writer, is_journal))?;
    tracing_subscriber::registry().with(level).with(handover).try_init().map_err(io::Error::other)?;
    Ok(front)
}

/// Our own lines at this level; of the libraries' only warnings, since they may name what is private, such as URLs.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let own = env!("CARGO_PKG_NAME").replace('-', "_");
    // What quinn warns of is what peers do wrong, each time anew: for whoever may reach the port, a way to fill the log.
    let quic = level.min(LevelFilter::ERROR);
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("quinn", quic)
        .with_target("quinn_proto", quic)
        .with_target(own, level)
}

/// Whether stderr is connected to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = rustix::fs::fstat(rustix::stdio::stderr()) else { return false };
    stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
        || std::fs::metadata("/proc/self/fd/2").is_ok_and(|m| stream == format!("{}:{}", m.dev(), m.ino()))
}

fn journal() -> io::Result<impl Subscriber + Send + Sync> {
    // The default is one step higher for each.
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::layer()?
        .with_syslog_identifier("netkitd".to_owned())
        .with_field_prefix(Some("NETKIT".to_owned()))
        .with_priority_mappings(priorities);
    Ok(tracing_subscriber::registry().with(layer))
}

fn stderr() -> impl Subscriber + Send + Sync {
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(false);
    tracing_subscriber::registry().with(layer)
}

/// Takes every line as it is logged.
struct Handover {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Handover {
    fn new() -> (Handover, Receiver<Message>) {
        let (lines, queue) = sync_channel(WAITING);
        (Handover { lines, dropped: Arc::default() }, queue)
    }
}

impl<S: Subscriber> Layer<S> for Handover {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let line = Message::Line { metadata: event.metadata(), fields: fields.0 };
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// A line's fields as text.
struct Fields(Vec<(Field, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}"); // a value that can't be shown is shown as far as it could be
        self.0.push((field.clone(), text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), value.to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.push((field.clone(), value.to_string()));
    }
}

/// The logging thread: gives every line to `writer`, as if it had been logged here. `spelled_out`: with its fields in
/// its message, too, since that is all that the journal shows unless it is asked for more.
fn write(queue: &Receiver<Message>, writer: &Dispatch, spelled_out: bool) {
    tracing::dispatcher::with_default(writer, || {
        while let Ok(message) = queue.recv() {
            match message {
                Message::Line { metadata, mut fields } => {
                    if spelled_out {
                        spell_out(&mut fields);
                    }
                    dispatch(metadata, &fields);
                }
                Message::Flush(done) => drop(done.try_send(())),
            }
        }
    });
}

/// Appends the fields to the message, as they stand on a line of stderr.
fn spell_out(fields: &mut [(Field, String)]) {
    let is_message = |(field, _): &&(Field, String)| field.name() == "message";
    let rest: String = fields
        .iter()
        .filter(|field| !is_message(field))
        .map(|(field, text)| format!(" {field}={text}"))
        .collect();
    if let Some((_, message)) = fields.iter_mut().find(|(field, _)| field.name() == "message") {
        message.push_str(&rest);
    }
}

fn dispatch(metadata: &'static Metadata<'static>, fields: &[(Field, String)]) {
    let Some((first, _)) = fields.first() else { return };
    let shown: Vec<_> = fields.iter().map(|(_, text)| display(text)).collect();
    let values: [(&Field, Option<&dyn Value>); FIELDS] =
        std::array::from_fn(|index| match fields.get(index).zip(shown.get(index)) {
            Some(((field, _), value)) => (field, Some(value as &dyn Value)),
            None => (first, None),
        });
    Event::dispatch(metadata, &metadata.fields().value_set(&values));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    /// A writer that is stalled until it is let go.
    struct Stalled(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_libraries_only_warnings_are_logged() {
        let debug = filter(LogLevel::Debug);
        let would = |target, level| debug.would_enable(target, &level);
        assert!(would("netkit_daemon::serve", tracing::Level::DEBUG));
        assert!(!would("hyper_util::client", tracing::Level::DEBUG));
        assert!(would("hyper_util::client", tracing::Level::WARN));
        assert!(!filter(LogLevel::Error).would_enable("hyper_util::client", &tracing::Level::WARN));
    }

    #[test]
    fn a_stalled_writer_stalls_nobody_and_loses_are_counted() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || Stalled(Arc::clone(&sink)))
            .with_ansi(false)
            .with_target(false);
        let writer = Dispatch::new(tracing_subscriber::registry().with(layer));
        let (handover, queue) = Handover::new();
        let (lines, dropped) = (handover.lines.clone(), Arc::clone(&handover.dropped));
        let stalled = written.lock().unwrap();
        let thread = std::thread::spawn(move || write(&queue, &writer, false));

        let (logged, is_logged) = channel();
        let logger = std::thread::spawn(move || {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(handover), || {
                for number in 0..10_000 {
                    tracing::warn!(number, path = %"/a b", "something");
                }
            });
            logged.send(()).unwrap();
        });
        is_logged.recv_timeout(Duration::from_secs(20)).expect("logging waits for the writer");
        logger.join().unwrap();
        let lost = dropped.load(Relaxed);
        assert!(lost >= 10_000 - WAITING as u64 - 2, "{lost}");

        drop(stalled);
        let (done, is_done) = sync_channel(1);
        lines.send(Message::Flush(done)).unwrap();
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(lines);
        thread.join().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count() as u64, 10_000 - lost);
        assert!(text.lines().next().unwrap().ends_with("WARN something number=0 path=/a b"), "{text:.100}");
    }

    #[test]
    fn the_journals_message_has_the_fields() {
        let (handover, queue) = Handover::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(handover), || {
            tracing::warn!(number = 7, path = %"/a b", "something");
        });
        let Ok(Message::Line { mut fields, .. }) = queue.try_recv() else { panic!() };
        spell_out(&mut fields);
        let message = fields.iter().find(|(field, _)| field.name() == "message").unwrap();
        assert_eq!(message.1, "something number=7 path=/a b");
    }
}
