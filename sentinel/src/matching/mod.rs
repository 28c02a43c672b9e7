//! A line → the rules that it matches, each with the values of the match.

use std::{borrow::Cow, cell::Cell, sync::Arc};

use crate::{
    decode::{Decoder, Format, Stamp},
    record::{FieldId, Fields, Names, TooManyFields},
    time::Timestamp,
};

mod ascii;
pub(crate) mod condition;
pub(crate) mod literal;
mod matcher;
mod members;
mod number;
pub(crate) mod pattern;
mod prefilter;
mod url;
mod values;

pub(crate) use condition::Condition;
pub(crate) use matcher::Matcher;
pub(crate) use prefilter::Prefilter;
use values::{Line, Values};

/// What the rules of a set are compiled to together.
#[derive(Debug)]
pub(crate) struct Matching {
    /// By rule.
    matchers: Vec<Matcher>,
    prefilter: Prefilter,
    decoder: Decoder,
    /// The slot of `line`, which no decoder fills.
    line: FieldId,
}

/// A rule set is too large.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum TooLarge {
    Fields(#[from] TooManyFields),
    Literals(#[from] aho_corasick::BuildError),
}

/// What is wrong with a line, as far as rules looked at it: a line that none can match is not decoded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Flaws {
    /// It is not what its source's format says, or broken JSON.
    pub parse_error: bool,
    /// It is not UTF-8.
    pub encoding_error: bool,
}

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

    /// The event time that a raw line gives itself.
    pub(crate) fn time(&self, line: &[u8]) -> Option<Timestamp> {
        self.stamp.read(self.format, line)
    }
}

impl Matching {
    /// Of matchers in the order of their rules, and all fields that the rules name.
    pub(crate) fn new(matchers: Vec<Matcher>, names: &mut Names) -> Result<Self, TooLarge> {
        let line = names.intern("line")?;
        let prefilter = Prefilter::new(&matchers)?;
        Ok(Self { matchers, prefilter, decoder: Decoder::new(names), line })
    }

    /// The view of a source whose lines are read so. `applies`: by rule, whether it looks at them.
    pub(crate) fn view(&self, format: Format, stamp: Stamp, applies: Vec<bool>) -> View {
        View { format, stamp, applying: self.prefilter.applying(applies).into() }
    }

    /// Calls `hit` once for each rule that a line matches, in the order of the rules. Gives what it
    /// saw to be wrong with the line.
    pub(crate) fn scan(
        &self,
        names: &Names,
        view: &View,
        line: &[u8],
        hit: &mut dyn FnMut(usize, &dyn Fields),
    ) -> Flaws {
        let candidates = self.candidates(view, line);
        if candidates.is_empty() {
            return Flaws::default();
        }
        self.evaluate(names, &candidates, view.format, line, hit)
    }

    fn candidates(&self, view: &View, line: &[u8]) -> Vec<usize> {
        self.prefilter.candidates(&self.matchers, &view.applying, view.format, line)
    }

    fn evaluate(
        &self,
        names: &Names,
        candidates: &[usize],
        format: Format,
        line: &[u8],
        hit: &mut dyn FnMut(usize, &dyn Fields),
    ) -> Flaws {
        let line = String::from_utf8_lossy(line);
        let mended = matches!(line, Cow::Owned(_));
        let broken = Cell::new(false);
        let decode = || {
            let (record, whole) = self.decoder.decode(format, &line, mended, names);
            broken.set(!whole);
            record
        };
        let line = Line::new(self.line, &line, &decode);
        for index in candidates.iter().copied() {
            let Some(matcher) = self.matchers.get(index) else { continue };
            let mut values = Values { line: &line, captured: Vec::new() };
            if matcher.holds(&mut values) {
                hit(index, &values);
            }
        }
        Flaws { parse_error: broken.get(), encoding_error: mended }
    }
}

#[cfg(test)]
mod tests;
