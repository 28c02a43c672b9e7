//! A decoded line: the fields that rules name, in slots, and the line itself.

use std::{borrow::Cow, collections::HashMap};

/// A field that some rule names: its place in a [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u16);

/// The fields that a rule set names. A decoder looks at nothing else.
#[derive(Debug, Default)]
pub struct Names {
    ids: HashMap<Box<str>, FieldId>,
    names: Vec<Box<str>>,
}

impl Names {
    /// The slot of `name`, which is given one if it has none.
    ///
    /// # Errors
    /// The set names more than 65,535 fields.
    pub fn intern(&mut self, name: &str) -> Result<FieldId, TooManyFields> {
        if let Some(id) = self.ids.get(name) {
            return Ok(*id);
        }
        let id = FieldId(u16::try_from(self.names.len()).map_err(|_| TooManyFields)?);
        self.ids.insert(name.into(), id);
        self.names.push(name.into());
        Ok(id)
    }

    /// The slot of `name`, if a rule names it.
    pub fn find(&self, name: &str) -> Option<FieldId> {
        self.ids.get(name).copied()
    }

    /// The name of a slot.
    pub fn name(&self, id: FieldId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", |name| name)
    }

    /// How many slots a record needs.
    pub fn count(&self) -> usize {
        self.names.len()
    }
}

/// A rule set names more fields than a record has slots.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rules name more than 65,535 fields")]
pub struct TooManyFields;

/// What a field holds. Borrowed from the line wherever the line holds it as it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'l> {
    /// Text.
    Text(Cow<'l, str>),
    /// A number, as written (so that it groups and prints as written) and as it compares.
    Number(Cow<'l, str>, f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list: a condition holds if it holds for one element.
    List(Vec<Self>),
}

impl Value<'_> {
    /// As it is grouped by and printed; a list by its elements with commas between.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Number(text, _) => Cow::Borrowed(text),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::List(values) => {
                let texts: Vec<_> = values.iter().map(Value::text).collect();
                Cow::Owned(texts.join(","))
            }
        }
    }
}

/// A line and its fields.
#[derive(Debug)]
pub struct Record<'l> {
    /// The whole line, invalid UTF-8 replaced: what a rule calls `line`.
    pub line: &'l str,
    values: Vec<Option<Value<'l>>>,
}

impl<'l> Record<'l> {
    /// A record of which nothing but the line is known.
    pub fn new(line: &'l str, names: &Names) -> Self {
        Self { line, values: vec![None; names.count()] }
    }

    /// Fills a slot; the last value of a repeated key stands.
    pub fn set(&mut self, id: FieldId, value: Value<'l>) {
        if let Some(slot) = self.values.get_mut(usize::from(id.0)) {
            *slot = Some(value);
        }
    }

    /// What a slot holds.
    pub fn value(&self, id: FieldId) -> Option<&Value<'l>> {
        self.values.get(usize::from(id.0)).and_then(Option::as_ref)
    }
}
