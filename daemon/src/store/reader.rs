//! The reader thread: reads pages of the log, and what files hash to, over a connection of its own, so that a long search
//! never delays a commit. One read looks at a bounded number of rows; callers ask again from where it stopped.

use super::manifests::{self, FileKey, Holder, Seen};
use super::{Entry, StoreError};
use crate::limits;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::Seq;
use netkit_proto::rpc::filter::Filter;
use netkit_proto::time::Timestamp;
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Which events to read.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Those after this number.
    pub since: Seq,
    /// Those before this number.
    pub before: Seq,
    /// At most so many.
    pub limit: usize,
    /// At most about so many bytes of them.
    pub bytes: usize,
    /// From the end backwards instead of from the start.
    pub last: bool,
    /// Only those that match.
    pub filter: Arc<Filter>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Page {
    /// Events that match, in rising order.
    pub entries: Vec<Entry>,
    /// The rows looked at: first and last number; none where there was no row to look at.
    pub seen: Option<(Seq, Seq)>,
    /// Where events are gone, at most one in front of each entry and one at the end; only when reading forwards.
    pub gaps: Vec<Gap>,
    /// Stopped before the end of the range.
    pub more: bool,
}

/// Events that are gone. Between `from` and `to` there may be others that do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first number that is gone.
    pub from: Seq,
    /// The last number that is gone.
    pub to: Seq,
    /// How many are gone.
    pub lost: u64,
}

impl Gap {
    /// A gap, an earlier one included, that lasts from `from` up to before `next`; none where these are one.
    fn up_to(earlier: Option<Gap>, from: Seq, next: Seq) -> Option<Gap> {
        let missing = next.0.saturating_sub(from.0);
        if missing == 0 {
            return earlier;
        }
        let (first, lost) = earlier.map_or((from, 0), |gap| (gap.from, gap.lost));
        Some(Gap { from: first, to: next.prev(), lost: lost + missing })
    }
}

/// Where an answer goes.
type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a file hashes to: the whole, and its blocks where there are several; and whether it is known to be at that place.
type Hashes = (BlockHash, Vec<BlockHash>, bool);

enum Question {
    Page(PageRequest, Answer<Page>),
    Roots(Vec<FileKey>, Answer<Vec<Option<BlockHash>>>),
    Manifest(FileKey, Vec<u8>, Answer<Option<Hashes>>),
    Holders(BlockHash, Vec<Seen>, Answer<Vec<Holder>>),
}

/// The reader's clonable front. Each call waits while too many others read.
#[derive(Clone, Debug)]
pub struct Reader {
    questions: mpsc::Sender<Question>,
}

impl Reader {
    /// Reads a page.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn page(&self, request: PageRequest) -> Result<Page, StoreError> {
        self.ask(|answer| Question::Page(request, answer)).await
    }

    /// What each of these files hashes to, where that is known.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roots(&self, files: &[FileKey]) -> Result<Vec<Option<BlockHash>>, StoreError> {
        let mut roots = Vec::with_capacity(files.len());
        for some in files.chunks(limits::READ_FILES) {
            roots.extend(self.ask(|answer| Question::Roots(some.to_vec(), answer)).await?);
        }
        Ok(roots)
    }

    /// What a file, which is at this place, and its blocks hash to, where that is known.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn manifest(&self, file: FileKey, path: Vec<u8>) -> Result<Option<Hashes>, StoreError> {
        self.ask(|answer| Question::Manifest(file, path, answer)).await
    }

    /// Files that had this content when they were hashed, beneath these directories.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn holders(&self, root: BlockHash, seen: Vec<Seen>) -> Result<Vec<Holder>, StoreError> {
        self.ask(|answer| Question::Holders(root, seen, answer)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(Answer<T>) -> Question) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(question(answer)).await.map_err(|_| StoreError::Stopped)?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }
}

pub(super) fn start(db: Connection) -> Result<Reader, StoreError> {
    let (questions, mut queue) = mpsc::channel(limits::READS);
    std::thread::Builder::new()
        .name("store-reader".into())
        .spawn(move || {
            while let Some(question) = queue.blocking_recv() {
                match question {
                    Question::Page(request, answer) => tell(answer, || read(&db, &request)),
                    Question::Roots(files, answer) => tell(answer, || manifests::roots(&db, &files)),
                    Question::Manifest(file, path, answer) => {
                        tell(answer, || manifests::manifest(&db, &file, &path));
                    }
                    Question::Holders(root, seen, answer) => {
                        tell(answer, || manifests::holders(&db, &root, &seen));
                    }
                }
            }
        })
        .map_err(|e| StoreError::Thread(e.to_string()))?;
    Ok(Reader { questions })
}

