//! A turn's alerts on their way out: into the journal, then alerts.log, then to whoever asks.

use std::{collections::BTreeSet, io};

use shared::Alert;

use super::Daemon;
use crate::{
    checkpoint::journal::Frame,
    failure::say,
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
    /// The files that these turns read, as they stand now.
    pub(super) fn read_in(&self, turns: &[Turn]) -> Vec<FileRecord> {
        let inputs = turns.iter().flat_map(|turn| &turn.inputs);
        let read: BTreeSet<u32> = inputs
            .filter_map(|input| match input {
                Input::Lines { file, .. } => Some(*file),
                Input::Notice(_) => None,
            })
            .collect();
        read.into_iter().filter_map(|file| self.tail.record(file).cloned()).collect()
    }

    /// Takes held alerts as far as the disk lets them: journal, then alerts.log, then whoever asks.
    /// True if nothing is held any more.
    pub(super) fn deliver(&mut self) -> bool {
        let Some(mut held) = self.held.take() else { return true };
        let arrived = self.advance(&mut held);
        if self.stopped(arrived) {
            self.held = Some(held);
            return false;
        }
        for (alert, line) in held.alerts {
            self.board.alert(alert, &line);
        }
        true
    }

    fn advance(&mut self, held: &mut Held) -> io::Result<()> {
        if held.journalled {
            return self.alerts_log.retry();
        }
        held.frame.mark = self.alerts_log.ready()?;
        if let Some(fault) = self.alerts_log.rotation_fault() {
            say(&format!("{} was not rotated: {fault}", self.settings.alerts.display()));
        }
        self.journal.append(&held.frame)?;
        held.journalled = true;
        self.alerts_log.append(held.frame.alerts.as_bytes())
    }

    /// Notes what keeps the evaluator from going on, or that nothing does.
    pub(super) fn stopped(&mut self, result: io::Result<()>) -> bool {
        let error = result.err().map(|error| error.to_string());
        let stopped = error.is_some();
        match (&error, self.is_stopped) {
            (Some(error), false) => say(&format!("evaluation stops until this is mended: {error}")),
            (None, true) => say("evaluation goes on"),
            _ => {}
        }
        self.is_stopped = stopped;
        self.board.update(|status| status.stopped_by = error);
        stopped
    }
}
