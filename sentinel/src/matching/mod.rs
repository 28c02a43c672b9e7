//! A line → the rules that it matches, each with the values of the match.

use std::{borrow::Cow, sync::Arc};

use crate::{
    decode::{self, Format},
    record::{FieldId, Record},
    rule::{Fields, RuleSet},
    time::Timestamp,
};

/// What applies to the lines of one source. Cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    format: Format,
    timestamp: Arc<str>,
    rules: Arc<[usize]>,
}

impl RuleSet {
    /// The view of the source of that name.
    pub fn view(&self, source: &str) -> View {
        let applies =
            |rule: usize| self.rules.get(rule).is_some_and(|rule| rule.applies_to(source));
        let rules = (0..self.rules.len()).filter(|rule| applies(*rule)).collect();
        let known = self.sources.iter().find(|known| known.name == source);
        let timestamp =
            known.and_then(|source| source.timestamp.as_deref()).unwrap_or("@timestamp");
        View {
            format: known.map_or(Format::Auto, |source| source.format),
            timestamp: timestamp.into(),
            rules,
        }
    }

    /// The event time that a raw line gives itself.
    pub fn time(&self, view: &View, line: &[u8]) -> Option<Timestamp> {
        let object: serde_json::Value = serde_json::from_slice(line).ok()?;
        Timestamp::parse(object.get(&*view.timestamp)?.as_str()?)
    }

    /// Calls `hit` once for each rule that a line matches, in the order of the rules.
    pub fn scan(&self, view: &View, line: &[u8], hit: &mut dyn FnMut(usize, &dyn Fields)) {
        let line = String::from_utf8_lossy(line);
        let record = decode::decode(view.format, &line, &self.names);
        for index in view.rules.iter().copied() {
            let Some(rule) = self.rules.get(index) else { continue };
            let found = rule.conditions.iter().all(|(id, wanted)| {
                if self.names.name(*id) == "line" {
                    return record.line.contains(wanted.as_str());
                }
                record.value(*id).is_some_and(|value| value.text() == wanted.as_str())
            });
            if found {
                hit(index, &Found { record: &record });
            }
        }
    }
}

struct Found<'m> {
    record: &'m Record<'m>,
}

impl Fields for Found<'_> {
    fn field(&self, id: FieldId) -> Option<Cow<'_, str>> {
        self.record.value(id).map(|value| value.text())
    }
}