/// Answers, unless the caller is gone.
fn tell<T>(answer: Answer<T>, read: impl FnOnce() -> rusqlite::Result<T>) {
    if !answer.is_closed() {
        let _ = answer.send(read().map_err(StoreError::from)); // it may be gone meanwhile
    }
}

fn read(db: &Connection, request: &PageRequest) -> rusqlite::Result<Page> {
    let sql = if request.last {
        "SELECT seq, at, body FROM events WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
    } else {
        "SELECT seq, at, body FROM events WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3"
    };
    let mut statement = db.prepare_cached(sql)?;
    let before = i64::try_from(request.before.0).unwrap_or(i64::MAX);
    let since = i64::try_from(request.since.0).unwrap_or(i64::MAX);
    let mut rows = statement.query([since, before, i64::from(limits::READ_ROWS)])?;
    let mut page = Page::default();
    let (mut looked_at, mut bytes) = (0, 0);
    let (mut expected, mut gap) = (request.since.next(), None);
    while let Some(row) = rows.next()? {
        if page.entries.len() >= request.limit || bytes > request.bytes {
            page.more = true;
            break;
        }
        let seq = Seq(row.get(0)?);
        let (first, last) = page.seen.unwrap_or((seq, seq));
        if !request.last {
            gap = Gap::up_to(gap, expected, seq);
            expected = seq.next();
        }
        page.seen = Some((first.min(seq), last.max(seq)));
        looked_at += 1;
        let at = Timestamp(row.get(1)?);
        let body = row.get_ref(2)?.as_str()?;
        if request.filter.matches(at, body) {
            bytes += body.len();
            page.gaps.extend(gap.take());
            page.entries.push(Entry { seq, at, body: body.into() });
        }
    }
    page.more |= looked_at == limits::READ_ROWS;
    if request.last {
        page.entries.reverse();
    } else {
        let end = if page.more { expected } else { request.before };
        page.gaps.extend(Gap::up_to(gap, expected, end));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::super::{LogStats, log, schema};
    use super::*;
    use netkit_proto::rpc::event::Event;

    fn numbers(page: &Page) -> Vec<u64> {
        page.entries.iter().map(|entry| entry.seq.0).collect()
    }

    #[test]
    fn pages_go_both_ways_and_tell_of_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let mut log = log::Appender::new(&db, LogStats::default()).unwrap();
        for n in 1..=10 {
            let event = Event::Sent { message: Seq(n), peer: if n % 2 == 0 { "even" } else { "odd" }.into() };
            log.append(Timestamp(0), &event).unwrap();
        }
        db.execute("DELETE FROM events WHERE seq IN (1, 2, 6)", []).unwrap();
        let filter =
            |peer: Option<&str>| Arc::new(Filter { peer: peer.map(str::to_owned), ..Filter::default() });
        let ask = |since, before, limit, last, peer| {
            let request = PageRequest {
                since: Seq(since),
                before: Seq(before),
                limit,
                bytes: 1 << 20,
                last,
                filter: filter(peer),
            };
            read(&db, &request).unwrap()
        };

        let gap = |from, to, lost| Gap { from: Seq(from), to: Seq(to), lost };
        let all = ask(0, 11, 100, false, None);
        assert_eq!(numbers(&all), [3, 4, 5, 7, 8, 9, 10]);
        assert_eq!(all.gaps, [gap(1, 2, 2), gap(6, 6, 1)]);
        assert_eq!((all.seen, all.more), (Some((Seq(3), Seq(10))), false));

        let none_between = ask(0, 11, 100, false, Some("nobody"));
        assert_eq!(none_between.gaps, [gap(1, 6, 3)], "one gap where nothing that matches stands between");
        let at_the_end = ask(7, 15, 100, false, None);
        assert_eq!((numbers(&at_the_end), at_the_end.gaps), (vec![8, 9, 10], vec![gap(11, 14, 4)]));
        let nothing_left = ask(10, 15, 100, false, None);
        assert_eq!((nothing_left.seen, nothing_left.gaps), (None, vec![gap(11, 14, 4)]));

        let first = ask(3, 11, 2, false, None);
        assert_eq!((numbers(&first), first.more, first.gaps.len()), (vec![4, 5], true, 0));

        let last = ask(0, 11, 3, true, Some("odd"));
        assert_eq!((numbers(&last), last.more), (vec![5, 7, 9], true));
        assert_eq!(last.seen, Some((Seq(5), Seq(10))));

        let none = ask(10, 11, 3, false, None);
        assert_eq!((numbers(&none), none.seen, none.more), (vec![], None, false));
    }
}
