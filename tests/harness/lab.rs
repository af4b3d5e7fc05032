//! Hosts in network namespaces on bridges, for what needs a LAN: multicast, links that break, loss, slow links. Nothing
//! of it is in the machine's own namespace or has a name there: a namespace lives as long as a process that holds it,
//! which ends with the test, however that ends, and takes its bridges and interfaces along. Needs root.

use super::{Ended, NodeBuilder, Running, command, has_program, is_root, may_skip};
use std::process::Command;

/// Starts a command that is killed with the thread that started it: what runs in a namespace keeps it.
const KILLED_WITH_TEST: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

/// True where there can be no lab.
#[must_use]
pub fn has_no_lab(test: &str, programs: &[&str]) -> bool {
    let needed = ["ip", "nsenter", "setpriv", "unshare"];
    let met = is_root() && needed.iter().chain(programs).all(|program| has_program(program));
    may_skip(met, test, &format!("root, to make network namespaces, and {needed:?} {programs:?}"))
}

/// A network namespace, and the process that holds it: it ends when its stdin does.
struct Namespace(Running);

impl Namespace {
    fn new() -> Namespace {
        let mut holder = Running::start(command("unshare", &["--net", "cat"]));
        holder.write(b"here\n");
        assert_eq!(holder.line(), "here", "the namespace is made");
        let space = Namespace(holder);
        // No wait for duplicate addresses (RFC 4862, section 5.4): there are none.
        space.sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up");
        space
    }

    /// The words that run a command in it.
    fn enter(&self) -> Vec<String> {
        let pid = self.0.pid().to_string();
        let words = [&KILLED_WITH_TEST[..], &["nsenter", "--net", "--target", &pid]].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut words = self.enter();
        words.extend(args.iter().map(|&word| word.to_owned()));
        command(&words[0], &words[1..])
    }

    #[track_caller]
    fn sh(&self, script: &str) {
        Running::to_end(self.command(&["sh", "-ec", script]), b"").expect(0);
    }
}

/// A LAN, or several: the namespace that has the bridges.
pub struct Lab(Namespace);

impl Lab {
    /// With the bridge `br0`.
    #[track_caller]
    pub fn new() -> Lab {
        let lab = Lab(Namespace::new());
        lab.bridge("br0");
        lab
    }

    /// Another bridge. It floods what is multicast, as a simple switch does.
    #[track_caller]
    pub fn bridge(&self, name: &str) {
        self.0.sh(&format!("ip link add {name} type bridge mcast_snooping 0; ip link set {name} up"));
    }

    /// A host on `br0` with the interface `lan0` and the addresses 10.77.0.n and fd77::n, besides its link-local one.
    #[track_caller]
    pub fn host(&self, n: u8) -> Host {
        let host = self.unconnected(n);
        self.connect(&host, "br0", "lan0", &[&format!("10.77.0.{n}/24"), &format!("fd77::{n}/64")]);
        host
    }

    /// A host without interfaces.
    #[track_caller]
    pub fn unconnected(&self, n: u8) -> Host {
        Host { n, space: Namespace::new() }
    }

    /// Connects a host to a bridge by a new interface of its own.
    #[track_caller]
    pub fn connect(&self, host: &Host, bridge: &str, interface: &str, addresses: &[&str]) {
        let (port, pid) = (port(host, interface), host.space.0.pid());
        self.0.sh(&format!(
            "ip link add {port} type veth peer name {interface} netns {pid}; ip link set {port} master {bridge} up"
        ));
        let addresses = addresses.iter().map(|address| format!("ip address add {address} dev {interface}; "));
        host.sh(&format!("{}ip link set {interface} up", addresses.collect::<String>()));
    }

    /// Pulls the cable of a host's interface: it notices. [`Host::lose`] cuts a link so that nobody does.
    #[track_caller]
    pub fn unplug(&self, host: &Host, interface: &str) {
        self.0.sh(&format!("ip link set {} down", port(host, interface)));
    }

    /// Puts it back.
    #[track_caller]
    pub fn plug(&self, host: &Host, interface: &str) {
        self.0.sh(&format!("ip link set {} up", port(host, interface)));
    }
}

/// The bridge's end of a host's interface.
fn port(host: &Host, interface: &str) -> String {
    format!("{}-{interface}", host.n)
}

/// A host of a [`Lab`].
pub struct Host {
    n: u8,
    space: Namespace,
}

impl Host {
    /// A box on it called `name`, which listens on all addresses at the ports that everybody expects.
    pub fn node(&self, name: &str) -> NodeBuilder {
        let enter = self.space.enter();
        let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
        let discovery = "[discovery]\nmdns = true\n";
        NodeBuilder::default().name(name).listen("[::]:7890").wrapper(&enter).sections(discovery)
    }

    /// A command on it.
    pub fn command(&self, args: &[&str]) -> Command {
        self.space.command(args)
    }

    /// Runs lines of shell on it; they must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) {
        self.space.sh(script);
    }

    /// Runs a command on it to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        Running::to_end(self.command(args), b"")
    }

    /// Loses so many of a hundred packets that come in; 0 ends it. Loss both ways is loss on both hosts. What is sent
    /// is not touched: its sender would be told.
    #[track_caller]
    pub fn lose(&self, percent: u8) {
        let rule = match percent {
            0 => String::new(),
            1..=99 => format!("iifname != lo numgen random mod 100 < {percent} drop"),
            _ => "iifname != lo drop".into(),
        };
        self.filter("lose", &rule);
    }

    /// Makes these the nftables rules of this name for what comes in.
    #[track_caller]
    pub fn filter(&self, name: &str, rules: &str) {
        let rules = format!(
            "table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n chain input {{\n\
             type filter hook input priority -300\n{rules}\n}}\n}}\n"
        );
        Running::to_end(self.command(&["nft", "-f", "-"]), rules.as_bytes()).expect(0);
    }

    /// Limits what an interface sends, such as to `10mbit`.
    #[track_caller]
    pub fn limit(&self, interface: &str, rate: &str) {
        self.sh(&format!("tc qdisc replace dev {interface} root tbf rate {rate} burst 32kb latency 400ms"));
    }
}
