//! Rule files edited while sentinel runs: the new rules go on, or the old ones and a word why.

use std::{sync::Arc, time::Duration};

use super::{Daemon, clock::Clock, stalled::Stalled};
use crate::{
    board,
    notice::{self, Notice},
    rule::{RuleSet, Severity, load},
    time::Timestamp,
};

/// Between two looks at the rule files.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

impl Daemon {
    /// Reads the rule files again if a byte of them has changed.
    pub(super) fn reload(&mut self, clock: Clock) {
        let now = clock.now;
        if now.duration_since(self.rules_looked) < RELOAD_EVERY {
            return;
        }
        self.rules_looked = now;
        let read = load::read(&self.settings.rules).map_err(|unreadable| unreadable.to_string());
        if read == self.rules_seen {
            return;
        }
        // Half of a file that is being written is not meant: two looks must agree.
        if self.rules_changing.as_ref() != Some(&read) {
            self.rules_changing = Some(read);
            return;
        }
        self.rules_changing = None;
        self.rules_seen = read;
        let fault = match self.rules_seen.as_deref().map(RuleSet::parse) {
            Ok((Some(rules), _)) => {
                self.engine.replace(Arc::new(rules));
                self.tail.replaced(&mut self.engine);
                self.stalled = Stalled::default();
                // No turn spans two rule sets.
                self.snapshot_due = true;
                return self.rules_loaded(clock.wall);
            }
            Ok((None, faults)) => {
                let error = faults.iter().find(|fault| fault.severity == Severity::Error);
                error.map_or_else(String::new, |at| {
                    format!("{}:{}:{}: {}", at.file, at.line, at.column, at.message)
                })
            }
            Err(unreadable) => unreadable.clone(),
        };
        self.board.update(|status| status.rules.last_reload_error = Some(fault.clone()));
        self.notices.push(Notice::ReloadFailed { fault });
    }

    pub(super) fn rules_loaded(&mut self, wall: Timestamp) {
        let rules = self.engine.rules();
        let (digest, count) = (rules.digest.clone(), rules.rules.len());
        let loaded_at = wall.rfc3339();
        self.board.update(|status| {
            status.rules = board::Rules { digest, count, loaded_at, last_reload_error: None };
            // Rules come and go with their edits: what is counted must end with them.
            status.raised.retain(|raised, _| {
                raised.rule.starts_with(notice::PREFIX)
                    || rules.rules.iter().any(|rule| rule.id == raised.rule)
            });
        });
    }
}
