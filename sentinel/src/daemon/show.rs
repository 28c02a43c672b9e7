//! How things stand, put on the board after each round.

use super::Daemon;
use crate::{board, tail::follow::AtPath, time::Timestamp};

impl Daemon {
    pub(super) fn show(&self) {
        let files = self
            .tail
            .files()
            .iter()
            .map(|tailed| board::File {
                path: tailed.record.path().display().to_string(),
                source: tailed.record.source.clone(),
                offset: tailed.record.offset,
                size: tailed.size.max(tailed.record.offset),
                lag_bytes: tailed.lag(),
                last_line_at: tailed.last_line.map(Timestamp::rfc3339),
                state: match (&tailed.fault, tailed.at_path) {
                    (Some(_), _) => "unreadable",
                    (None, AtPath::Same) => "reading",
                    (None, AtPath::Other) => "rotated",
                    (None, AtPath::Nothing) => "moved",
                },
            })
            .collect();
        let faults = self.tail.faults().iter();
        let unreadable = faults.map(|(path, why)| (path.display().to_string(), why.clone()));
        let groups = self.engine.groups().filter(|(_, count)| *count > 0);
        let state = self.engine.state();
        self.board.update(|status| {
            status.seq = state.seq;
            status.files = files;
            status.unreadable = unreadable.collect();
            status.groups = groups.map(|(rule, count)| (rule.to_owned(), count)).collect();
            status.gaps = state.gaps;
            status.late_lines = state.late;
            status.clock_skew_lines = state.clock_skew;
        });
    }
}
