//! The tables of peers, of the hosts that are asked for them, of rooms, and of how far what peers said is stored here.

use super::{Letter, StoreError};
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::Trust;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, Result, Row, params};
use std::net::SocketAddr;
use std::str::FromStr;

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// Which box it is.
    pub id: PeerId,
    /// What it called itself last.
    pub name: PeerName,
    /// How far it is trusted.
    pub trust: Trust,
    /// Where it was last, the latest first.
    pub addresses: Vec<SocketAddr>,
    /// The rooms that it was in last.
    pub rooms: Vec<PeerName>,
    /// When it was seen last.
    pub seen: Timestamp,
}

/// A host that is asked for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// As it was added, or stands in the configuration.
    pub host: String,
    /// It was added while netkitd ran; else only who is there is remembered.
    pub added: bool,
    /// Who was there first.
    pub peer: Option<PeerId>,
}

/// What a starting daemon finds.
#[derive(Debug, Default)]
pub struct LoadedPeers {
    /// All peers.
    pub peers: Vec<PeerRow>,
    /// All hosts that were added, or at which somebody was found.
    pub hosts: Vec<HostRow>,
    /// The rooms that we are in.
    pub rooms: Vec<PeerName>,
    /// What waits for peers, in its order.
    pub letters: Vec<(PeerId, Letter)>,
    /// The highest number that is stored here, of each peer's log; those that were heard of last come last.
    pub high: Vec<(PeerId, Epoch, u64)>,
}

/// All but the letters.
pub(super) fn load(db: &Connection) -> Result<LoadedPeers, StoreError> {
    let sql = "SELECT id, name, trust, addresses, rooms, seen FROM peers ORDER BY id";
    let peers = rows(db, sql, |row| {
        Ok(PeerRow {
            id: peer(row, 0)?,
            name: text(row, 1)?,
            trust: text(row, 2)?,
            addresses: words(row, 3)?,
            rooms: words(row, 4)?,
            seen: Timestamp(row.get(5)?),
        })
    })?;
    let hosts = rows(db, "SELECT host, added, peer FROM hosts ORDER BY host", |row| {
        let known: Option<Vec<u8>> = row.get(2)?;
        let peer = known.is_some().then(|| peer(row, 2)).transpose()?;
        Ok(HostRow { host: row.get(0)?, added: row.get(1)?, peer })
    })?;
    let rooms = rows(db, "SELECT name FROM rooms ORDER BY name", |row| text(row, 0))?;
    let high = rows(db, "SELECT peer, epoch, n FROM stored ORDER BY at", |row| {
        Ok((peer(row, 0)?, Epoch(row.get(1)?), row.get(2)?))
    })?;
    Ok(LoadedPeers { peers, hosts, rooms, letters: Vec::new(), high })
}

fn rows<T>(db: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    db.prepare(sql)?.query_map([], |row| read(row))?.collect()
}

pub(super) fn damaged(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
}

fn peer(row: &Row<'_>, column: usize) -> Result<PeerId> {
    Ok(PeerId(row.get(column)?))
}

fn text<T: FromStr<Err: ToString>>(row: &Row<'_>, column: usize) -> Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|error: T::Err| damaged(column, error.to_string()))
}

