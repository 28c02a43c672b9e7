//! What became of one log's records: counted by whoever accepts, writes or loses them.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Counts of one log.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    cause: Mutex<Option<Loss>>,
}

/// Why records were lost last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// They came faster than they could be written.
    QueueFull,
    /// They could not be written.
    Write(String),
}

impl Tally {
    /// Records that waited or wait to be written.
    pub fn accept(&self, records: u64) {
        self.accepted.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that stand in the file.
    pub fn write(&self, records: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that are lost, `accepted` or not.
    pub fn lose(&self, records: u64, cause: Loss) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
        *self.cause.lock() = Some(cause);
    }

    /// An error that has lost nothing yet.
    pub fn fail(&self, cause: String) {
        *self.cause.lock() = Some(Loss::Write(cause));
    }

    /// Records that stand in the file.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records that are lost.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Records that neither stand in the file nor are lost.
    pub fn waiting(&self) -> u64 {
        let settled = self.written() + self.dropped();
        self.accepted.load(Ordering::Relaxed).saturating_sub(settled)
    }

    /// The last error.
    pub fn cause(&self) -> Option<Loss> {
        self.cause.lock().clone()
    }
}
