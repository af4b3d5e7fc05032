//! The engine with peers that are honest, broken or mean; the hub's part is played here.

mod server;

mod changes;
mod helpers;
mod lists;
mod peers;
mod stalls;
mod trees;

use super::source::Body;
use super::*;
use crate::files::Naming;
use crate::hub::orders::{BlockRow, Control, PartNote, PartRow, Retry, StageRow, StagedFile, Start, Way};
use bytes::Bytes;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::PeerId;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::DownloadSource;
use server::Server;
use std::collections::BTreeMap;
use std::time::Duration;

/// A body that comes in pieces, each after a pause.
pub(super) struct Drops {
    left: Bytes,
    piece: usize,
    pause: Duration,
}

impl Drops {
    pub(super) fn new(bytes: &[u8], piece: usize, pause: Duration) -> Drops {
        Drops { left: Bytes::copy_from_slice(bytes), piece, pause }
    }
}

impl Body for Drops {
    async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        if self.left.is_empty() {
            return Ok(None);
        }
        tokio::time::sleep(self.pause).await;
        Ok(Some(self.left.split_to(self.piece.min(self.left.len()))))
    }
}

/// An engine, and where its downloads go.
struct Rig {
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<Report>,
    dir: tempfile::TempDir,
    _config: watch::Sender<Arc<Config>>,
    _limit: watch::Sender<u64>,
    /// What the last try noted.
    noted: Option<(PartRow, BTreeMap<u64, BlockRow>)>,
    staged: Option<(StageRow, Vec<StagedFile>)>,
    sources: Vec<DownloadSource>,
    restarted: Vec<String>,
    /// Who has the same file.
    helpers: Vec<Way>,
    sought: Vec<BlockHash>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with("")
    }

    /// With lines of `[downloads]`.
    fn with(lines: &str) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let text = format!("[downloads]\ndir = {:?}\nkeep_free = \"0\"\n{lines}\n", dir.path().join("d"));
        let (config, configs) = watch::channel(Arc::new(Config::from_text(&text)));
        let (limit, limits) = watch::channel(0);
        let (orders, order_queue) = mpsc::channel(8);
        let (report_sender, reports) = mpsc::channel(8);
        let ends = Ends {
            config: configs,
            orders: order_queue,
            reports: report_sender,
            shares: watch::channel(Arc::default()).1,
            limit: limits,
            group: None,
            identity: Arc::new(Identity::load_or_create(&state, None).unwrap()),
        };
        tokio::spawn(run(ends, CancellationToken::new()));
        Rig {
            orders,
            reports,
            dir,
            _config: config,
            _limit: limit,
            noted: None,
            staged: None,
            sources: Vec::new(),
            restarted: Vec::new(),
            helpers: Vec::new(),
            sought: Vec::new(),
        }
    }

    /// Begins to fetch `bob:s/f` from a server.
    async fn start(&self, server: &Server) -> watch::Sender<Control> {
        let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
        self.start_by(way).await
    }

    async fn start_by(&self, way: Way) -> watch::Sender<Control> {
        self.start_of("bob:s/f", way).await
    }

    async fn start_of(&self, source: &str, way: Way) -> watch::Sender<Control> {
        let (control, controlled) = watch::channel(Control::default());
        let part = self.noted.clone().map(|(part, rows)| (part, rows.into_values().collect()));
        let start = Start {
            id: 1,
            source: source.parse().unwrap(),
            way: Some(Ok(way)),
            target: Target { root: self.dir.path().join("d"), path: SafePath::parse(b"f").unwrap() },
            naming: Naming::Numbered,
            checksum: None,
            part,
            stage: self.staged.clone(),
            sources: self.sources.clone(),
            control: controlled,
        };
        self.orders.send(Order::Start(Box::new(start))).await.unwrap();
        control
    }

    /// The next report, taken in as the hub does.
    async fn report(&mut self) -> Option<End> {
        let report = tokio::time::timeout(Duration::from_secs(60), self.reports.recv()).await;
        match report.expect("it goes on").unwrap() {
            Report::Progress(_, _, Some(PartNote { part, blocks: rows, is_new })) => {
                let noted = self.noted.take().filter(|_| !is_new);
                let mut blocks = noted.map(|(_, blocks)| blocks).unwrap_or_default();
                blocks.extend(rows.into_iter().map(|row| (row.block, row)));
                self.noted = Some((part, blocks));
            }
            Report::Progress(..) | Report::Discarded(..) => {}
            Report::Stage(_, row, files) => {
                let before = self.staged.take().map(|(_, files)| files).unwrap_or_default();
                self.staged = Some((row, [before, files].concat()));
            }
            Report::Next(_) => self.noted = None,
            Report::Sources(_, sources) => self.sources = sources,
            Report::Seek(_, hash, found) => {
                self.sought.push(hash);
                for way in &self.helpers {
                    found.try_send(way.clone()).unwrap();
                }
            }
            Report::Restarted(_, _, why) => {
                (self.noted, self.staged) = (None, None);
                self.restarted.push(why);
            }
            Report::Complete(_, part, committed) => {
                let blocks = self.noted.take().map(|(_, blocks)| blocks).unwrap_or_default();
                self.noted = part.map(|part| (part, blocks));
                let _ = committed.send(());
            }
            Report::Ended(_, end) => return Some(end),
        }
        None
    }

    async fn end(&mut self) -> End {
        loop {
            if let Some(end) = self.report().await {
                return end;
            }
        }
    }

    /// Fetches, and gives the file, which is there whole.
    async fn fetched(&mut self, server: &Server) -> Vec<u8> {
        let _control = self.start(server).await;
        match self.end().await {
            End::Done(done) => {
                let content = std::fs::read(self.dir.path().join("d").join(&done.name)).unwrap();
                assert_eq!(done.blake3, *blake3::hash(&content).as_bytes());
                assert!(done.verified);
                content
            }
            other => panic!("{other:?}"),
        }
    }

    /// Fetches in vain.
    async fn failed(&mut self, server: &Server) -> Failed {
        let _control = self.start(server).await;
        match self.end().await {
            End::Failed(failed) => failed,
            other => panic!("{other:?}"),
        }
    }

    /// Complete blocks that were noted.
    fn noted_blocks(&self) -> Vec<u64> {
        let blocks = self.noted.iter().flat_map(|(_, blocks)| blocks.values());
        blocks.filter(|row| row.hash.is_some()).map(|row| row.block).collect()
    }
}
