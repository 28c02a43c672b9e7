//! What a match does to its group: count, fold, or trip.

use super::{
    Engine,
    found::{Found, Trip, hash},
};
use crate::{
    group::{EVIDENCE_GROUPS_MAX, Memory},
    rule::Kind,
    time::Span,
    window::{Hit, Threshold},
};

impl Engine {
    /// What a match does to its group; and whether a group that could still have tripped was given
    /// up for it.
    pub(super) fn judge(&mut self, index: usize, found: &Found<'_>) -> (Option<Trip>, bool) {
        let rule = found.rule;
        if found.time.late && rule.correlation.is_some() {
            self.counting.late_lines += 1;
            return (None, false);
        }
        let install = self.state.install;
        let Some(remembered) = self.state.rules.get_mut(index) else { return (None, false) };
        let timespan = rule.correlation.as_ref().map_or(Span(0), |of| of.timespan);
        if rule.correlation.is_none() && rule.cooldown == Span(0) {
            return (Some(Trip { hits: vec![found.hit(0, true)], folded: 0 }), false);
        }
        let value = match rule.correlation.as_ref().map(|of| &of.kind) {
            Some(Kind::ValueCount(field)) => match found.fields.field(*field) {
                Some(value) => hash(install, [value.as_ref()].into_iter()) as u64,
                None => return (None, false),
            },
            _ => 0,
        };
        let group = found.group();
        let key = hash(install, group.iter().map(|(_, value)| value.as_ref()));
        // What trips at once waits for nothing and takes no memory.
        let keep_text =
            rule.correlation.is_none() || remembered.groups.len() <= EVIDENCE_GROUPS_MAX;
        let memory = Memory { timespan, cooldown: rule.cooldown };
        let (group, live_lost) = remembered.groups.at(key, found.time.at, memory);
        if group.is_cooling(found.time.at, rule.cooldown) {
            group.folded += 1;
            return (None, live_lost);
        }
        let hit = found.hit(value, keep_text);
        let hits = match &rule.correlation {
            None => Some(vec![hit]),
            Some(of) => group.window.insert(
                hit,
                Threshold {
                    timespan,
                    gte: of.gte.get() as usize,
                    distinct: matches!(of.kind, Kind::ValueCount(_)),
                },
            ),
        };
        let trip = hits.map(|mut hits| {
            // The line at hand can be shown whatever was kept of the others.
            let at_hand = |hit: &&mut Hit| {
                (hit.line.file, hit.line.offset) == (found.file, found.line.offset)
            };
            if let Some(last) = hits.iter_mut().rfind(at_hand).filter(|_| !keep_text) {
                *last = found.hit(value, true);
            }
            group.alerted = group.alerted.max(Some(found.time.at));
            Trip { hits, folded: std::mem::take(&mut group.folded) }
        });
        (trip, live_lost)
    }
}
