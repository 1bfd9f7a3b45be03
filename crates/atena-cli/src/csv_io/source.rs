//! The bytes of a file, some of which may be looked at before they are read.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The bytes of a file, some of which may be looked at before they are read.
pub(super) struct Source {
    window: Cursor<Vec<u8>>,
    reader: BufReader<Box<dyn Read + Send>>,
}

// === impl Source ===

impl Source {
    /// `head` was read already, and comes first.
    pub(super) fn new(head: Vec<u8>, rest: Box<dyn Read + Send>) -> Self {
        Self { window: Cursor::new(head), reader: BufReader::new(rest) }
    }

    /// Bytes that were looked at, and are not read yet.
    pub(super) fn looked_at(&self) -> &[u8] {
        let read = usize::try_from(self.window.position()).unwrap_or(usize::MAX);
        self.window.get_ref().get(read..).unwrap_or_default()
    }

    /// Looks at the next bytes, up to `bytes_max`.
    pub(super) fn look(&mut self, bytes_max: u64) -> &[u8] {
        let mut window = self.looked_at().to_vec();
        let more = bytes_max.saturating_sub(window.len() as u64);
        // An error comes again when the lines themselves are read.
        let _ = self.reader.by_ref().take(more).read_to_end(&mut window);
        self.window = Cursor::new(window);
        self.looked_at()
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.looked_at().is_empty() { self.reader.read(into) } else { self.window.read(into) }
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.looked_at().is_empty() { self.reader.fill_buf() } else { self.window.fill_buf() }
    }

    fn consume(&mut self, bytes: usize) {
        if self.looked_at().is_empty() { self.reader.consume(bytes) } else { self.window.consume(bytes) }
    }
}
