//! A line while rules look at it → the values of its fields, as one rule sees them.

use std::{
    borrow::Cow,
    cell::{LazyCell, OnceCell},
};

use super::url;
use crate::record::{FieldId, Fields, Record, Value};

/// What few rules need of a line is made for the first that asks.
pub(super) struct Line<'l> {
    /// The name `line`.
    pub(super) id: FieldId,
    text: &'l str,
    /// As written and decoded.
    variants: OnceCell<Vec<Cow<'l, str>>>,
    record: LazyCell<Record<'l>, &'l dyn Fn() -> Record<'l>>,
}

impl<'l> Line<'l> {
    pub(super) fn new(id: FieldId, text: &'l str, decode: &'l dyn Fn() -> Record<'l>) -> Self {
        Self { id, text, variants: OnceCell::new(), record: LazyCell::new(decode) }
    }
}

/// The values that a rule sees of a line.
pub(super) struct Values<'v, 'l> {
    pub(super) line: &'v Line<'l>,
    /// Of the rule; they stand over fields of the record.
    pub(super) captured: Vec<(FieldId, String)>,
}

impl Values<'_, '_> {
    pub(super) fn any(&self, field: FieldId, mut holds: impl FnMut(&str) -> bool) -> bool {
        if let Some(text) = self.capture(field) {
            return holds(text);
        }
        if field == self.line.id {
            return holds(self.line.text);
        }
        let elements = self.line.record.value(field).map_or(&[][..], Value::elements);
        elements.iter().any(|text| holds(text))
    }

    pub(super) fn line_variants(&self) -> &[Cow<'_, str>] {
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
