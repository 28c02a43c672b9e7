//! How things stand, put on the board: after each round that leaves nothing to do, and now and then
//! while there is much.

use std::time::{Duration, Instant};

use super::Daemon;
use crate::{board, tail::follow::AtPath, time::Timestamp};

/// Between two pictures while rounds follow each other: a picture costs as much as some lines.
const SHOW_EVERY: Duration = Duration::from_millis(100);

impl Daemon {
    pub(super) fn show(&mut self, now: Instant, is_busy: bool) {
        if is_busy && self.shown_at.is_some_and(|shown| now.duration_since(shown) < SHOW_EVERY) {
            return;
        }
        self.shown_at = Some(now);
        let files = self.files(now);
        let faults = self.tail.faults().iter();
        let unreadable = faults.map(|(path, why)| (path.display().to_string(), why.clone()));
        let counts = self.engine.counts();
        let groups = counts.rules.iter().filter(|rule| rule.groups > 0);
        let groups = groups.map(|rule| (rule.id.clone(), rule.groups)).collect();
        self.board.update(|status| {
            status.seq = self.engine.state().seq;
            status.files = files;
            status.unreadable = unreadable.collect();
            status.groups = groups;
            status.gaps = counts.gaps.values().map(|gap| gap.gaps).sum();
            status.late_lines = counts.late_lines;
            status.clock_skew_lines = counts.clock_skew_lines;
            status.journal_bytes = self.journal.size();
            status.snapshot_at = Some(self.snapshot_at);
            status.rotations = self.tail.rotations();
            status.counts = counts;
        });
    }

    fn files(&mut self, now: Instant) -> Vec<board::File> {
        let mut before = std::mem::take(&mut self.waiting);
        let mut files = Vec::new();
        for tailed in self.tail.files() {
            let record = &tailed.record;
            let mut waiting = before.remove(&record.file).unwrap_or_default();
            let waited = waiting.waited(tailed.size, record.offset, now);
            self.waiting.insert(record.file, waiting);
            files.push(board::File {
                path: record.path().display().to_string(),
                source: record.source.clone(),
                offset: record.offset,
                size: tailed.size.max(record.offset),
                lag_bytes: tailed.lag(),
                lag_seconds: waited.as_secs_f64(),
                last_line_at: tailed.last_line.map(Timestamp::rfc3339),
                state: match (&tailed.fault, tailed.at_path) {
                    (Some(_), _) => board::UNREADABLE,
                    (None, AtPath::Same) => "reading",
                    (None, AtPath::Other) => "rotated",
                    (None, AtPath::Nothing) => "moved",
                },
            });
        }
        files
    }
}
