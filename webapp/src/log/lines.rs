//! The many small writes of one JSON record in; one call with the whole line out.

use std::io::{Result, Write};

/// Collects until `flush`, which slog-json calls after each record.
pub(super) struct Lines<F> {
    line: Vec<u8>,
    whole: F,
}

impl<F: FnMut(&[u8])> Lines<F> {
    /// Hands each whole line to that function.
    pub(super) fn new(whole: F) -> Self {
        Self { line: Vec::new(), whole }
    }
}

impl<F: FnMut(&[u8])> Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        (self.whole)(&self.line);
        self.line.clear();
        Ok(())
    }
}
