//! What is said on a link arrives, as it was said, beside plain lines on the same socket.

use super::*;
use crate::hub::links::Hello;
use netkit_proto::chat::plain::Encoding;

#[tokio::test]
async fn two_boxes_say_hello() {
    let (mut a, mut b) = (Station::new("a"), Station::new("b"));
    a.dial(7, None, &[b.address]).await;
    let (of_a, of_b) = ((a.id, a.address, "a"), (b.id, b.address, "b"));
    for (station, other, dialled) in [(&mut a, of_b, Some(7)), (&mut b, of_a, None)] {
        let LinkReport::Up { peer, address, dial, hello, .. } = station.report().await else { panic!() };
        assert_eq!((peer, address, dial), (other.0, other.1, dialled));
        let expected = Hello {
            name: other.2.parse().unwrap(),
            version: 1,
            features: vec![],
            instance: u64::from(address.port()),
            file_port: Some(7),
            rooms: vec!["ops".parse().unwrap()],
            epoch: Epoch(5),
        };
        assert_eq!(hello, expected);
        let pulse = soon("a pulse", station.reports.recv()).await.unwrap();
        assert!(
            matches!(pulse, LinkReport::Pulse(_, rtt, at) if at == other.1 && rtt > Duration::ZERO),
            "{pulse:?}"
        );
    }
}

#[tokio::test]
async fn what_is_said_arrives_both_ways_and_in_order() {
    let (mut a, mut b, at_a, at_b) = linked().await;
    let long = "长".repeat(netkit_proto::limits::TEXT / 3);
    let escaped = "\u{1}".repeat(netkit_proto::limits::TEXT);
    let mut in_room = say(4, "x");
    in_room.room = Some("ops".parse().unwrap());
    let says = vec![say(1, "hello"), say(2, long), say(3, escaped), in_room];
    a.order(LinkOrder::Say(at_a, says.clone())).await;
    let mut got = Vec::new();
    while got.len() < says.len() {
        match b.report().await {
            LinkReport::Said(link, said) if link == at_b => got.extend(said),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, says);

    b.order(LinkOrder::Stored(at_b, 3)).await;
    assert!(matches!(a.report().await, LinkReport::Stored(link, 3) if link == at_a));
    b.order(LinkOrder::Refused(at_b, vec![4], RefusalCode::NotAccepted)).await;
    assert!(matches!(a.report().await, LinkReport::Refused(_, 4, RefusalCode::NotAccepted)));
    b.order(LinkOrder::Say(at_b, vec![say(1, "and back")])).await;
    assert!(matches!(a.report().await, LinkReport::Said(_, says) if says == [say(1, "and back")]));

    let rooms = vec!["ops".parse().unwrap(), "dev".parse().unwrap()];
    a.introduction.send_modify(|introduction| introduction.rooms.clone_from(&rooms));
    assert!(matches!(b.report().await, LinkReport::Rooms(link, told) if link == at_b && told == rooms));
    a.introduction.send_modify(|introduction| introduction.file_port = None); // nothing to tell
    b.introduction.send_modify(|introduction| introduction.rooms.clear());
    assert!(matches!(a.report().await, LinkReport::Rooms(_, told) if told.is_empty()));
}

#[tokio::test]
async fn many_messages_come_in_few_reports() {
    const COUNT: u64 = 5000;
    let (a, mut b, at_a, _) = linked().await;
    for first in (1..=COUNT).step_by(100) {
        a.order(LinkOrder::Say(at_a, (first..first + 100).map(|n| say(n, "x".repeat(100))).collect())).await;
    }
    let (mut numbers, mut reports) = (Vec::new(), 0);
    while numbers.len() < COUNT as usize {
        let LinkReport::Said(_, says) = b.report().await else { panic!() };
        assert!(says.len() <= limits::LINK_BATCH);
        numbers.extend(says.iter().map(|say| say.n));
        reports += 1;
    }
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>());
    assert!(reports < COUNT / 20, "{reports}");
}

#[tokio::test]
async fn a_hub_that_is_slow_loses_nothing() {
    const COUNT: u64 = 100;
    let (a, mut b, at_a, at_b) = linked().await;
    // Far more than all buffers between the two hold, and no one takes it.
    let text = "x".repeat(netkit_proto::limits::TEXT);
    for n in 1..=COUNT {
        a.order(LinkOrder::Say(at_a, vec![say(n, text.clone())])).await;
    }
    // The other direction is not held up, nor are plain lines.
    let mut a = a;
    b.order(LinkOrder::Stored(at_b, 1)).await;
    assert!(matches!(a.report().await, LinkReport::Stored(_, 1)));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"plain", b.address).unwrap();
    assert_eq!(b.line().await.line.text, "plain");
    assert_eq!(b.said(COUNT as usize).await, (1..=COUNT).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_peer_gets_plain_lines_beside_its_link() {
    let (a, mut b, at_a, _) = linked().await;
    for bytes in [&b"plain text, long enough to be a packet"[..], b"\xC4\xE3\xBA\xC3", b"@\x80\xFF\x00"] {
        a.order(LinkOrder::Say(at_a, vec![say(1, "linked")])).await;
        let datagram = Datagram { message: Seq(1), to: b.address, from: None, bytes: bytes.to_vec() };
        a.datagrams.send(datagram).await.unwrap();
        let arrived = b.line().await;
        assert_eq!(arrived.from, a.address);
        let expected = match bytes[0] {
            b'p' => ("plain text, long enough to be a packet", Encoding::Utf8),
            b'@' => ("4080ff00", Encoding::Hex),
            _ => ("你好", Encoding::Gb18030),
        };
        assert_eq!((arrived.line.text.as_str(), arrived.line.encoding), expected);
        assert_eq!(b.said(1).await, [1]);
    }
}

#[tokio::test]
async fn an_address_is_told_as_the_family_has_it() {
    let dir = || Arc::new(tempfile::tempdir().unwrap());
    let (mut a, mut b) = (Station::at("a", dir(), "[::]:0", ""), Station::at("b", dir(), "[::]:0", ""));
    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        a.dial(1, Some(b.id), &[SocketAddr::new(ip, b.address.port())]).await;
        let LinkReport::Up { address, link, .. } = a.report().await else { panic!() };
        assert_eq!(address, SocketAddr::new(ip, b.address.port()));
        let LinkReport::Up { address, .. } = b.report().await else { panic!() };
        assert_eq!(address, SocketAddr::new(ip, a.address.port()));
        a.order(LinkOrder::Say(link, vec![say(1, "x")])).await;
        assert_eq!(b.said(1).await, [1]);
    }
}
