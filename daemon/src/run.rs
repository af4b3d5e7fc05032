//! One run of the daemon: starts the rooms, watches over them, and stops them in order. The hub, the control
//! socket and the signals share the main thread's runtime; the chat port, the file port and the download engine have
//! runtimes of their own.

use crate::chat::{self, ChatPort, LinkEnds};
use crate::config::{Changes, Config, Source};
use crate::discovery;
use crate::fetch;
use crate::hub::handle::FileCounters;
use crate::hub::links::Introduction;
use crate::hub::{self, Hub};
use crate::identity::{Identity, MachineId};
use crate::limits;
use crate::logging::LogHandle;
use crate::rpc::{Context, ControlSocket, ReloadRequest, SharedRights};
use crate::serve::{self, FilePort};
use crate::signals::{Signal, Signals};
use crate::state::StateDir;
use crate::{store, systemd};
use anyhow::{Context as _, anyhow};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs until a signal stops it, or until a room fails.
pub(crate) fn run(source: Source, config: Config, log: LogHandle) -> anyhow::Result<()> {
    let state = StateDir::open(&config.node.state_dir)?;
    raise_descriptor_limit();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(source, config, log, &state));
    // A name that is still being looked up would hold up the end for no use.
    runtime.shutdown_background();
    result
}

/// Each file client takes a descriptor or two: as many as may be had (the soft limit is often 1024).
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "can't raise the limit of open files");
    }
}

async fn serve(source: Source, config: Config, log: LogHandle, state: &StateDir) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("can't handle signals")?;
    let control = ControlSocket::bind(&config)?;
    let listen = config.chat.listen;
    let port = ChatPort::bind(listen)
        .with_context(|| format!("can't listen on UDP {listen} for chat; set chat.listen to another port"))?;
    let listen = config.files.listen;
    let file_port = FilePort::bind(listen).with_context(|| {
        format!("can't listen on TCP {listen} for files; set files.listen to another port")
    })?;
    let identity = Arc::new(Identity::load_or_create(state.path(), MachineId::of_this_box().as_ref())?);
    let database = state.database();
    let (writer, completions, reader, loaded) = store::open(&database, hub::retention(&config))
        .with_context(|| format!("can't open {}", database.display()))?;

    let epoch = loaded.epoch;
    let socket = config.control.socket.clone();
    let introduction = Introduction {
        name: config.node.name.clone(),
        instance: RandomState::new().hash_one(SystemTime::now()),
        file_port: Some(file_port.listen.port()),
        rooms: Vec::new(),
        epoch,
    };
    let (publish_config, config) = watch::channel(Arc::new(config));
    let (hub, ends) = Hub::new(config.clone(), writer, completions, loaded, identity.id(), introduction);
    let (reload, mut reloads) = mpsc::channel::<ReloadRequest>(4);
    let counters = Arc::default();
    let file_counters: Arc<FileCounters> = Arc::default();
    let (chat_listen, files_listen) = (port.listen, file_port.listen);
    let context = Arc::new(Context {
        config: config.clone(),
        hub: ends.handle,
        feed: ends.feed,
        reader: reader.clone(),
        snapshot: ends.snapshot,
        shares: ends.shares.clone(),
        file_counters: Arc::clone(&file_counters),
        files_listen,
        config_file: source.path().to_owned(),
        counters: Arc::clone(&counters),
        chat_listen,
        reload,
        log: log.clone(),
        epoch,
        started: SystemTime::now().into(),
        socket: socket.clone(),
        sessions: AtomicU64::new(0),
        sessions_refused: AtomicU64::new(0),
        rights: SharedRights::from(&control),
    });

    let stop = CancellationToken::new();
    let sessions = TaskTracker::new();
    let mut hub = tokio::spawn(hub.run());
    let file_ends = serve::Ends {
        config: config.clone(),
        shares: ends.shares.clone(),
        trust: ends.trust,
        identity: Arc::clone(&identity),
        reader: reader.clone(),
        content: ends.content_reports,
        sought: ends.sought,
        counters: file_counters,
    };
    let mut on_files = Builder::new_multi_thread();
    on_files.worker_threads(limits::FILE_WORKERS).max_blocking_threads(limits::FILE_BLOCKING);
    let until = stop.clone();
    let mut files = spawn_edge("files", on_files, move || file_port.run(file_ends, until))?;
    let fetch_ends = fetch::Ends {
        config: config.clone(),
        orders: ends.orders,
        reports: ends.reports,
        shares: ends.shares,
        limit: ends.download_limit,
        identity: Arc::clone(&identity),
        group: uzers::get_group_by_name(config.borrow().control.group_name()).map(|group| group.gid()),
    };
    let mut on_fetch = Builder::new_multi_thread();
    on_fetch.worker_threads(limits::FETCH_WORKERS);
    let until = stop.clone();
    let mut fetch = spawn_edge("fetch", on_fetch, move || fetch::run(fetch_ends, until))?;
    let me = discovery::Me {
        peer: identity.id(),
        name: config.borrow().node.name.clone(),
        chat: chat_listen,
        files: (!files_listen.ip().is_loopback()).then_some(files_listen.port()),
    };
    let discovery_ends = discovery::Ends { config: config.clone(), hub: ends.sightings, me };
    let discovery = tokio::spawn(discovery::run(discovery_ends, stop.clone()));
    let discovery = tokio::spawn(async move {
        if let Err(error) = discovery.await {
            tracing::error!(%error, "discovery ended; peers are found by other means");
        }
    });
    let links = LinkEnds {
        identity,
        orders: ends.link_orders,
        reports: ends.link_reports,
        introduction: ends.introduction,
    };
    let (hub_input, datagrams) = (ends.chat_input, ends.datagrams);
    let chat_ends = chat::Ends { config, hub: hub_input, datagrams, counters, links: Some(links) };
    let until = stop.clone();
    let mut chat = spawn_edge("chat", Builder::new_current_thread(), move || port.run(chat_ends, until))?;
    let mut control = tokio::spawn(control.run(context, stop.clone(), sessions.clone()));

    tracing::info!(version = crate::VERSION, chat = %chat_listen, files = %files_listen, control = %socket.display(), "ready");
    let status = format!("chat on UDP {chat_listen}, files on TCP {files_listen}");
    systemd::ready(&status);

    // The first critical task that ends by itself ends the daemon; systemd starts it again.
    let mut failure = None;
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => {
                    // What happened is in the log.
                    let _ = reload_config(&source, &publish_config, &log, &status);
                }
            },
            Some(request) = reloads.recv() => {
                // The asker may have left.
                let _ = request.send(reload_config(&source, &publish_config, &log, &status));
            }
            ended = &mut chat => {
                failure = Some(edge_failure("chat", ended));
                break;
            }
            ended = &mut files => {
                failure = Some(edge_failure("files", ended));
                break;
            }
            ended = &mut fetch => {
                failure = Some(edge_failure("fetch", ended));
                break;
            }
            ended = &mut hub => {
                let error = match ended {
                    Ok(Ok(_)) => anyhow!("the hub ended by itself"),
                    Ok(Err(error)) => anyhow!(error).context("the hub ended"),
                    Err(panic) => anyhow!(panic).context("the hub ended"),
                };
                return Err(error); // without it nothing can be stopped in order
            }
            ended = &mut control => return Err(anyhow!("the control socket ended by itself: {ended:?}")),
        }
    }

    systemd::stopping();
    tracing::info!("stopping");
    stop.cancel();
    sessions.close();
    let edges = async {
        sessions.wait().await;
        let file = control.await;
        let _ = discovery.await; // after its goodbye
        if failure.is_none() {
            for (name, edge) in [("chat", chat), ("files", files), ("fetch", fetch)] {
                match edge.await {
                    Ok(Ok(())) => {}
                    ended => failure = Some(edge_failure(name, ended)),
                }
            }
        }
        file
    };
    let file = tokio::time::timeout(limits::STOP_EDGES, edges).await;
    if file.is_err() {
        tracing::warn!("some sessions did not end in time");
    }
    // The sessions that are left hold the hub's handle: with the edges gone it would wait for them in vain.
    let writer = tokio::time::timeout(limits::STOP_EDGES, &mut hub).await;
    match writer {
        Ok(Ok(Ok(writer))) => tokio::task::spawn_blocking(move || writer.join()).await?,
        Ok(Ok(Err(error))) => return Err(anyhow!(error).context("the hub ended")),
        Ok(Err(panic)) => return Err(anyhow!(panic).context("the hub ended")),
        Err(_) => return Err(anyhow!("the hub did not end in time")),
    }
    drop(file); // the socket's file goes last: while it stands, another netkitd waits
    tracing::info!("stopped");
    failure.map_or(Ok(()), Err)
}

