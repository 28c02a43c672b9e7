//! Regular expressions of a rule, their named captures and their literals.

use std::{fmt, ops::Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;
use serde::{Serialize, Serializer};

use super::{
    ascii,
    literal::{Literals, folds_to_itself},
};
use crate::record::{FieldId, Names, TooManyFields};

/// Most memory that one compiled expression may take, in bytes: `\w{1,500}{1,500}` is refused.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// Matches in time linear in the line, whatever the expression and whoever wrote the line.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// As written.
    expression: String,
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
        let whole = |message: String| BadPattern { span: 0..expression.len(), message };
        parse(expression, cased)?;
        let ascii = ascii::rewritten(expression)
            .map_err(|error| BadPattern::at(&regex_syntax::Error::Parse(*error), expression))?;
        let parsed = parse(&ascii, cased).map_err(|bad| whole(bad.message))?;
        let regex = RegexBuilder::new(&ascii)
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
        Ok(Self { expression: expression.to_owned(), regex, captures: Vec::new(), literals })
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
    fn find(&self, text: &str, captured: &mut Vec<(FieldId, String)>) -> bool {
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

/// Alternatives: a text matches if it matches one.
#[derive(Debug)]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
    /// Finds literals of the patterns that have some.
    literals: AhoCorasick,
    /// By literal: the pattern that it calls for. A literal of several is there several times, and
    /// found as often.
    called_by: Vec<usize>,
}

impl Patterns {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Result<Self, BuildError> {
        let mut literals = Vec::new();
        let mut called_by = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            for literal in pattern.literals.iter().flat_map(|literals| &literals.0) {
                literals.push(literal);
                called_by.push(index);
            }
        }
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind((patterns.len() > 1).then_some(AhoCorasickKind::DFA))
            .build(literals)?;
        Ok(Self { patterns, literals, called_by })
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Pattern> {
        self.patterns.iter()
    }

    /// Whether some pattern matches; the captures of the first that does are added if so. Of many
    /// patterns only those are tried of which a literal stands in the text.
    pub(super) fn find(&self, text: &str, captured: &mut Vec<(FieldId, String)>) -> bool {
        if self.patterns.len() == 1 || !folds_to_itself(text.as_bytes()) {
            return self.patterns.iter().any(|pattern| pattern.find(text, captured));
        }
        let mut called: Vec<bool> =
            self.patterns.iter().map(|pattern| pattern.literals.is_none()).collect();
        for found in self.literals.find_overlapping_iter(text) {
            let pattern = self.called_by.get(found.pattern().as_usize());
            if let Some(called) = pattern.and_then(|pattern| called.get_mut(*pattern)) {
                *called = true;
            }
        }
        let mut called = self.patterns.iter().zip(called).filter(|(_, called)| *called);
        called.any(|(pattern, _)| pattern.find(text, captured))
    }
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.patterns)
    }
}

fn parse(expression: &str, cased: bool) -> Result<Hir, BadPattern> {
    let mut parser = regex_syntax::ParserBuilder::new().case_insensitive(!cased).build();
    parser.parse(expression).map_err(|error| BadPattern::at(&error, expression))
}

/// The beginning of the expression, in quotes.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARS: usize = 60;
        let mut shown = self.expression.chars();
        let head: String = shown.by_ref().take(SHOWN_CHARS).collect();
        write!(f, "`{head}{}`", if shown.next().is_some() { "…" } else { "" })
    }
}

/// As written: two patterns mean the same if they read the same.
impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.expression)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_folds_to_a_letter_is_that_letter() {
        let patterns =
            ["koala", "nothing"].map(|expression| Pattern::new(expression, false).unwrap());
        let patterns = Patterns::new(patterns.into()).unwrap();
        assert!(patterns.find("\u{212a}oala", &mut Vec::new()));
    }

    #[test]
    fn the_first_pattern_that_matches_captures() {
        let mut names = Names::default();
        let patterns = ["(?<a>xyz)1", "(?<a>x)", "nothing"].map(|expression| {
            let mut pattern = Pattern::new(expression, false).unwrap();
            pattern.name_captures(&mut names).unwrap();
            pattern
        });
        let patterns = Patterns::new(patterns.into()).unwrap();
        for (text, expected) in
            [("XYZ1", Some("XYZ")), ("xyz2", Some("x")), ("éxyz1", Some("xyz")), ("y", None)]
        {
            let mut captured = Vec::new();
            assert_eq!(patterns.find(text, &mut captured), expected.is_some(), "{text}");
            assert_eq!(captured.first().map(|(_, capture)| &**capture), expected, "{text}");
        }
    }
}
