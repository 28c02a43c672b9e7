//! A line → the rules that it matches, each with the values of the match.

use std::{
    borrow::Cow,
    cell::{LazyCell, OnceCell},
    sync::Arc,
};

use memchr::memmem;

use crate::{
    decode::{Format, Stamp},
    record::{FieldId, Record, Value},
    rule::{Fields, Rule, RuleSet},
    time::Timestamp,
};

mod ascii;
pub(crate) mod condition;
pub(crate) mod literal;
mod members;
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
        let mended = matches!(line, Cow::Owned(_));
        let decode = || self.decoder.decode(format, &line, mended, &self.names);
        let line = Line {
            id: self.line,
            text: &line,
            variants: OnceCell::new(),
            record: LazyCell::new(&decode),
        };
        for index in candidates.iter().copied() {
            let Some(rule) = self.rules.get(index) else { continue };
            let mut values = Values { line: &line, captured: Vec::new() };
            if rule.matches(&mut values) {
                hit(index, &values);
            }
        }
    }
}

/// A line while rules look at it. What few of them need is made for the first that asks.
struct Line<'l> {
    /// The name `line`.
    id: FieldId,
    text: &'l str,
    /// As written and decoded.
    variants: OnceCell<Vec<Cow<'l, str>>>,
    record: LazyCell<Record<'l>, &'l dyn Fn() -> Record<'l>>,
}

impl Rule {
    /// Whether all conditions hold and no exception does; adds what the patterns captured.
    fn matches(&self, values: &mut Values<'_, '_>) -> bool {
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
struct Values<'v, 'l> {
    line: &'v Line<'l>,
    /// Of the rule; they stand over fields of the record.
    captured: Vec<(FieldId, String)>,
}

impl Values<'_, '_> {
    fn any(&self, field: FieldId, mut holds: impl FnMut(&str) -> bool) -> bool {
        if let Some(text) = self.capture(field) {
            return holds(text);
        }
        if field == self.line.id {
            return holds(self.line.text);
        }
        let elements = self.line.record.value(field).map_or(&[][..], Value::elements);
        elements.iter().any(|text| holds(text))
    }

    fn line_variants(&self) -> &[Cow<'_, str>] {
        self.line.variants.get_or_init(|| url::variants(Cow::Borrowed(self.line.text)))
    }

    fn capture(&self, field: FieldId) -> Option<&str> {
        let last = self.captured.iter().rev().find(|(id, _)| *id == field);
        last.map(|(_, text)| text.as_str())
    }
}

impl Fields for Values<'_, '_> {
    fn field(&self, id: FieldId) -> Option<Cow<'_, str>> {
        if let Some(text) = self.capture(id) {
            return Some(Cow::Borrowed(text));
        }
        if id == self.line.id {
            return Some(Cow::Borrowed(self.line.text));
        }
        self.line.record.value(id).map(Value::text)
    }
}

/// Whether ignoring case makes ASCII of nothing that is none: the signs of the kelvin and of the
/// long s, and the dotted I (Unicode's CaseFolding.txt and SpecialCasing.txt).
fn folds_to_itself(text: &[u8]) -> bool {
    let special = ["\u{212a}", "\u{17f}", "\u{130}"];
    text.is_ascii() || special.iter().all(|c| memmem::find(text, c.as_bytes()).is_none())
}

#[cfg(test)]
mod tests;
