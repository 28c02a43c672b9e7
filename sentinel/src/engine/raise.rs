//! Alerts made: of a trip, or of something sentinel says of itself. Each gets the next number.

use std::collections::BTreeMap;

use shared::alert::{self as contract, Alert, Observer, Status};

use super::{
    Engine, Now,
    found::{Found, Trip},
    state::Told,
};
use crate::{
    alert,
    notice::Notice,
    time::{Span, Timestamp},
    window::{EVIDENCE_FIRST, EVIDENCE_LAST},
};

impl Engine {
    /// The alert of a trip.
    pub(super) fn raise(&mut self, found: &Found<'_>, trip: Trip, now: Now) -> Alert {
        let rule = found.rule;
        let group: BTreeMap<&str, _> = found.group().into_iter().collect();
        let fingerprint =
            alert::fingerprint(&rule.id, group.iter().map(|(name, value)| (*name, value.as_ref())));
        let group = group
            .into_iter()
            .map(|(name, value)| (name.to_owned(), alert::shown(value.into_owned())))
            .collect();
        let count = match rule.correlation.as_ref() {
            Some(of) => u64::from(of.gte.get()),
            None => 1,
        };
        let window = rule.correlation.as_ref().map(|of| contract::Window {
            start: trip.hits.first().map_or(found.time.at, |hit| hit.time).rfc3339(),
            end: trip.hits.last().map_or(found.time.at, |hit| hit.time).rfc3339(),
            timespan: of.timespan_text.clone(),
        });
        let last_from = trip.hits.len().saturating_sub(EVIDENCE_LAST).max(EVIDENCE_FIRST);
        let evidence = trip
            .hits
            .iter()
            .enumerate()
            .filter(|(index, _)| *index < EVIDENCE_FIRST || *index >= last_from)
            .map(|(_, hit)| {
                let (source, file) = match self.state.origins.get(&hit.line.file) {
                    Some((source, file)) => (source.as_str(), file.as_str()),
                    None => ("", ""),
                };
                alert::evidence(source, file, &hit.line)
            })
            .collect();
        self.number(found.time.at, now, |seq, id, created, observer| Alert {
            timestamp: found.time.at.rfc3339(),
            schema: contract::SCHEMA.into(),
            seq,
            id,
            fingerprint,
            status: Status::Firing,
            rule: contract::Rule {
                id: rule.id.clone(),
                title: rule.title.clone(),
                file: rule.file.clone(),
                line: rule.line,
            },
            level: rule.level,
            tags: rule.tags.clone(),
            labels: rule.labels.clone(),
            annotations: rule.annotations.clone(),
            message: rule.message(found.fields, count),
            group,
            count,
            folded: trip.folded,
            window,
            evidence,
            event: contract::Event { kind: "alert".into(), created },
            observer,
        })
    }

    /// Raises an alert of sentinel's own.
    pub fn notice(&mut self, notice: &Notice, at: Timestamp, emit: &mut dyn FnMut(Alert)) {
        self.counting.told(notice);
        self.tell(notice, at, Now::Live(at), emit);
    }

    pub(super) fn tell(
        &mut self,
        notice: &Notice,
        at: Timestamp,
        now: Now,
        emit: &mut dyn FnMut(Alert),
    ) {
        let group = notice.group();
        let fingerprint =
            alert::fingerprint(notice.rule(), group.iter().map(|(k, v)| (*k, v.as_str())));
        let cooldown = notice.cooldown();
        let mut folded = 0;
        if cooldown > Span(0) {
            if let Some(told) = self.state.notices.get_mut(&fingerprint) {
                if at < told.until {
                    told.folded += 1;
                    return;
                }
                folded = told.folded;
            }
            // Whoever has cooled down by now is forgotten: what a stranger can make grow must end.
            self.state.notices.retain(|_, told| at < told.until);
            let told = Told { until: at.plus(cooldown), folded: 0 };
            self.state.notices.insert(fingerprint.clone(), told);
        }
        let group = group.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        emit(self.number(at, now, |seq, id, created, observer| Alert {
            timestamp: at.rfc3339(),
            schema: contract::SCHEMA.into(),
            seq,
            id,
            fingerprint,
            status: Status::Firing,
            rule: contract::Rule {
                id: notice.rule().into(),
                title: notice.title().into(),
                file: String::new(),
                line: 0,
            },
            level: notice.level(),
            tags: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            message: notice.message(),
            group,
            count: 1,
            folded,
            window: None,
            evidence: Vec::new(),
            event: contract::Event { kind: "alert".into(), created },
            observer,
        }));
    }

    fn number(
        &mut self,
        at: Timestamp,
        now: Now,
        make: impl FnOnce(u64, String, String, Observer) -> Alert,
    ) -> Alert {
        self.state.seq += 1;
        let created = match now {
            Now::Live(now) => now,
            Now::Replay => at,
        };
        let id = alert::id(self.state.install, self.state.seq);
        make(self.state.seq, id, created.rfc3339(), self.observer.clone())
    }
}
