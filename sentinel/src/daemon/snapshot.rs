//! When a snapshot is taken, and who waits for it: encoded here, written by the disk thread.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Daemon, deliver::SinceFrame};
use crate::{checkpoint::snapshot::Snapshot, failure::Failure};

/// Between two snapshots, if anything happened.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// Journal size from which a snapshot makes it short again.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Inputs of turns since the snapshot from which one is made: they wait in memory for an alert, and a
/// restart repeats them.
const INPUTS_MAX: usize = 200_000;

impl Daemon {
    /// Takes a snapshot when it is time. False if evaluation has to wait for the disk.
    pub(super) fn keep(&mut self, now: Instant) -> bool {
        let aged = self.changed && now.duration_since(self.snapshot_at) >= SNAPSHOT_EVERY;
        let full = self.journal.size() >= JOURNAL_BYTES_MAX || self.inputs >= INPUTS_MAX;
        let failed = self.disk.failed();
        let kept = if failed.is_err() {
            failed
        } else if self.snapshot_due {
            self.snapshot(now)
        } else if full || (aged && !self.disk.is_busy()) {
            self.snapshot_beside(now)
        } else {
            return true;
        };
        // After a failure nothing is evaluated until a snapshot stands: journals do not pile up.
        self.snapshot_due = kept.is_err();
        let kept =
            kept.map_err(|error| Failure::at("keep state in", &self.settings.state_dir, &error));
        !self.stopped(kept, now)
    }

    /// Leaves a snapshot: nothing is evaluated until it stands.
    pub(super) fn snapshot(&mut self, now: Instant) -> io::Result<()> {
        // This one takes the place of the one before, whatever became of it.
        self.disk.wait().ok();
        if !self.journal.is_empty() {
            self.next_journal()?;
        }
        self.put(now);
        self.disk.wait()?;
        self.since_frame = SinceFrame::default();
        Ok(())
    }

    /// Has a snapshot written while evaluation goes on, in a journal of its own.
    fn snapshot_beside(&mut self, now: Instant) -> io::Result<()> {
        self.disk.wait()?;
        self.next_journal()?;
        self.put(now);
        Ok(())
    }

    /// Ends the journal with what was not written yet, and begins the next one. Until the snapshot
    /// stands a restart goes through both.
    fn next_journal(&mut self) -> io::Result<()> {
        if !self.since_frame.is_empty() {
            let frame = self.frame(String::new());
            if let Err(error) = self.journal.append(&frame) {
                self.since_frame =
                    SinceFrame { files: frame.files, left: frame.left, turns: frame.turns };
                return Err(error);
            }
            self.disk.appended(self.journal.file());
        }
        if !self.journal.is_empty() {
            self.journal = self.journal.next(&self.settings.state_dir)?;
        }
        Ok(())
    }

    fn put(&mut self, now: Instant) {
        let snapshot = Snapshot {
            generation: self.journal.generation(),
            state: self.engine.state(),
            files: self.tail.records(),
            past: self.tail.past().to_vec(),
            next_file: self.tail.next_file(),
            notices: self.notices.clone(),
            mark: self.alerts_log.mark(),
        };
        self.disk.put(snapshot.generation, snapshot.encode());
        (self.snapshot_at, self.inputs, self.changed) = (now, 0, false);
    }
}
