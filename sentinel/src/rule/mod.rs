//! Rules as they run: what stands in the files, checked and compiled. A [`Rule`] that exists works.

use std::{collections::BTreeMap, num::NonZeroU32};

use shared::alert::Level;

use crate::{
    decode::{Format, Stamp},
    matching::{Flaws, Matching, View},
    record::{FieldId, Names},
    time::{Span, Timestamp},
};

pub(crate) mod duration;
mod fault;
pub mod load;
mod parse;
mod template;

pub use crate::record::Fields;
pub use fault::{Fault, Severity};
pub use template::VALUE_CHARS_MAX;

/// All rules of a set, and what they are compiled to together.
#[derive(Debug)]
pub struct RuleSet {
    /// In the order of the files and of their places in them.
    pub rules: Vec<Rule>,
    /// As declared; none means that each `*.log` is one.
    pub sources: Vec<Source>,
    /// Every field that the rules name.
    pub names: Names,
    /// SHA-256 of all files' content, in hex.
    pub digest: String,
    pub(crate) matching: Matching,
}

/// A declared source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Unique in its set.
    pub name: String,
    /// Globs, relative to the log directory.
    pub path: Vec<String>,
    /// How its lines are read.
    pub format: Format,
    /// The field of the event time (JSON), or the pattern of the time a line begins with (text).
    pub timestamp: Option<String>,
}

impl RuleSet {
    /// Reads the texts of files, given as (path, text): the set, and every fault in the order of
    /// its place. There is a set exactly where no fault is an error.
    pub fn parse(files: &[(String, String)]) -> (Option<Self>, Vec<Fault>) {
        parse::parse(files)
    }

    /// The view of the source of that name.
    pub fn view(&self, source: &str) -> View {
        let known = self.sources.iter().find(|known| known.name == source);
        let format = known.map_or(Format::Auto, |source| source.format);
        let stamp = Stamp::new(known.and_then(|source| source.timestamp.as_deref()));
        let applies = self.rules.iter().map(|rule| rule.applies_to(source)).collect();
        self.matching.view(format, stamp, applies)
    }

    /// The event time that a raw line gives itself.
    pub fn time(&self, view: &View, line: &[u8]) -> Option<Timestamp> {
        view.time(line)
    }

    /// Calls `hit` once for each rule that a line matches, in the order of the rules. Gives what it
    /// saw to be wrong with the line.
    pub fn scan(&self, view: &View, line: &[u8], hit: &mut dyn FnMut(usize, &dyn Fields)) -> Flaws {
        self.matching.scan(&self.names, view, line, hit)
    }
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Unique in its set: lower-case letters, digits, `-`, `_` and `.`; never `sentinel.…`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// How much it matters.
    pub level: Level,
    /// The file it stands in, as given.
    pub file: String,
    /// The line of its `[[rule]]`, from 1.
    pub line: u32,
    /// Handed on to its alerts.
    pub tags: Vec<String>,
    /// Handed on to its alerts.
    pub labels: BTreeMap<String, String>,
    /// Handed on to its alerts.
    pub annotations: BTreeMap<String, String>,
    /// Fields whose values part its matches into groups.
    pub group_by: GroupBy,
    /// Leading bits of an IPv6 address that make its group (64), 128 for the whole address.
    pub ipv6_prefix: u8,
    /// Event time after an alert in which matches of its group only count as `folded`.
    pub cooldown: Span,
    /// None: every match is a trip.
    pub correlation: Option<Correlation>,
    /// Equal for rules of one id that match, group and count alike: after an edit, state is kept
    /// only where it is. What a rule is called and says may change without losing state.
    pub digest: u128,
    /// What the digest is made of, but for the id.
    meaning: String,
    /// None: every source.
    sources: Option<Vec<String>>,
    message: template::Template,
}

impl Rule {
    /// Whether it looks at the lines of that source.
    pub fn applies_to(&self, source: &str) -> bool {
        self.sources.as_ref().is_none_or(|names| names.iter().any(|name| name == source))
    }

    /// What its alert says: the rule's `message` with the values of the match that tripped, which
    /// is the `count`th. Values are data: nothing in them can act on a terminal.
    pub fn message(&self, fields: &dyn Fields, count: u64) -> String {
        let timespan = self.correlation.as_ref().map_or("-", |c| &c.timespan_text);
        self.message.fill(fields, count, timespan)
    }
}

/// What a rule groups its matches by.
#[derive(Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// A plain rule that names nothing: `client.ip` where a record has one, else one group.
    ClientIp(FieldId),
    /// These fields, in this order; none at all is one group.
    Fields(Vec<FieldId>),
}

/// When matches of a group become a trip.
#[derive(Debug, PartialEq, Eq)]
pub struct Correlation {
    /// What is counted.
    pub kind: Kind,
    /// The half-open span it is counted in.
    pub timespan: Span,
    /// The span as written, `5m`.
    pub timespan_text: String,
    /// How many trip.
    pub gte: NonZeroU32,
}

/// What a correlation counts (Sigma's words).
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Matches.
    EventCount,
    /// Distinct values of a field among the matches; a match without the field counts for none.
    ValueCount(FieldId),
}
