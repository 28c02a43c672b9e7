//! A line → the rules that it matches, each with the values of the match.

use std::{borrow::Cow, cell::OnceCell, sync::Arc};

use crate::{
    decode::{Format, Stamp},
    record::{FieldId, Record, Value},
    rule::{Fields, Rule, RuleSet},
    time::Timestamp,
};

pub(crate) mod condition;
pub(crate) mod literal;
mod number;
pub(crate) mod pattern;
mod prefilter;
mod url;

pub(crate) use condition::Condition;
pub(crate) use prefilter::Prefilter;

/// What applies to the lines of one source. Cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    format: Format,
    stamp: Stamp,
    applying: Arc<prefilter::Applying>,
}

impl View {
    /// How a line is read: what `auto` takes it for, where the format is not told.
    pub fn format(&self, line: &[u8]) -> Format {
        self.format.of(line)
    }
}

impl RuleSet {
    /// The view of the source of that name.
    pub fn view(&self, source: &str) -> View {
        let known = self.sources.iter().find(|known| known.name == source);
        View {
            format: known.map_or(Format::Auto, |source| source.format),
            stamp: Stamp::new(known.and_then(|source| source.timestamp.as_deref())),
            applying: self.prefilter.applying(&self.rules, source).into(),
        }
    }

    /// The event time that a raw line gives itself.
    pub fn time(&self, view: &View, line: &[u8]) -> Option<Timestamp> {
        view.stamp.read(view.format, line)
    }

    /// Calls `hit` once for each rule that a line matches, in the order of the rules.
    pub fn scan(&self, view: &View, line: &[u8], hit: &mut dyn FnMut(usize, &dyn Fields)) {
        let candidates = self.prefilter.candidates(&self.rules, &view.applying, view.format, line);
        if !candidates.is_empty() {
            self.evaluate(&candidates, view.format, line, hit);
        }
    }

    fn evaluate(
        &self,
        candidates: &[usize],
        format: Format,
        line: &[u8],
        hit: &mut dyn FnMut(usize, &dyn Fields),
    ) {
        let line = String::from_utf8_lossy(line);
        let record = self.decoder.decode(format, &line, &self.names);
        let line_variants = OnceCell::new();
        for index in candidates.iter().copied() {
            let Some(rule) = self.rules.get(index) else { continue };
            let mut values = Values {
                record: &record,
                line: self.line,
                line_variants: &line_variants,
                captured: Vec::new(),
            };
            if rule.matches(&mut values) {
                hit(index, &values);
            }
        }
    }
}

impl Rule {
    /// Whether all conditions hold and no exception does; adds what the patterns captured.
    fn matches(&self, values: &mut Values<'_>) -> bool {
        let mut captured = Vec::new();
        let holds = self.matches.iter().all(|condition| condition.holds(values, &mut captured));
        if !holds {
            return false;
        }
        // From here on a capture is a field: of a text line, `client.ip` may be excepted too.
        values.captured = captured;
        let ignored = &mut Vec::new();
        let excepted = |conditions: &Vec<Condition>| {
            conditions.iter().all(|condition| condition.holds(values, ignored))
        };
        !self.except.iter().any(excepted)
    }
}

/// The values that a rule sees of a line.
struct Values<'r> {
    record: &'r Record<'r>,
    /// The name `line`.
    line: FieldId,
    /// The line as written and decoded: made once for all rules that ask.
    line_variants: &'r OnceCell<Vec<Cow<'r, str>>>,
    /// Of the rule; they stand over fields of the record.
    captured: Vec<(FieldId, String)>,
}

impl Values<'_> {
    fn any(&self, field: FieldId, mut holds: impl FnMut(&str) -> bool) -> bool {
        if let Some(text) = self.capture(field) {
            return holds(text);
        }
        if field == self.line {
            return holds(self.record.line);
        }
        let elements = self.record.value(field).map_or(&[][..], Value::elements);
        elements.iter().any(|text| holds(text))
    }

    fn line_variants(&self) -> &[Cow<'_, str>] {
        self.line_variants.get_or_init(|| url::variants(Cow::Borrowed(self.record.line)))
    }

    fn capture(&self, field: FieldId) -> Option<&str> {
        let last = self.captured.iter().rev().find(|(id, _)| *id == field);
        last.map(|(_, text)| text.as_str())
    }
}

impl Fields for Values<'_> {
    fn field(&self, id: FieldId) -> Option<Cow<'_, str>> {
        if let Some(text) = self.capture(id) {
            return Some(Cow::Borrowed(text));
        }
        if id == self.line {
            return Some(Cow::Borrowed(self.record.line));
        }
        self.record.value(id).map(Value::text)
    }
}
