//! A turn's alerts on their way out: into the journal, then alerts.log, then to whoever asks.

use std::{collections::BTreeSet, time::Instant};

use shared::Alert;

use super::{Daemon, RETRY_EVERY};
use crate::{
    checkpoint::journal::Frame,
    failure::{Failure, say},
    tail::{Look, identity::FileRecord},
    turn::{Input, Turn},
};

/// What the next frame will hold.
#[derive(Debug, Default)]
pub(super) struct SinceFrame {
    pub(super) files: Vec<FileRecord>,
    pub(super) left: BTreeSet<u32>,
    pub(super) turns: Vec<Turn>,
}

/// A turn's alerts on their way: nothing else is evaluated before they have arrived.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) frame: Frame,
    pub(super) alerts: Vec<(Alert, String)>,
    /// The frame is written, and the lines are at least begun.
    pub(super) journalled: bool,
}

impl SinceFrame {
    /// Nothing happened.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.left.is_empty() && self.turns.is_empty()
    }

    /// What a look brought.
    pub(super) fn looked(&mut self, look: &mut Look) {
        for file in &look.fresh {
            self.left.remove(&file.file);
        }
        self.files.append(&mut look.fresh);
        self.left.extend(look.left.drain(..));
    }
}

impl Daemon {
    /// Everything since the frame before, with the alerts that its last turn raised.
    pub(super) fn frame(&mut self, alerts: String) -> Frame {
        let SinceFrame { files, left, turns } = std::mem::take(&mut self.since_frame);
        Frame {
            read: self.read_in(&turns),
            files,
            left,
            turns,
            notices: self.notices.clone(),
            alerts,
            seq: self.engine.state().seq,
            mark: self.alerts_log.mark(),
        }
    }

    /// The files that these turns read, as they stand now or were when they were left.
    fn read_in(&self, turns: &[Turn]) -> Vec<FileRecord> {
        let inputs = turns.iter().flat_map(|turn| &turn.inputs);
        let read: BTreeSet<u32> = inputs
            .filter_map(|input| match input {
                Input::Lines { file, .. } => Some(*file),
                Input::Notice(_) => None,
            })
            .collect();
        read.into_iter().filter_map(|file| self.tail.last_known(file).cloned()).collect()
    }

    /// Takes held alerts as far as the disk lets them: journal, then alerts.log, then whoever asks.
    /// True if nothing is held any more.
    pub(super) fn deliver(&mut self, now: Instant) -> bool {
        let Some(mut held) = self.held.take() else { return true };
        let arrived = self.advance(&mut held);
        if self.stopped(arrived, now) {
            self.held = Some(held);
            return false;
        }
        for (alert, line) in held.alerts {
            self.board.alert(alert, &line);
        }
        true
    }

    fn advance(&mut self, held: &mut Held) -> Result<(), Failure> {
        let no_alerts = |error| Failure::at("append to", &self.settings.alerts, &error);
        if held.journalled {
            self.disk.appended(self.alerts_log.file());
            return self.alerts_log.retry().map_err(no_alerts);
        }
        held.frame.mark = self.alerts_log.ready().map_err(no_alerts)?;
        if let Some(fault) = self.alerts_log.rotation_fault() {
            say(&format!("{} was not rotated: {fault}", self.settings.alerts.display()));
        }
        self.journal
            .append(&held.frame)
            .map_err(|error| Failure::at("keep state in", &self.settings.state_dir, &error))?;
        held.journalled = true;
        self.disk.appended(self.journal.file());
        self.disk.appended(self.alerts_log.file());
        self.alerts_log.append(held.frame.alerts.as_bytes()).map_err(no_alerts)
    }

    /// Notes what keeps the evaluator from going on, or that nothing does.
    pub(super) fn stopped(&mut self, result: Result<(), Failure>, now: Instant) -> bool {
        let error = result.err().map(|error| error.to_string());
        match (&error, self.retry_at) {
            (Some(error), None) => say(&format!("evaluation stops until this is mended: {error}")),
            (None, Some(_)) => say("evaluation goes on"),
            _ => {}
        }
        self.retry_at = error.is_some().then(|| now + RETRY_EVERY);
        self.board.update(|status| status.stopped_by = error);
        self.retry_at.is_some()
    }
}
