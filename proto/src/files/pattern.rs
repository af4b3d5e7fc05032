//! A pattern of file names: `*` stands for any bytes, `?` for one character, everything else for itself. Does no input or
//! output.

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that this is; `None` where it is a plain name.
    #[must_use]
    pub fn of(text: &str) -> Option<Pattern> {
        text.contains(['*', '?']).then(|| Pattern(text.to_owned()))
    }

    /// Whether a name is one of those meant. As in a shell, one that begins with a dot is only where the pattern does.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        if name.starts_with(b".") && !pattern.starts_with(b".") {
            return false;
        }
        // Where the last `*` was, and what it stood for: going back there is enough.
        let (mut p, mut n, mut star) = (0, 0, None);
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(b'?') => (p, n) = (p + 1, n + character(&name[n..])),
                Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
                _ => match star {
                    Some((at, stood)) => {
                        star = Some((at, stood + 1));
                        (p, n) = (at + 1, stood + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

/// Bytes of the first character; of what is not UTF-8 one.
fn character(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(4)).find(|&len| std::str::from_utf8(&bytes[..len]).is_ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.iso", "debian.iso", true),
            ("*.iso", ".iso", false),
            (".*", ".hidden", true),
            ("*", "x", true),
            ("*", ".x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("?", "你", true),
            ("??", "你", false),
            ("*?", "", false),
            ("x*", "", false),
            ("[a]*", "a", false),
            ("[a]*", "[a]b", true),
        ] {
            assert_eq!(Pattern::of(pattern).unwrap().matches(name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(Pattern::of("a?").unwrap().matches(b"a\xff"));
        assert_eq!(Pattern::of("plain [x]"), None);
        let hard = Pattern::of(&("a*".repeat(100) + "b")).unwrap();
        assert!(!hard.matches(&[b'a'; 5000]), "and it takes no time to tell");
    }
}
