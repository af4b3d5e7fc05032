//! What a peer is asked to list: what comes of an honest one, and of one that lies, floods or stalls.

use super::peers::behaves;
use super::server::{Answer, Behaviour, Server, Step, bytes, status};
use super::*;
use crate::hub::orders::ListPeer;
use netkit_proto::files::listing::{EntryKind, ListEntry, Listing};
use netkit_proto::rpc::code::Error;
use tokio::sync::oneshot;

/// What an engine gives who asks for this path of a peer that behaves so.
async fn listed(behaviour: Behaviour, path: &str) -> (Result<Listing, Error>, Vec<String>) {
    let (server, rig) = (Server::start(behaviour).await, Rig::new());
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    let path = if path.is_empty() { SafePath::root() } else { SafePath::parse(path.as_bytes()).unwrap() };
    let (reply, answer) = oneshot::channel();
    rig.orders.send(Order::List(Box::new(ListPeer { way, is_linked: true, path, reply }))).await.unwrap();
    let answer = answer.await.unwrap();
    let asked = server.asked.lock().unwrap().iter().map(|request| request.path.clone()).collect();
    (answer, asked)
}

fn endless(head: &str) -> Answer {
    Answer { head: head.to_owned(), steps: vec![Step::Endless] }
}

#[tokio::test]
async fn a_directory_and_a_file_are_listed_as_they_are() {
    let entry = ListEntry::new("\u{4f60} x".as_bytes(), EntryKind::File, Some(7), None);
    let listing = Listing { entries: vec![entry], truncated: true };
    let json = listing.to_json().into_bytes();
    let (answer, asked) = listed(behaves(move |_| bytes(json.clone(), "\"1\"")), "s/a b").await;
    assert_eq!((answer.unwrap(), asked), (listing, vec!["/s/a%20b/".to_owned()]));

    // What a file hashes to stands in the directory that it is in; where that does not list it, the file tells the rest.
    let entry =
        |name: &[u8], kind| ListEntry::new(name, kind, Some(5), Some(netkit_proto::time::Timestamp(1000)));
    let hashed = ListEntry { blake3: Some("ab".repeat(32)), ..entry(b"f", EntryKind::File) };
    let of = |entries: Vec<ListEntry>| Listing { entries, truncated: false };
    let others = vec![entry(b"f", EntryKind::Dir), entry(b"f2", EntryKind::File)];
    for (above, told) in [
        (Some(of([others.clone(), vec![hashed.clone()]].concat())), hashed),
        (Some(of(others)), entry(b"f", EntryKind::File)),
        (None, entry(b"f", EntryKind::File)),
    ] {
        let is_told = told.blake3.is_some();
        let behaviour = behaves(move |request| match (request.path.as_str(), &above) {
            ("/s/", Some(above)) => bytes(above.to_json().into_bytes(), "\"1\""),
            ("/s/f", _) => {
                let date = "last-modified: Thu, 01 Jan 1970 00:00:01 GMT";
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{date}\r\n\r\n");
                Answer { head, steps: Vec::new() }
            }
            _ => status("404 Not Found"),
        });
        let (answer, asked) = listed(behaviour, "s/f").await;
        assert_eq!(answer.unwrap(), of(vec![told]));
        assert_eq!(asked, if is_told { &["/s/f/", "/s/"][..] } else { &["/s/f/", "/s/", "/s/f"] });
    }
}

#[tokio::test]
async fn a_refusal_is_told_as_what_it_is() {
    for (answer, kind) in [
        ("404 Not Found", Kind::NotFound),
        ("403 Forbidden", Kind::Refused),
        ("503 Service Unavailable", Kind::Busy),
        ("308 Permanent Redirect", Kind::Network),
        ("500 Oh", Kind::Network),
    ] {
        for path in ["", "s", "s/d"] {
            let (failed, _) = listed(behaves(move |_| status(answer)), path).await;
            assert_eq!(failed.unwrap_err().kind(), kind, "{answer} to {path:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_listing_is_given_to_nobody() {
    let named = |href: &str| format!(r#"{{"entries":[{{"name":"x","href":"{href}","kind":"file"}}]}}"#);
    for body in [
        String::new(),
        "<html>".into(),
        "[]".into(),
        named(".."),
        named("..%2F..%2Fetc%2Fpasswd"),
        named("a%00"),
        named(""),
        format!(r#"{{"entries":[{}]}}"#, "[".repeat(100_000)),
    ] {
        let said = body.clone().into_bytes();
        let (failed, _) = listed(behaves(move |_| bytes(said.clone(), "\"1\"")), "s").await;
        assert_eq!(failed.unwrap_err().kind(), Kind::Network, "{:?}", &body[..body.len().min(80)]);
    }
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\n\r\n",
        "",
    ] {
        let (failed, _) = listed(behaves(move |_| endless(head)), "s/d").await;
        assert_eq!(failed.unwrap_err().kind(), Kind::Network, "{head:?}");
    }
}

#[tokio::test]
async fn who_leaves_frees_the_place_of_a_peer_that_stalls() {
    let stalls = behaves(|_| Answer { head: String::new(), steps: vec![Step::Stall] });
    let (server, rig) = (Server::start(stalls).await, Rig::new());
    let way = Way { id: server.id, label: "bob".into(), addresses: vec![server.address] };
    for _ in 0..4 * limits::LISTS {
        let (reply, answer) = oneshot::channel();
        let before = server.asked.lock().unwrap().len();
        let list = ListPeer { way: way.clone(), path: SafePath::root(), is_linked: true, reply };
        rig.orders.send(Order::List(Box::new(list))).await.unwrap();
        while server.asked.lock().unwrap().len() == before {
            tokio::task::yield_now().await;
        }
        drop(answer);
    }
}

#[tokio::test]
async fn who_is_not_linked_and_not_where_it_was_is_away() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rig = Rig::new();
    for (is_linked, kind) in [(false, Kind::Away), (true, Kind::Network)] {
        let way = Way { id: PeerId([9; 32]), label: "bob".into(), addresses: vec![closed] };
        let (reply, answer) = oneshot::channel();
        let list = ListPeer { way, path: SafePath::root(), is_linked, reply };
        rig.orders.send(Order::List(Box::new(list))).await.unwrap();
        let failed = answer.await.unwrap().unwrap_err();
        assert_eq!(failed.kind(), kind);
        assert!(failed.message.contains("bob") && failed.data.unwrap().hint.is_some());
    }
}
