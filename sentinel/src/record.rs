//! A decoded line: the fields that rules name, in slots, and the line itself.

use std::borrow::Cow;

/// A field that some rule names: its place in a [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u16);

/// The fields that a rule set names. A decoder looks at nothing else.
#[derive(Debug, Default)]
pub struct Names {
    /// By slot.
    names: Vec<Box<str>>,
    /// Slots by the length of their names. A decoder asks for every key of every line, and mostly
    /// for keys that no rule names: their length alone answers most of them, where a map would
    /// hash each.
    by_length: Vec<Vec<FieldId>>,
}

impl Names {
    /// The slot of `name`, which is given one if it has none.
    ///
    /// # Errors
    /// The set names more than 65,535 fields.
    pub fn intern(&mut self, name: &str) -> Result<FieldId, TooManyFields> {
        if let Some(id) = self.find(name) {
            return Ok(id);
        }
        let id = FieldId(u16::try_from(self.names.len()).map_err(|_| TooManyFields)?);
        self.names.push(name.into());
        if self.by_length.len() <= name.len() {
            self.by_length.resize_with(name.len() + 1, Vec::new);
        }
        if let Some(slots) = self.by_length.get_mut(name.len()) {
            slots.push(id);
        }
        Ok(id)
    }

    /// The slot of `name`, if a rule names it.
    pub fn find(&self, name: &str) -> Option<FieldId> {
        let slots = self.by_length.get(name.len())?;
        slots.iter().copied().find(|id| self.name(*id) == name)
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

/// What a field holds: text, as written in the line. Whether `404` is a number is for the rule to
/// say that compares it with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'l> {
    /// One value. Borrowed from the line wherever the line holds it as it is.
    One(Cow<'l, str>),
    /// A list: a condition holds if it holds for one element.
    Many(Vec<Cow<'l, str>>),
}

impl<'l> Value<'l> {
    /// As it is grouped by and printed; a list by its elements with commas between.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::One(text) => Cow::Borrowed(text),
            Self::Many(texts) => Cow::Owned(texts.join(",")),
        }
    }

    /// Each value that it holds.
    pub fn elements(&self) -> &[Cow<'l, str>] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
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
    pub fn set(&mut self, id: FieldId, text: impl Into<Cow<'l, str>>) {
        if let Some(slot) = self.values.get_mut(usize::from(id.0)) {
            *slot = Some(Value::One(text.into()));
        }
    }

    /// Makes a slot an empty list.
    pub fn set_list(&mut self, id: FieldId) {
        if let Some(slot) = self.values.get_mut(usize::from(id.0)) {
            *slot = Some(Value::Many(Vec::new()));
        }
    }

    /// Adds an element to a slot's list, which begins with what the slot holds.
    pub fn push(&mut self, id: FieldId, text: Cow<'l, str>) {
        let Some(slot) = self.values.get_mut(usize::from(id.0)) else { return };
        match slot.take() {
            Some(Value::Many(mut texts)) => {
                texts.push(text);
                *slot = Some(Value::Many(texts));
            }
            Some(Value::One(first)) => *slot = Some(Value::Many(vec![first, text])),
            None => *slot = Some(Value::Many(vec![text])),
        }
    }

    /// What a slot holds.
    pub fn value(&self, id: FieldId) -> Option<&Value<'l>> {
        self.values.get(usize::from(id.0)).and_then(Option::as_ref)
    }
}

/// The values of one match, wherever they come from: the record, or the captures of the rule.
pub trait Fields {
    /// The value of a field as text.
    fn field(&self, id: FieldId) -> Option<Cow<'_, str>>;
}
