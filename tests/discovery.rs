//! Who is found on a LAN by multicast DNS, and beside whom: hosts in network namespaces, Avahi, and an announcer that
//! lies.

use crate::harness::{Host, Lab, Node, Running, eventually, has_no_lab};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Where a box finds a peer by mDNS; nothing where it does not.
fn found(at: &Node, peer: &str) -> Vec<String> {
    let listed = at.ctl(&["rpc", "peers.list"]).expect(0).json().remove(0);
    let peers = listed["peers"].as_array().unwrap().iter().filter(|p| p["name"] == peer);
    let addresses = peers.flat_map(|p| p["addresses"].as_array().unwrap());
    let found = addresses.filter(|a| a["how"] == "mdns");
    found.map(|a| a["address"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a peer is found at these addresses, whatever else it has.
#[track_caller]
fn wait_found(at: &Node, peer: &str, addresses: &[&str]) -> Vec<String> {
    eventually(&format!("{peer} is found at {addresses:?}"), || {
        let found = found(at, peer);
        addresses.iter().all(|a| found.iter().any(|f| f.starts_with(a))).then_some(found)
    })
}

/// Waits until a peer is not found at an address that starts so.
#[track_caller]
fn wait_gone(at: &Node, peer: &str, address: &str) {
    eventually(&format!("{peer} is not found at {address}"), || {
        (!found(at, peer).iter().any(|f| f.starts_with(address))).then_some(())
    });
}

fn discovery(host: &Host, name: &str, lines: &str) -> Node {
    host.node(name).sections(&format!("[discovery]\n{lines}\n")).start()
}

#[test]
fn hosts_find_each_other_and_say_goodbye() {
    if has_no_lab("hosts_find_each_other_and_say_goodbye", &[]) {
        return;
    }
    let lab = Lab::new();
    let hosts = [lab.host(1), lab.host(2), lab.host(3)];
    let names = ["anna", "小明", "carl"];
    let mut nodes: Vec<Node> = hosts.iter().zip(names).map(|(host, name)| host.node(name).start()).collect();
    for (n, node) in nodes.iter().enumerate() {
        for (m, name) in names.iter().enumerate().filter(|(m, _)| *m != n) {
            let m = m + 1;
            let addresses = [&format!("10.77.0.{m}:7890"), &format!("[fd77::{m}]:7890"), "[fe80::"];
            let found = wait_found(node, name, &addresses);
            let scope = format!("%{}]:7890", interface(&hosts[n], "lan0"));
            assert!(found.iter().any(|f| f.starts_with("[fe80::") && f.ends_with(&scope)), "{found:?}");
        }
        assert_eq!(found(node, names[n]), [] as [&str; 0], "nobody finds itself");
    }
    nodes.remove(2).stop();
    for node in &nodes {
        wait_gone(node, "carl", "");
    }
    assert!(!found(&nodes[0], "小明").is_empty());
}

/// The index of a host's interface.
fn interface(host: &Host, name: &str) -> Value {
    let shown = host.run(&["ip", "-json", "link", "show", name]).expect(0).json().remove(0);
    shown[0]["ifindex"].clone()
}

#[test]
fn interfaces_come_and_go() {
    if has_no_lab("interfaces_come_and_go", &[]) {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.host(1), lab.unconnected(2));
    let (anna, bob) = (a.node("anna").start(), b.node("bob").start());
    lab.connect(&b, "br0", "lan0", &["10.77.0.2/24"]);
    wait_found(&anna, "bob", &["10.77.0.2:7890"]);
    wait_found(&bob, "anna", &["10.77.0.1:7890"]);
    // A second network, on both.
    lab.bridge("br1");
    lab.connect(&a, "br1", "lan1", &["10.78.0.1/24"]);
    lab.connect(&b, "br1", "lan1", &["10.78.0.2/24"]);
    wait_found(&anna, "bob", &["10.77.0.2:7890", "10.78.0.2:7890"]);
    wait_found(&bob, "anna", &["10.77.0.1:7890", "10.78.0.1:7890"]);
    // What is on a link that is not there is of no use.
    lab.unplug(&a, "lan1");
    wait_gone(&anna, "bob", "10.78.");
    wait_found(&anna, "bob", &["10.77.0.2:7890"]);
    lab.plug(&a, "lan1");
    wait_found(&anna, "bob", &["10.78.0.2:7890"]);
    a.sh("ip link delete lan1");
    wait_gone(&anna, "bob", "10.78.");
    // Another address in place of the one there was.
    b.sh("ip address delete 10.77.0.2/24 dev lan0; ip address add 10.77.0.22/24 dev lan0");
    wait_found(&anna, "bob", &["10.77.0.22:7890"]);
}

#[test]
fn an_excluded_interface_is_not_used_until_a_reload_says_so() {
    if has_no_lab("an_excluded_interface_is_not_used_until_a_reload_says_so", &[]) {
        return;
    }
    let lab = Lab::new();
    lab.bridge("br1");
    let (a, b, c, d) = (lab.host(1), lab.unconnected(2), lab.host(3), lab.unconnected(4));
    lab.connect(&a, "br1", "lan1", &["10.78.0.1/24"]);
    lab.connect(&b, "br1", "lan1", &["10.78.0.2/24"]);
    lab.connect(&d, "br1", "lan1", &["10.78.0.4/24"]);
    let mut anna = discovery(&a, "anna", "interfaces = [\"lan*\", \"!lan1\"]");
    let (bob, carl, dora) = (b.node("bob").start(), c.node("carl").start(), d.node("dora").start());
    wait_found(&anna, "carl", &["10.77.0.3:7890"]);
    wait_found(&carl, "anna", &["10.77.0.1:7890"]);
    wait_found(&bob, "dora", &["10.78.0.4:7890"]);
    wait_found(&dora, "bob", &["10.78.0.2:7890"]);
    assert_eq!((found(&anna, "bob"), found(&bob, "anna")), (vec![], vec![]));
    anna.edit_config("\"!lan1\"", "\"!lan9\"");
    let reloaded = anna.session().call("node.reload", json!({})).unwrap();
    assert_eq!(reloaded, json!({"changed": ["discovery.interfaces"], "needs_restart": []}));
    wait_found(&anna, "bob", &["10.78.0.2:7890"]);
    wait_found(&bob, "anna", &["10.78.0.1:7890"]);
    // Off, and on again.
    anna.edit_config("interfaces = ", "mdns = false\ninterfaces = ");
    anna.daemon().signal(Signal::HUP);
    wait_gone(&carl, "anna", "");
    wait_gone(&anna, "carl", "");
    anna.edit_config("mdns = false\n", "");
    anna.daemon().signal(Signal::HUP);
    wait_found(&carl, "anna", &["10.77.0.1:7890"]);
    wait_found(&anna, "carl", &["10.77.0.3:7890"]);
}

#[test]
fn only_what_is_listened_on_is_announced() {
    if has_no_lab("only_what_is_listened_on_is_announced", &[]) {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.host(1), lab.host(2));
    let _anna = a.node("anna").listen("10.77.0.1:7890").start();
    let bob = b.node("bob").start();
    assert_eq!(wait_found(&bob, "anna", &["10.77.0.1:7890"]), ["10.77.0.1:7890"]);
}

/// Asks once for `_netkit._udp.local` as one that speaks no mDNS otherwise does (RFC 6762, section 6.7), and prints the
/// names and the strings that are in the answer.
const ASK: &str = r#"
import re, socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
asking.settimeout(30)
name = b"".join(bytes([len(label)]) + label for label in [b"_netkit", b"_udp", b"local", b""])
asking.sendto(b"\0\7\0\0\0\1\0\0\0\0\0\0" + name + b"\0\x0c\0\1", ("224.0.0.251", 5353))
answer, _ = asking.recvfrom(9000)
assert answer[:2] == b"\0\7" and answer[2] & 0x80, answer
for text in re.findall(rb"[\x21-\x7e]{3,}", answer):
    print(text.decode())
"#;

#[test]
fn who_asks_by_hand_is_answered() {
    if has_no_lab("who_asks_by_hand_is_answered", &["python3"]) {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.host(1), lab.host(2));
    let (anna, bob) = (a.node("anna").start(), b.node("bob").start());
    wait_found(&bob, "anna", &["10.77.0.1:7890"]); // by then it has announced itself
    drop(bob);
    let me = anna.session().call("peers.list", json!({})).unwrap()["me"].clone();
    let id = me["id"].as_str().unwrap();
    let answer = b.run(&["python3", "-c", ASK, "10.77.0.2"]).expect(0).stdout;
    let instance = format!("anna-{}", &id[..6]);
    for part in [&instance, "v=1", &format!("id={id}"), "name=anna", &format!("netkit-{}", &id[..6])] {
        assert!(answer.contains(part), "no {part} in {answer}");
    }
}

/// Runs Avahi, and the bus that it needs, which ends with it, in places of their own: the machine may have them, too.
const AVAHI: &str = r#"
mkdir -p /run/avahi-daemon
mount -t tmpfs none /run/avahi-daemon
cat > "$1/bus.conf" <<EOF
<busconfig><type>system</type><listen>unix:path=$1/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow receive_sender="*"/><allow own="*"/>
<allow user="*"/></policy></busconfig>
EOF
printf '[server]\nhost-name=ava\nuse-ipv4=yes\nuse-ipv6=yes\n[publish]\npublish-workstation=yes\n' > "$1/avahi.conf"
setpriv --pdeathsig KILL dbus-daemon --config-file="$1/bus.conf" --nofork --print-address=1 &
until [ -S "$1/bus" ]; do read -t 0.1 -r _ < /dev/zero || true; done
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$1/bus"
exec avahi-daemon --file="$1/avahi.conf" --no-chroot --no-rlimits --no-drop-root
"#;

#[test]
fn avahi_on_the_same_box_goes_on_and_finds_us() {
    let programs = ["avahi-browse", "avahi-daemon", "dbus-daemon"];
    if has_no_lab("avahi_on_the_same_box_goes_on_and_finds_us", &programs) {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.host(1), lab.host(2));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut avahi = Running::start(a.command(&["unshare", "--mount", "bash", "-ec", AVAHI, "avahi", path]));
    avahi.stderr_with("Server startup complete");
    let (anna, bob) = (a.node("anna").start(), b.node("bob").start());
    let browse = |service: &str, expected: &[&str]| {
        eventually(&format!("avahi-browse shows {expected:?}"), || {
            let mut browse = a.command(&["avahi-browse", "-rtp", service]);
            browse.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={path}/bus"));
            let shown = Running::to_end(browse, b"").expect(0).stdout;
            let resolved: Vec<&str> = shown.lines().filter(|line| line.starts_with('=')).collect();
            expected.iter().all(|part| resolved.iter().any(|line| line.contains(part))).then_some(())
        });
    };
    browse("_netkit._udp", &["anna-", "bob-", "10.77.0.1;7890", "10.77.0.2;7890", "\"name=bob\""]);
    browse("_workstation._tcp", &["ava\\032"]);
    wait_found(&anna, "bob", &["10.77.0.2:7890"]);
    wait_found(&bob, "anna", &["10.77.0.1:7890"]);
    assert!(avahi.is_running());
}

/// Announces instances with every fault that comes to mind, then says "done", and goes on with two that have none.
const LIAR: &str = r#"
import os, select, socket, struct, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
service = [b"_netkit", b"_udp", b"local"]
def name(labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
def record(owner, kind, data, ttl=120):
    return name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
def announce(instance, txt, addresses, port=7890, host=None):
    host = [host or instance[:40] + b"-host", b"local"]
    owner = [instance] + service
    text = b"".join(bytes([len(part)]) + part for part in txt) if isinstance(txt, list) else txt
    records = [record(service, 12, name(owner)), record(owner, 33, struct.pack("!HHH", 0, 0, port) + name(host)),
        record(owner, 16, text)] + [record(host, 1, socket.inet_aton(address)) for address in addresses]
    send(struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records))
def send(packet):
    out.sendto(packet[:8000], ("224.0.0.251", 5353))
letters = b"abcdefghijklmnopqrstuvwxyz234567"
def peer_id():
    return b"id=" + bytes(letters[byte & 31] for byte in os.urandom(51)) + b"a"
here = sys.argv[1]
victim = b"id=" + sys.argv[2].encode()
for round in range(20):
    n = b"%d" % round
    announce(b"no-version" + n, [peer_id(), b"name=bad"], [here])
    announce(b"future" + n, [b"v=2", peer_id(), b"name=bad"], [here])
    announce(b"no-id" + n, [b"v=1", b"name=bad"], [here])
    announce(b"short-id" + n, [b"v=1", peer_id()[:30], b"name=bad"], [here])
    announce(b"long-id" + n, [b"v=1", peer_id() + b"a" * 150, b"name=bad"], [here])
    announce(b"escape" + n, [b"v=1", peer_id(), b"name=bad\x1b[2J"], [here])
    announce(b"bytes" + n, [b"v=1", peer_id(), b"name=bad\xff\xfe\x00"], [here])
    announce(b"long-name" + n, [b"v=1", peer_id(), b"name=" + b"bad" * 80], [here])
    announce(b"torn" + n, b"\xffv=1", [here])
    announce(b"empty" + n, b"", [here])
    announce(b"noise" + n, os.urandom(3000), [here])
    announce(b"\x1b[31m\x00\\." + n, [b"v=1", peer_id(), b"name=bad me"], [here])
    announce(b"off-link" + n, [b"v=1", peer_id(), b"name=far"], ["8.8.8.8", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
    announce(b"port-0" + n, [b"v=1", peer_id(), b"name=far"], [here], port=0)
    announce(b"you" + n, [b"v=1", victim, b"name=bad"], [here])
    announce(b"loop" + n, [b"v=1", peer_id(), b"name=far"], [], host=b"loop" + n)
    send(struct.pack("!HHHHHH", 0, 0x8400, 0, 0xffff, 0xffff, 0xffff) + b"\xc0\x0c" * 500)
    send(os.urandom(1000))
    send(b"\0")
honest = peer_id()
crowd = peer_id()
print("done", flush=True)
while True: # what was sent last may be lost in such a flood
    announce(b"crowd", [b"v=1", crowd, b"name=crowd"], ["10.77.0.%d" % n for n in range(100, 200)])
    announce(b"honest", [b"v=1", honest, b"name=honest"], [here])
    if select.select([sys.stdin], [], [], 1)[0]:
        break
"#;

#[test]
fn an_announcer_that_lies_does_no_harm() {
    if has_no_lab("an_announcer_that_lies_does_no_harm", &["python3"]) {
        return;
    }
    let lab = Lab::new();
    let (a, b, c) = (lab.host(1), lab.host(2), lab.host(3));
    let mut anna = a.node("anna").start();
    let bob = b.node("bob").start();
    wait_found(&anna, "bob", &["10.77.0.2:7890"]);
    wait_found(&bob, "anna", &["10.77.0.1:7890"]); // who came first stays
    let listed = |node: &Node| node.session().call("peers.list", json!({})).unwrap();
    let id = listed(&anna)["me"]["id"].as_str().unwrap().to_owned();
    let mut liar = Running::start(c.command(&["python3", "-c", LIAR, "10.77.0.3", &id]));
    assert_eq!(liar.line(), "done");
    wait_found(&anna, "honest", &["10.77.0.3:7890"]);
    assert_eq!(wait_found(&anna, "crowd", &["10.77.0.1"]).len(), 8, "a bounded number");
    let listed = listed(&anna);
    let mut names: Vec<&str> =
        listed["peers"].as_array().unwrap().iter().map(|peer| peer["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bob", "crowd", "honest"], "{listed}");
    // Whoever says that it is anna, too, adds addresses that lead to nobody who can prove it, and takes away none.
    let found = wait_found(&bob, "anna", &["10.77.0.1:7890", "10.77.0.3:7890"]);
    assert!(found.len() <= 8, "{found:?}");
    anna.stop();
    wait_gone(&bob, "anna", "10.77.0.1");
}

/// Fills the memory of whoever keeps all that is announced.
const FLOOD: &str = r#"
import os, socket, struct, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 9000) # so that sending waits for the LAN
def record():
    return b"\x0c" + os.urandom(6).hex().encode() + b"\5local\0" + struct.pack("!HHIH", 1, 1, 4000000000, 4) + os.urandom(4)
while True:
    packet = struct.pack("!HHHHHH", 0, 0x8400, 0, 200, 0, 0) + b"".join(record() for _ in range(200))
    out.sendto(packet, ("224.0.0.251", 5353))
"#;

#[test]
fn a_flood_of_announcements_ends_discovery_for_a_while_and_nothing_else() {
    if has_no_lab("a_flood_of_announcements_ends_discovery_for_a_while_and_nothing_else", &["python3"]) {
        return;
    }
    let lab = Lab::new();
    let (a, b, c) = (lab.host(1), lab.host(2), lab.host(3));
    let mut anna = a.node("anna").start();
    let bob = b.node("bob").start();
    wait_found(&anna, "bob", &["10.77.0.2:7890"]);
    let flood = Running::start(c.command(&["python3", "-c", FLOOD, "10.77.0.3"]));
    // Told by what is remembered, or by the library that has no time left to answer.
    anna.daemon().stderr_with("discovery is left out for a while");
    drop(flood);
    wait_gone(&anna, "bob", "");
    anna.stop();
    drop(bob);
}

#[test]
fn who_hears_nothing_says_so() {
    if has_no_lab("who_hears_nothing_says_so", &["nft"]) {
        return;
    }
    let lab = Lab::new();
    let a = lab.host(1);
    a.lose(100);
    let mut anna = a.node("anna").start();
    anna.daemon().stderr_with("discovery hears nothing, not even itself");
}

#[test]
fn links_that_break_lose_or_crawl_are_made_by_the_lab() {
    if has_no_lab("links_that_break_lose_or_crawl_are_made_by_the_lab", &["nft", "ping", "tc"]) {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.host(1), lab.host(2));
    let received = |count: &str| {
        let shown = a.run(&["ping", "-q", "-i", "0.002", "-W", "1", "-c", count, "10.77.0.2"]).stdout;
        let (before, _) = shown.split_once(" received").unwrap_or_else(|| panic!("{shown}"));
        before.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(received("20"), 20);
    b.lose(30);
    assert!((50..=90).contains(&received("100")), "about 70 of a hundred");
    b.lose(100);
    assert_eq!(received("5"), 0);
    b.lose(0);
    assert_eq!(received("20"), 20);
    lab.unplug(&b, "lan0");
    assert_eq!(received("5"), 0);
    lab.plug(&b, "lan0");
    b.limit("lan0", "1mbit");
    eventually("the cable carries again", || (received("1") == 1).then_some(()));
    let shown = b.run(&["tc", "qdisc", "show", "dev", "lan0"]).expect(0).stdout;
    assert!(shown.contains("tbf") && shown.contains("rate 1Mbit"), "{shown}");
}
