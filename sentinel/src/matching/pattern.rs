//! A regular expression of a rule, its named captures and its literals.

use std::{fmt, ops::Range};

use regex::{Regex, RegexBuilder};
use serde::{Serialize, Serializer};

use super::literal::Literals;
use crate::record::{FieldId, Names, TooManyFields};

/// Most memory that one compiled expression may take, in bytes: `\w{1,500}{1,500}` is refused.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// Matches in time linear in the line, whatever the expression and whoever wrote the line.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// The fields that its named groups fill.
    captures: Vec<(usize, FieldId)>,
    literals: Option<Literals>,
}

/// Why an expression is none, and where in it.
#[derive(Debug)]
pub(crate) struct BadPattern {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

impl Pattern {
    pub(crate) fn new(expression: &str, cased: bool) -> Result<Self, BadPattern> {
        let parsed = regex_syntax::ParserBuilder::new()
            .case_insensitive(!cased)
            .build()
            .parse(expression)
            .map_err(|error| BadPattern::at(&error, expression))?;
        let whole = |message: String| BadPattern { span: 0..expression.len(), message };
        let regex = RegexBuilder::new(expression)
            .case_insensitive(!cased)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(max) => {
                    whole(format!("needs more than {max} bytes compiled"))
                }
                other => whole(other.to_string()),
            })?;
        let literals = Literals::of_pattern(&parsed);
        Ok(Self { regex, captures: Vec::new(), literals })
    }

    /// Gives each named group its field.
    pub(crate) fn name_captures(&mut self, names: &mut Names) -> Result<(), TooManyFields> {
        for (group, name) in self.regex.capture_names().enumerate() {
            if let Some(name) = name {
                self.captures.push((group, names.intern(name)?));
            }
        }
        Ok(())
    }

    pub(crate) fn captures(&self) -> impl Iterator<Item = FieldId> {
        self.captures.iter().map(|(_, id)| *id)
    }

    pub(crate) fn literals(&self) -> Option<&Literals> {
        self.literals.as_ref()
    }

    /// Whether `text` matches; its captures are added if so.
    pub(super) fn find(&self, text: &str, captured: &mut Vec<(FieldId, String)>) -> bool {
        if self.captures.is_empty() {
            return self.regex.is_match(text);
        }
        let Some(found) = self.regex.captures(text) else { return false };
        captured.extend(self.captures.iter().filter_map(|(group, id)| {
            found.get(*group).map(|capture| (*id, capture.as_str().to_owned()))
        }));
        true
    }
}

/// The beginning of the expression, in quotes.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARS: usize = 60;
        let mut shown = self.regex.as_str().chars();
        let head: String = shown.by_ref().take(SHOWN_CHARS).collect();
        write!(f, "`{head}{}`", if shown.next().is_some() { "…" } else { "" })
    }
}

/// As written: two patterns mean the same if they read the same.
impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.regex.as_str())
    }
}

impl BadPattern {
    fn at(error: &regex_syntax::Error, expression: &str) -> Self {
        let (span, message) = match error {
            regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
            regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
            other => {
                return Self { span: 0..expression.len(), message: other.to_string() };
            }
        };
        Self { span: span.start.offset..span.end.offset, message }
    }
}
