//! Names of services: /etc/services, or a short list where a machine has none. Called by `port`.

use super::read_lines;
use std::path::Path;

/// The system's list (services(5)).
const FILE: &str = "/etc/services";
/// Bytes read of it: Debian's has 12 KiB, IANA's whole list in this form less than 1 MiB.
const MOST_BYTES: u64 = 2 << 20;

/// What netkit calls its ports; they are not registered.
const NETKIT: [(u16, &str); 2] = [(7890, "netkit's chat, over UDP"), (7891, "netkit's files, over TCP")];

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// `tcp`, `udp`, or another.
    pub protocol: String,
    /// Its other names.
    pub aliases: Vec<String>,
}

/// All services that have names.
#[derive(Debug)]
pub(crate) struct Services {
    all: Vec<Service>,
    /// Where the names come from.
    pub source: &'static str,
}

impl Services {
    /// The system's, else the built-in ones.
    pub(crate) fn read() -> Services {
        Services::from_file(Path::new(FILE))
    }

    fn from_file(path: &Path) -> Services {
        let mut all = Vec::new();
        let read = read_lines(path, MOST_BYTES, |line| all.extend(parse(line)));
        if read.is_ok() && !all.is_empty() {
            return Services { all, source: FILE };
        }
        all = BUILT_IN.lines().filter_map(parse).collect();
        Services { all, source: "netkit's short list, after IANA's" }
    }

    /// The services on `port`.
    pub(crate) fn on(&self, port: u16) -> impl Iterator<Item = &Service> {
        self.all.iter().filter(move |service| service.port == port)
    }

    /// The name of a port for one protocol.
    pub(crate) fn name(&self, port: u16, protocol: &str) -> Option<&str> {
        self.on(port).find(|service| service.protocol == protocol).map(|service| service.name.as_str())
    }

    /// The ports of the service that is called so, in rising order.
    pub(crate) fn ports_of(&self, name: &str) -> Vec<u16> {
        let is_called = |s: &&Service| s.name == name || s.aliases.iter().any(|alias| alias == name);
        let mut ports: Vec<u16> = self.all.iter().filter(is_called).map(|service| service.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// What netkit has a port for by default.
pub(crate) fn of_netkit(port: u16) -> Option<&'static str> {
    NETKIT.into_iter().find(|(of, _)| *of == port).map(|(_, what)| what)
}

/// A line such as `http  80/tcp  www  # WorldWideWeb HTTP`.
fn parse(line: &str) -> Option<Service> {
    let mut words = line.split('#').next()?.split_whitespace();
    let name = words.next()?.to_owned();
    let (port, protocol) = words.next()?.split_once('/')?;
    Some(Service {
        name,
        port: port.parse().ok()?,
        protocol: protocol.to_owned(),
        aliases: words.map(str::to_owned).collect(),
    })
}

/// IANA's service name and port number registry (RFC 6335), the best known of it, as of 2026-11.
const BUILT_IN: &str = "\
echo 7/tcp
echo 7/udp
discard 9/tcp
discard 9/udp
daytime 13/tcp
ftp-data 20/tcp
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp mail
time 37/tcp
whois 43/tcp nicname
domain 53/tcp
domain 53/udp
bootps 67/udp
bootpc 68/udp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www
kerberos 88/tcp
kerberos 88/udp
pop3 110/tcp
sunrpc 111/tcp portmapper
sunrpc 111/udp portmapper
nntp 119/tcp
ntp 123/udp
netbios-ns 137/udp
netbios-dgm 138/udp
netbios-ssn 139/tcp
imap2 143/tcp imap
snmp 161/udp
snmp-trap 162/udp snmptrap
irc 194/tcp
ldap 389/tcp
https 443/tcp
https 443/udp
microsoft-ds 445/tcp
submissions 465/tcp
syslog 514/udp
printer 515/tcp
submission 587/tcp
ipp 631/tcp
ldaps 636/tcp
domain-s 853/tcp
rsync 873/tcp
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
openvpn 1194/udp
ms-sql-s 1433/tcp
mqtt 1883/tcp
ssdp 1900/udp
nfs 2049/tcp
mysql 3306/tcp
ms-wbt-server 3389/tcp
sip 5060/tcp
sip 5060/udp
xmpp-client 5222/tcp
mdns 5353/udp
postgresql 5432/tcp
amqp 5672/tcp
x11 6000/tcp
redis 6379/tcp
http-alt 8080/tcp
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_services_5_says() {
        let service =
            |line: &str| parse(line).map(|s| format!("{} {}/{} {:?}", s.name, s.port, s.protocol, s.aliases));
        for (line, expected) in [
            ("http\t\t80/tcp\t\twww w3\t# WorldWideWeb HTTP", Some("http 80/tcp [\"www\", \"w3\"]")),
            ("ssh 22/tcp", Some("ssh 22/tcp []")),
            ("ssh 22/tcp#x", Some("ssh 22/tcp []")),
            ("# ssh 22/tcp", None),
            ("", None),
            ("ssh", None),
            ("ssh 22", None),
            ("ssh 65536/tcp", None),
            ("ssh -1/tcp", None),
        ] {
            assert_eq!(service(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_machine_without_services_has_a_short_list() {
        let services = Services::from_file(Path::new("/no/such/file"));
        assert!(services.source.contains("IANA"));
        assert_eq!(services.all.len(), BUILT_IN.lines().count(), "every line is one");
        assert_eq!((services.name(80, "tcp"), services.name(80, "udp")), (Some("http"), None));
        assert_eq!((services.ports_of("www"), services.ports_of("domain")), (vec![80], vec![53]));
        assert!(services.ports_of("nope").is_empty());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "mine 4242/udp\nmine 4243/tcp\n").unwrap();
        let services = Services::from_file(file.path());
        assert_eq!((services.source, services.ports_of("mine")), (FILE, vec![4242, 4243]));
    }
}
