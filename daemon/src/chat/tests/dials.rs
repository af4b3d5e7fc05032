//! Whom a dial reaches, and what is told where it reaches nobody.

use super::*;

fn deaf() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn another_box_and_ourselves_are_told_apart() {
    let (mut a, mut b) = (Station::new("a"), Station::new("b"));
    let somebody = PeerId([7; 32]);
    a.dial(1, Some(somebody), &[b.address]).await;
    assert_eq!(a.failures().await, [(b.address, DialFailure::Another(b.id))]);
    for peer in [None, Some(a.id), Some(somebody)] {
        a.dial(2, peer, &[a.address]).await;
        assert_eq!(a.failures().await, [(a.address, DialFailure::Ourselves)]);
    }
    a.dial(3, Some(somebody), &[]).await;
    assert_eq!(a.failures().await, []);
    // Nothing of that was a link to those who were called.
    link(&mut a, &mut b).await;
}

#[tokio::test]
async fn one_of_several_addresses_is_enough_and_makes_one_link() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (mut a, mut b) = (Station::new("a"), Station::at("b", dir, "0.0.0.0:0", ""));
    let (_sockets, mut addresses): (Vec<_>, Vec<_>) = (0..limits::DIAL_ADDRESSES - 1).map(|_| deaf()).unzip();
    for host in 1..=6 {
        addresses.push(SocketAddr::from(([127, 0, 0, host], b.address.port())));
    }
    a.dial(1, Some(b.id), &addresses).await;
    let (at_a, ..) = a.up().await;
    let (at_b, ..) = b.up().await;
    a.order(LinkOrder::Say(at_a, vec![say(1, "x")])).await;
    assert_eq!(b.said(1).await, [1], "and no second link was told of");
    b.order(LinkOrder::Say(at_b, vec![say(1, "x")])).await;
    assert_eq!(a.said(1).await, [1]);
}

#[tokio::test]
async fn more_deaf_addresses_than_are_tried_at_once_hide_no_good_one() {
    let (mut a, mut b) = (Station::new("a"), Station::new("b"));
    const { assert!(limits::DIAL_ADDRESSES < 5) };
    let (_sockets, mut addresses): (Vec<_>, Vec<_>) = (0..5).map(|_| deaf()).unzip();
    addresses.push(b.address);
    a.dial(1, Some(b.id), &addresses).await;
    let (_, peer, dial) = a.up().await;
    assert_eq!((peer, dial), (b.id, Some(1)));
    assert_eq!(b.up().await.1, a.id);
}

#[tokio::test]
async fn a_host_is_looked_up() {
    let (mut a, mut b) = (Station::new("a"), Station::new("b"));
    let dial = |dial, host: &str| LinkOrder::Dial {
        dial,
        peer: None,
        host: Some((host.into(), b.address.port())),
        addresses: vec![],
    };
    a.order(dial(1, "localhost")).await;
    let wanted = b.id;
    assert_eq!(a.up().await.1, wanted);
    a.order(dial(2, "no such host.invalid")).await;
    match a.report().await {
        LinkReport::DialFailed { dial: 2, failures, unresolved: Some(_) } => assert_eq!(failures, []),
        other => panic!("{other:?}"),
    }
    b.up().await;
}

#[tokio::test]
async fn who_can_not_be_reached_is_told_with_the_reason() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let mut a = Station::at("a", dir, "127.0.0.1:0", "[chat]\nallow = [\"127.0.0.1\"]\n");
    let (_socket, silent) = deaf();
    let outside: SocketAddr = "127.0.0.2:7890".parse().unwrap();
    let other_family: SocketAddr = "[::1]:7890".parse().unwrap();
    a.dial(1, None, &[outside, other_family, silent]).await;
    let mut failures = a.failures().await;
    failures.sort_unstable_by_key(|(address, _)| *address);
    let reasons: Vec<_> =
        failures.iter().map(|(address, failure)| (*address, format!("{failure:?}"))).collect();
    assert_eq!(reasons[0].0, silent);
    assert!(reasons[0].1.contains("no answer"), "{reasons:?}");
    assert_eq!(reasons[1], (outside, r#"Unreachable("not within chat.allow")"#.into()));
    assert_eq!(reasons[2].0, other_family);
    assert!(matches!(failures[2].1, DialFailure::Unreachable(_)), "{reasons:?}");
}

#[tokio::test]
async fn both_may_dial_at_once_and_get_two_links() {
    let (mut a, mut b) = (Station::new("a"), Station::new("b"));
    a.dial(1, Some(b.id), &[b.address]).await;
    b.dial(1, Some(a.id), &[a.address]).await;
    // Which one is kept is for the hubs to say.
    for station in [&mut a, &mut b] {
        let mut dialled = [station.up().await.2, station.up().await.2];
        dialled.sort_unstable();
        assert_eq!(dialled, [None, Some(1)]);
    }
}
