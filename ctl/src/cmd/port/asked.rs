//! What was typed: a port, a range of ports, or the name of a service. Made by clap from the arguments of `port` and
//! `port check`; names are looked up in `machine::services`.

use crate::exit::{Exit, Failure, Outcome};
use crate::machine::services::Services;
use std::collections::HashSet;
use std::str::FromStr;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// From one port to another one; one port is both.
    Range(u16, u16),
    /// A service's name.
    Name(String),
}

impl Asked {
    /// The ports that are meant, in rising order.
    fn ports(&self, services: &Services) -> Outcome<Vec<u16>> {
        match self {
            Asked::Range(first, last) => Ok((*first..=*last).collect()),
            Asked::Name(name) => {
                let ports = services.ports_of(name);
                if ports.is_empty() {
                    let message =
                        format!("looking {name} up in {}: no service has that name", services.source);
                    return Err(Failure::new(Exit::NotFound, message));
                }
                Ok(ports)
            }
        }
    }
}

/// All ports that are meant, each once, in the order in which they were asked for; and what no service is called.
pub(super) fn all(asked: &[Asked], services: &Services) -> (Vec<u16>, Vec<Failure>) {
    let (mut ports, mut seen, mut failures) = (Vec::new(), HashSet::new(), Vec::new());
    for asked in asked {
        match asked.ports(services) {
            Ok(found) => ports.extend(found.into_iter().filter(|port| seen.insert(*port))),
            Err(failure) => failures.push(failure),
        }
    }
    (ports, failures)
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Asked, String> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = |text: &str| {
            text.parse::<u16>().map_err(|_| format!("{text} is more than 65535, the highest port"))
        };
        match text.split_once('-') {
            Some((first, last)) if is_number(first) && is_number(last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return Err(format!("a range rises: {last}-{first}"));
                }
                Ok(Asked::Range(first, last))
            }
            _ if is_number(text) => number(text).map(|port| Asked::Range(port, port)),
            // RFC 6335, section 5.1, and the underscores that /etc/services has besides.
            _ if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 64 => {
                Ok(Asked::Name(text.to_owned()))
            }
            _ => Err("it is not a port such as 80, 8000-8010 or http".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_are_read_as_people_write_them() {
        for (text, expected) in [
            ("80", Some(Asked::Range(80, 80))),
            ("0", Some(Asked::Range(0, 0))),
            ("0-65535", Some(Asked::Range(0, 65_535))),
            ("65536", None),
            ("80-65536", None),
            ("81-80", None),
            ("-80", None),
            ("", None),
            ("http", Some(Asked::Name("http".into()))),
            ("ftp-data", Some(Asked::Name("ftp-data".into()))),
            ("\u{1b}[2J", None),
        ] {
            assert_eq!(text.parse::<Asked>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn each_port_is_meant_once() {
        let asked = ["3-5", "no-such", "1-3", "http", "80"].map(|text| text.parse().unwrap());
        let (ports, failures) = all(&asked, &Services::read());
        assert_eq!(ports, [3, 4, 5, 1, 2, 80]);
        assert_eq!(failures.iter().map(|failure| failure.exit).collect::<Vec<_>>(), [Exit::NotFound]);
    }

    proptest! {
        #![proptest_config(crate::seed::seeded())]

        #[test]
        fn no_text_is_a_reason_to_end(text in "\\PC{0,20}", numbers in "[0-9-]{0,14}") {
            let _ = (text.parse::<Asked>(), numbers.parse::<Asked>());
        }
    }
}
