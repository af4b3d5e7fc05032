//! The rules of `--reply`: what a peer is answered, which makes a device of `wire`. Called by `run` with what was
//! heard of a peer; sends nothing itself.

use super::append::{Append, append};
use super::limits;
use super::pattern::{Memory, Pattern};
use super::payload::{FILE, HEX, Payload, parse_hex, read_file, unescape};
use super::text::Encoding;
use crate::exit::{Exit, Failure, Outcome};
use std::path::Path;

/// One rule: what is looked for, and the answer.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pattern: Pattern,
    answer: Answer,
    /// What stands behind an answer that is made up each time.
    append: Vec<Append>,
}

#[derive(Clone, Debug)]
enum Answer {
    /// Always the same, with what stands behind it.
    Fixed(Payload),
    /// Text with what was found filled in, and then encoded.
    Template(Payload, Encoding),
}

impl Rule {
    /// Reads `MATCH => ANSWER`: a pattern; and text with escapes and `$1`, `hex:…` or `file:PATH`, whose content is
    /// sent as it is and without `with` behind it.
    ///
    /// # Errors
    /// What is wrong with the rule, or with the file that it names.
    pub(super) fn parse(text: &str, encoding: Encoding, with: &[Append]) -> Outcome<Rule> {
        let usage = |why: String| Failure::new(Exit::Usage, why);
        let Some((pattern, answer)) = text.split_once("=>") else {
            return Err(usage(format!("{text:?} is no rule MATCH => ANSWER")));
        };
        let (pattern, answer) = (pattern.trim(), answer.trim());
        if pattern.is_empty() {
            return Err(usage(format!("{text:?} matches nothing; a dot matches all")));
        }
        let pattern = Pattern::parse(pattern, encoding).map_err(usage)?;
        let answer = if let Some(hex) = answer.strip_prefix(HEX) {
            Answer::Fixed(finished(parse_hex(hex).map_err(usage)?, with))
        } else if let Some(path) = answer.strip_prefix(FILE) {
            Answer::Fixed(read_file(Path::new(path))?.into())
        } else if answer.contains('$') {
            Answer::Template(unescape(answer, Encoding::Utf8).map_err(usage)?.into(), encoding)
        } else {
            Answer::Fixed(finished(unescape(answer, encoding).map_err(usage)?, with))
        };
        Ok(Rule { pattern, answer, append: with.to_vec() })
    }
}

fn finished(mut bytes: Vec<u8>, with: &[Append]) -> Payload {
    append(&mut bytes, with);
    bytes.into()
}

/// The next answer to what is in `memory`, which forgets what it was for. The rule that comes first counts.
pub(super) fn next_answer(rules: &[Rule], memory: &mut Memory) -> Option<Payload> {
    if memory.bytes().is_empty() {
        return None;
    }
    for rule in rules.iter().take(limits::RULES) {
        let template = match &rule.answer {
            Answer::Template(template, _) => Some(&template[..]),
            Answer::Fixed(_) => None,
        };
        if let Some(found) = rule.pattern.find(memory.bytes(), template) {
            // A pattern that matches nothing at all would match it for ever.
            memory.forget(if found.end == 0 { memory.bytes().len() } else { found.end });
            return Some(match (&rule.answer, found.expanded) {
                (Answer::Template(_, encoding), Some(expanded)) => {
                    finished(encoded(expanded, *encoding), &rule.append)
                }
                (Answer::Fixed(bytes) | Answer::Template(bytes, _), _) => Payload::clone(bytes),
            });
        }
    }
    None
}

/// Where bytes were filled in that are no text, all stays as it is.
fn encoded(expanded: Vec<u8>, encoding: Encoding) -> Vec<u8> {
    let text = std::str::from_utf8(&expanded).ok();
    let bytes = text.and_then(|text| encoding.encode(text).ok()).map(std::borrow::Cow::into_owned);
    bytes.unwrap_or(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn answers(rules: &[&str], heard: &[&[u8]]) -> Vec<Vec<u8>> {
        let rules: Vec<Rule> =
            rules.iter().map(|rule| Rule::parse(rule, Encoding::Utf8, &[]).unwrap()).collect();
        let (mut memory, mut answers) = (Memory::default(), Vec::new());
        for bytes in heard {
            memory.hear(bytes, true, Instant::now());
            while let Some(answer) = next_answer(&rules, &mut memory) {
                answers.push(answer.to_vec());
            }
        }
        answers
    }

    #[test]
    fn the_first_rule_that_matches_answers() {
        let rules = [r"^ID\? => ACME\r\n", r"SET (\d+) => OK $1", "hex:01 03 ?? => hex:01 83 02", ". => ?"];
        assert_eq!(answers(&rules, &[b"ab"]), [b"?", b"?"]);
        assert_eq!(answers(&rules[..3], &[b"ID", b"?\r\nID?\n"]), [b"ACME\r\n", b"ACME\r\n"]);
        assert_eq!(answers(&rules[..3], &[b"SET 42"]), [b"OK 42"]);
        assert_eq!(answers(&rules[..3], &[b"\x01\x03\x0a"]), [[1, 0x83, 2]]);
        assert_eq!(answers(&rules[..3], &[b"nothing of it"]), Vec::<Vec<u8>>::new());
        assert_eq!(answers(&["x* => e"], &[b"abc"]), [b"e"], "once, though it matches nothing everywhere");
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        for rule in ["", "a", " => x", "( => x", "a => hex:1", "a => \\q", "a => file:/nonexistent/x"] {
            assert!(Rule::parse(rule, Encoding::Utf8, &[]).is_err(), "{rule}");
        }
    }
}