/// Words between spaces: neither names nor addresses contain any.
fn words<T: FromStr<Err: ToString>>(row: &Row<'_>, column: usize) -> Result<Vec<T>> {
    let words: String = row.get(column)?;
    words
        .split_whitespace()
        .map(|word| word.parse().map_err(|error: T::Err| damaged(column, error.to_string())))
        .collect()
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn set(db: &Connection, peer: &PeerRow) -> Result<()> {
    let sql = "INSERT INTO peers (id, name, trust, addresses, rooms, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (id) DO UPDATE SET name = ?2, trust = ?3, addresses = ?4, rooms = ?5, seen = ?6";
    write(db, sql, peer, peer.trust)
}

pub(super) fn seen(db: &Connection, peer: &PeerRow) -> Result<()> {
    let sql = "INSERT INTO peers (id, name, trust, addresses, rooms, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (id) DO UPDATE SET name = ?2, addresses = ?4, rooms = ?5, seen = ?6";
    write(db, sql, peer, Trust::New)
}

fn write(db: &Connection, sql: &str, peer: &PeerRow, trust: Trust) -> Result<()> {
    let (addresses, rooms) = (joined(&peer.addresses), joined(&peer.rooms));
    db.prepare_cached(sql)?.execute(params![
        peer.id.0,
        peer.name.as_str(),
        trust.as_str(),
        addresses,
        rooms,
        peer.seen.0
    ])?;
    Ok(())
}

/// What it has stored of ours, and we of its, stays known: should it come back, nothing is numbered twice.
pub(super) fn remove(db: &Connection, peer: PeerId) -> Result<()> {
    for sql in [
        "DELETE FROM peers WHERE id = ?1",
        "UPDATE hosts SET peer = NULL WHERE peer = ?1",
        "DELETE FROM hosts WHERE NOT added AND peer IS NULL",
    ] {
        let mut statement = db.prepare_cached(sql)?;
        if statement.parameter_count() == 0 {
            statement.execute([])?
        } else {
            statement.execute([peer.0])?
        };
    }
    Ok(())
}

pub(super) fn set_host(db: &Connection, host: &HostRow) -> Result<()> {
    let sql = "INSERT INTO hosts (host, added, peer) VALUES (?1, ?2, ?3)
               ON CONFLICT (host) DO UPDATE SET added = ?2, peer = ?3";
    db.prepare_cached(sql)?.execute(params![host.host, host.added, host.peer.map(|peer| peer.0)])?;
    Ok(())
}

pub(super) fn remove_host(db: &Connection, host: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM hosts WHERE host = ?1")?.execute([host])?;
    Ok(())
}

pub(super) fn set_room(db: &Connection, room: &str, joined: bool) -> Result<()> {
    let sql = if joined {
        "INSERT INTO rooms (name) VALUES (?1) ON CONFLICT (name) DO NOTHING"
    } else {
        "DELETE FROM rooms WHERE name = ?1"
    };
    db.prepare_cached(sql)?.execute([room])?;
    Ok(())
}

/// Everything that a peer said up to `n` is stored here; belongs to the same transaction.
pub(super) fn stored(db: &Connection, at: Timestamp, peer: PeerId, epoch: Epoch, n: u64) -> Result<()> {
    let sql = "INSERT INTO stored (peer, epoch, n, at) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (peer, epoch) DO UPDATE SET n = max(n, ?3), at = ?4";
    db.prepare_cached(sql)?.execute(params![peer.0, epoch.0, n, at.0])?;
    Ok(())
}

/// Forgets how far this log is stored.
pub(super) fn forget_stored(db: &Connection, peer: PeerId, epoch: Epoch) -> Result<()> {
    db.prepare_cached("DELETE FROM stored WHERE peer = ?1 AND epoch = ?2")?
        .execute(params![peer.0, epoch.0])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn db(dir: &tempfile::TempDir) -> Connection {
        schema::open_writer(&dir.path().join("netkit.db")).unwrap()
    }

    fn row(id: u8) -> PeerRow {
        PeerRow {
            id: PeerId([id; 32]),
            name: "bob".parse().unwrap(),
            trust: Trust::Known,
            addresses: vec!["10.0.0.9:7890".parse().unwrap(), "[fe80::1%3]:7890".parse().unwrap()],
            rooms: vec!["ops".parse().unwrap(), "小明".parse().unwrap()],
            seen: Timestamp(5),
        }
    }

    #[test]
    fn what_is_seen_of_a_peer_changes_no_trust_and_makes_strangers_alone() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        set(&db, &PeerRow { trust: Trust::Blocked, ..row(1) }).unwrap();
        let later = |id| PeerRow { name: "bobby".parse().unwrap(), seen: Timestamp(6), ..row(id) };
        seen(&db, &later(1)).unwrap();
        seen(&db, &later(2)).unwrap();
        let trusted = |id, trust| PeerRow { trust, ..later(id) };
        assert_eq!(load(&db).unwrap().peers, [trusted(1, Trust::Blocked), trusted(2, Trust::New)]);
    }

    #[test]
    fn what_was_written_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let peers = [row(1), PeerRow { trust: Trust::Blocked, addresses: vec![], rooms: vec![], ..row(2) }];
        peers.iter().for_each(|peer| set(&db, peer).unwrap());
        let hosts = [
            HostRow { host: "a:1".into(), added: true, peer: None },
            HostRow { host: "b:1".into(), added: false, peer: Some(row(1).id) },
        ];
        hosts.iter().for_each(|host| set_host(&db, host).unwrap());
        for (room, joined) in [("ops", true), ("ops", true), ("b", true), ("b", false)] {
            set_room(&db, room, joined).unwrap();
        }
        let loaded = load(&db).unwrap();
        assert_eq!((&loaded.peers[..], &loaded.hosts[..]), (&peers[..], &hosts[..]));
        assert_eq!(loaded.rooms, ["ops".parse().unwrap()]);
        set(&db, &PeerRow { trust: Trust::Trusted, ..row(1) }).unwrap();
        assert_eq!(load(&db).unwrap().peers[0].trust, Trust::Trusted);
        remove_host(&db, "a:1").unwrap();
        assert_eq!(load(&db).unwrap().hosts, hosts[1..]);
    }

    #[test]
    fn what_is_stored_of_a_peer_never_becomes_less() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let bob = row(1).id;
        for (at, epoch, n) in [(1, 7, 5), (2, 8, 1), (3, 7, 3)] {
            stored(&db, Timestamp(at), bob, Epoch(epoch), n).unwrap();
        }
        let high = load(&db).unwrap().high;
        assert_eq!(high, [(bob, Epoch(8), 1), (bob, Epoch(7), 5)], "that of last comes last");
        remove(&db, bob).unwrap();
        assert_eq!(load(&db).unwrap().high.len(), 2, "a peer that comes back is not heard twice");
        forget_stored(&db, bob, Epoch(8)).unwrap();
        assert_eq!(load(&db).unwrap().high, [(bob, Epoch(7), 5)]);
    }

    #[test]
    fn what_can_not_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        set(&db, &row(1)).unwrap();
        db.execute("UPDATE peers SET addresses = 'nowhere'", []).unwrap();
        assert!(load(&db).is_err());
    }
}
