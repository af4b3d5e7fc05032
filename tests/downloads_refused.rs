//! Servers that give nothing: they redirect, refuse, are not there or have no address. Some are tried again.

use crate::harness::{
    Downloader, File, MIB, NodeBuilder, Reply, Source, assert_same, bytes, is_root, may_skip, millis,
};

#[test]
fn redirects_are_followed_but_not_for_ever_nor_anywhere() {
    let mut downloader = Downloader::new();
    let source = Source::http(|request| {
        let path = request.path.as_str();
        let hop = path.strip_prefix("/hop").and_then(|n| n.parse::<u32>().ok());
        match (path, hop) {
            ("/loop", _) => Reply::redirect("/loop"),
            ("/endless", _) => Reply::redirect("/endless/"),
            ("/file", _) => Reply::redirect("file:///etc/passwd"),
            ("/ftp", _) => Reply::redirect("ftp://127.0.0.1/x"),
            ("/nowhere", _) => Reply::status(302),
            (_, Some(0)) => File::new(&bytes(1, MIB)).answer(request),
            (_, Some(n)) => {
                Reply::redirect(&format!("hop{}", n - 1)).with_status([301, 302, 303, 307, 308][n as usize])
            }
            _ => Reply::redirect(&format!("{path}x")),
        }
    });
    for name in ["loop", "endless", "file", "ftp", "nowhere"] {
        let id = downloader.add(&source.url(name));
        let failed = downloader.failed(id, "refused");
        let word = if name == "nowhere" { "302" } else { "redirect" };
        assert!(failed["error"]["message"].as_str().unwrap().contains(word), "{name}: {failed}");
        assert!(!downloader.words(id).contains(&"retry_wait".to_owned()), "{name} is final");
    }
    assert!(source.requests().len() < 60, "bounded: {}", source.requests().len());
    assert_eq!(downloader.names(), [""; 0]);
    let id = downloader.add(&source.url("hop4"));
    downloader.done(id);
    assert_same(&downloader.read("hop4"), &bytes(1, MIB), "four hops");
}

#[test]
fn a_status_says_whether_to_try_again() {
    let mut downloader = Downloader::new();
    let source = Source::http(|request| Reply::status(request.path[1..4].parse().unwrap()));
    for (status, kind) in [
        (404, "not_found"),
        (410, "not_found"),
        (400, "refused"),
        (401, "refused"),
        (403, "refused"),
        (451, "refused"),
    ] {
        let id = downloader.add(&source.url(&format!("{status}-f")));
        let failed = downloader.failed(id, kind);
        assert!(failed["error"]["message"].as_str().unwrap().contains(&status.to_string()), "{failed}");
        assert_eq!(downloader.words(id), ["queued", "active", "failed"], "{status} is final");
    }
    assert_eq!(downloader.names(), [""; 0], "what the server says to people is no file");
    for status in [500, 502, 503, 429] {
        // Each with a server of its own, so that the second request is the second try.
        let source = Source::http(move |request| match request.number {
            0 => Reply::status(status).header("Retry-After: 3"),
            _ => File::new(&bytes(1, 1000)).answer(request),
        });
        let name = format!("{status}");
        let id = downloader.add(&source.url(&name));
        let event = downloader.tried(id, "refused");
        assert!(event["error"]["message"].as_str().unwrap().contains(&name), "{event}");
        if status == 503 || status == 429 {
            let wait = millis(&event["retry_at"]) - millis(&event["at"]);
            assert!(wait >= 2900, "Retry-After is kept to: {event}");
        }
        downloader.done(id);
        assert_same(&downloader.read(&name), &bytes(1, 1000), "at the second try");
    }
}

#[test]
fn who_is_not_there_is_tried_again() {
    let mut downloader = Downloader::new();
    // A port that nobody listens on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for source in [format!("http://{closed}/f"), format!("tcp://{closed}/f")] {
        let id = downloader.add(&source);
        let event = downloader.tried(id, "network");
        assert!(event["error"]["message"].as_str().unwrap().contains(&closed.to_string()), "{event}");
        let shown = downloader.until(id, "a second try", |shown| shown["attempts"].as_u64().unwrap() >= 2);
        assert_eq!(shown["error"]["kind"], "network");
        downloader.tell("cancel", id);
    }
    // What does not speak HTTP.
    let bare = Source::bare(|_| Reply::bytes(&b"no_file\n".as_slice().into()));
    let id = downloader.add(&bare.url("f").replace("tcp://", "http://"));
    let shown = downloader.until(id, "is not taken", |shown| shown.get("error").is_some());
    assert_eq!(shown["error"]["kind"], "network", "{shown}");
    assert!(!downloader.path("f").exists());
}

#[test]
fn a_host_without_address_is_told_as_such() {
    let test = "a_host_without_address_is_told_as_such";
    if may_skip(is_root(), test, "root, for a network without name servers") {
        return;
    }
    let alone = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""];
    let mut downloader = Downloader::on(NodeBuilder::default().wrapper(&alone).start());
    for source in ["http://no-such-host.example/f", "tcp://no-such-host.example:1/f"] {
        let id = downloader.add(source);
        let event = downloader.event(id, "retry_wait");
        assert_eq!(event["error"]["kind"], "name_resolution", "{event}");
        assert!(event["error"]["message"].as_str().unwrap().contains("no-such-host.example"), "{event}");
    }
}

#[test]
fn who_waits_for_another_try_holds_up_nobody_and_can_be_told_to_go_on() {
    let mut downloader = Downloader::with("active = 1");
    let busy = Source::http(|request| match request.number {
        0 => Reply::status(503).header("Retry-After: 3000"),
        _ => File::new(&bytes(1, MIB)).answer(request),
    });
    let free = Source::http(|request| File::new(&bytes(2, MIB)).answer(request));
    let first = downloader.add(&busy.url("first"));
    let second = downloader.add(&free.url("second"));
    downloader.done(second);
    let waiting = downloader.state(first, "retry_wait");
    let retry_at = &waiting["retry_at"];
    assert!(millis(retry_at) - millis(&waiting["changed"]) > 2_000_000, "{waiting}");
    // It waits on after a restart, however that comes.
    downloader.restart();
    downloader.kill();
    let again = downloader.show(first);
    assert_eq!((&again["state"], &again["retry_at"]), (&waiting["state"], retry_at), "{again}");
    assert_eq!(again["error"], waiting["error"], "and still knows why");
    assert_eq!(busy.requests().len(), 1);
    downloader.tell("pause", first);
    downloader.tell("resume", first);
    assert_eq!(downloader.done(first)["attempts"], 0);
    assert_same(&downloader.read("first"), &bytes(1, MIB), "at the second try");
}
