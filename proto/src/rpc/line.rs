//! Cuts a byte stream into lines of bounded length. Sans-IO: whoever reads the socket pushes bytes in.

/// What [`LineBuffer::next_line`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its `\n` or `\r\n`; never blank, unless blank ones were asked for.
    Complete(Vec<u8>),
    /// A line was longer than the maximum. It is skipped up to its newline.
    TooLong,
}

/// Collects bytes and gives them back as lines. Blank lines are passed over, unless asked for.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the next line starts in `bytes`.
    start: usize,
    /// Up to where `bytes` is known to hold no newline.
    searched: usize,
    max: usize,
    /// Inside a line that was too long.
    skipping: bool,
    keeps_blank: bool,
}

impl LineBuffer {
    /// A buffer for lines of at most `max` bytes, newline not counted.
    #[must_use]
    pub fn new(max: usize) -> LineBuffer {
        LineBuffer { bytes: Vec::new(), start: 0, searched: 0, max, skipping: false, keeps_blank: false }
    }

    /// The same, giving blank lines, too.
    #[must_use]
    pub fn with_blank_lines(mut self) -> LineBuffer {
        self.keeps_blank = true;
        self
    }

    /// Ends a last line that has no newline.
    pub fn end(&mut self) {
        if self.bytes.len() > self.start || self.skipping {
            self.push(b"\n");
        }
    }

    /// Appends what was read. Call [`LineBuffer::next_line`] until it gives nothing before pushing more, so that
    /// no more than a line and a read are ever held.
    pub fn push(&mut self, read: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        if self.bytes.is_empty() && self.bytes.capacity() > 64 * 1024 {
            self.bytes = Vec::new(); // one long line must not hold its memory for the rest of a session
        }
        self.bytes.extend_from_slice(read);
    }

    /// The next line, if it is complete.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(offset) = self.bytes[self.searched..].iter().position(|&b| b == b'\n') else {
                self.searched = self.bytes.len();
                let too_long = !self.skipping && self.bytes.len() - self.start > self.max + 1;
                if self.skipping || too_long {
                    self.start = self.bytes.len();
                    self.skipping = true;
                }
                return too_long.then_some(Line::TooLong);
            };
            let end = self.searched + offset;
            let line = &self.bytes[self.start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let found = if std::mem::take(&mut self.skipping) {
                None
            } else if line.len() > self.max {
                Some(Line::TooLong)
            } else {
                (self.keeps_blank || !line.trim_ascii().is_empty()).then(|| Line::Complete(line.to_vec()))
            };
            self.start = end + 1;
            self.searched = self.start;
            if found.is_some() {
                return found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(buffer: &mut LineBuffer) -> Vec<Line> {
        std::iter::from_fn(|| buffer.next_line()).collect()
    }

    fn complete(text: &str) -> Line {
        Line::Complete(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let stream = b"one\r\n\n\r\ntwo\nthree is too long\nfour\n12345678\n123456789\n\rx\n";
        let expected = vec![
            complete("one"),
            complete("two"),
            Line::TooLong,
            complete("four"),
            complete("12345678"),
            Line::TooLong,
            complete("\rx"),
        ];
        for cut in 1..stream.len() {
            let mut buffer = LineBuffer::new(8);
            let mut found = Vec::new();
            for chunk in stream.chunks(cut) {
                buffer.push(chunk);
                found.extend(lines(&mut buffer));
            }
            assert_eq!(found, expected, "in chunks of {cut}");
        }
    }

    #[test]
    fn blank_lines_and_the_last_one_come_where_they_are_asked_for() {
        let mut buffer = LineBuffer::new(8).with_blank_lines();
        buffer.push(b"\n a\r\n\r\nlast");
        assert_eq!(lines(&mut buffer), [complete(""), complete(" a"), complete("")]);
        buffer.end();
        assert_eq!(lines(&mut buffer), [complete("last")]);
        buffer.end();
        assert_eq!(lines(&mut buffer), []);
    }

    #[test]
    fn an_endless_line_holds_no_memory() {
        let mut buffer = LineBuffer::new(100);
        let mut too_long = 0;
        for _ in 0..10_000 {
            buffer.push(&[b'x'; 64]);
            too_long += lines(&mut buffer).len();
            assert!(buffer.bytes.len() <= 256);
        }
        assert_eq!(too_long, 1);
        buffer.push(b"\nok\n");
        assert_eq!(lines(&mut buffer), vec![complete("ok")]);
    }
}