type EdgeEnd = Result<std::io::Result<()>, oneshot::error::RecvError>;

fn edge_failure(name: &str, ended: EdgeEnd) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("the edge {name} ended by itself"),
        Ok(Err(error)) => anyhow!(error).context(format!("the edge {name} failed")),
        Err(_) => anyhow!("a thread of the edge {name} panicked"),
    }
}

/// Runs an edge on a thread and a runtime of its own; the receiver tells how it ended.
fn spawn_edge<F: Future<Output = std::io::Result<()>>>(
    name: &str,
    mut runtime: Builder,
    edge: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<oneshot::Receiver<std::io::Result<()>>> {
    let (ended, end) = oneshot::channel();
    let runtime = runtime.thread_name(name).enable_all().build()?;
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let result = runtime.block_on(edge());
        runtime.shutdown_background(); // a disk that hangs must not hold up the end
        let _ = ended.send(result); // nobody waits any more once the daemon gave up on it
    })?;
    Ok(end)
}

/// Reads the configuration again and puts in force what can change live; what is in force stays on an error.
fn reload_config(
    source: &Source,
    published: &watch::Sender<Arc<Config>>,
    log: &LogHandle,
    status: &str,
) -> Result<Changes, String> {
    systemd::reloading();
    let old = Arc::clone(&published.borrow());
    let result = source.load().map_err(|e| e.to_string()).map(|new| {
        let changes = old.diff(&new);
        log.set_level(new.node.log_level);
        published.send_replace(Arc::new(old.with_live_from(&new)));
        changes
    });
    match &result {
        Ok(Changes { live, restart }) => {
            tracing::info!(changed = ?live, needs_restart = ?restart, "configuration read again");
        }
        Err(error) => tracing::error!(%error, "the configuration is bad; the one in force stays"),
    }
    systemd::ready(status);
    result
}

#[cfg(test)]
mod tests;
