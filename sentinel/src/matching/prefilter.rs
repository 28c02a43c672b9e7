//! A raw line → the rules that may match it: mostly none, and then the line is never parsed.
//!
//! One automaton looks for literals of all rules at once, because parsing is what costs. It may
//! only leave a rule out where that is proven: every text that a condition sees must stand in the
//! raw line as it is. That holds for ASCII (case folds to ASCII nowhere else) without backslashes
//! (escapes). Rules that look at decoded text are looked for in the decoded line. On any other
//! line every rule is a candidate.
//!
//! `RegexSet` would seem made for this; with 200 patterns of a known tool it was 38 times slower
//! than trying each.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr, memmem::Finder};

use super::{condition::Condition, literal::Literals, url};
use crate::{
    decode::{self, Format},
    rule::Rule,
};

/// What the rules of a set look for in the raw line.
#[derive(Debug)]
pub(crate) struct Prefilter {
    literals: AhoCorasick,
    /// By pattern of the automaton: the rules that it makes candidates.
    needed_by: Vec<Vec<usize>>,
    /// By rule.
    gates: Vec<Gate>,
}

/// What must be seen before a rule is a candidate.
#[derive(Debug)]
enum Gate {
    /// One of its literals in the line as written or, if `url`, decoded.
    Literals { url: bool },
    /// In JSON, the name of a field with a number that fits.
    Number { key: Box<Finder<'static>>, condition: usize },
    /// Nothing.
    Open,
}

/// The rules that apply to one source.
#[derive(Debug)]
pub(super) struct Applying {
    /// In their order.
    all: Vec<usize>,
    /// By rule: whether it is among them.
    is: Vec<bool>,
    /// Those that no literal makes candidates.
    ungated: Vec<usize>,
    /// Those whose literals may stand in the decoded line.
    url: Vec<usize>,
}

impl Prefilter {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, aho_corasick::BuildError> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut needed_by: Vec<Vec<usize>> = Vec::new();
        let mut gates = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let (gate, literals) = Gate::of(&rule.matches);
            for literal in literals {
                let place = *places.entry(literal).or_insert(needed_by.len());
                match needed_by.get_mut(place) {
                    Some(rules) => rules.push(index),
                    None => needed_by.push(vec![index]),
                }
            }
            gates.push(gate);
        }
        let mut patterns: Vec<_> = places.into_iter().collect();
        patterns.sort_by_key(|(_, place)| *place);
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(patterns.iter().map(|(literal, _)| literal))?;
        Ok(Self { literals, needed_by, gates })
    }

    pub(super) fn applying(&self, rules: &[Rule], source: &str) -> Applying {
        let is: Vec<_> = rules.iter().map(|rule| rule.applies_to(source)).collect();
        let all: Vec<_> = (0..rules.len()).filter(|rule| is[*rule]).collect();
        let those = |wanted: fn(&Gate) -> bool| {
            all.iter().copied().filter(|rule| self.gates.get(*rule).is_some_and(wanted)).collect()
        };
        Applying {
            ungated: those(|gate| !matches!(gate, Gate::Literals { .. })),
            url: those(|gate| matches!(gate, Gate::Literals { url: true })),
            all,
            is,
        }
    }

    /// Whether a rule with these conditions can be left out on most lines.
    pub(crate) fn gates(conditions: &[Condition]) -> bool {
        !matches!(Gate::of(conditions).0, Gate::Open)
    }

    /// Of the rules that apply, those that may match, in their order.
    pub(super) fn candidates(
        &self,
        rules: &[Rule],
        applying: &Applying,
        format: Format,
        line: &[u8],
    ) -> Vec<usize> {
        let Some(line) = as_it_is(line) else { return applying.all.clone() };
        let mut candidates = Vec::new();
        self.find(line, applying, &mut candidates);
        if !applying.url.is_empty() && memchr(b'%', line.as_bytes()).is_some() {
            self.find_decoded(line, applying, &mut candidates);
        }
        let flat = is_flat_json(format, line);
        for rule in applying.ungated.iter().copied() {
            let conditions = rules.get(rule).map_or(&[][..], |rule| &rule.matches);
            let may_match = match self.gates.get(rule) {
                Some(Gate::Number { key, condition }) if flat => conditions
                    .get(*condition)
                    .is_none_or(|condition| may_hold(condition, key, line)),
                _ => true,
            };
            if may_match {
                candidates.push(rule);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    fn find(&self, line: &str, applying: &Applying, candidates: &mut Vec<usize>) {
        for found in self.literals.find_overlapping_iter(line) {
            let rules = self.needed_by.get(found.pattern().as_usize());
            let applies = |rule: &usize| applying.is.get(*rule) == Some(&true);
            candidates.extend(rules.into_iter().flatten().copied().filter(applies));
        }
    }

    /// The decoded line holds the decoded field: no field begins or ends inside of `%HH`, as none
    /// stands next to a hexadecimal digit that is not its own.
    fn find_decoded(&self, line: &str, applying: &Applying, candidates: &mut Vec<usize>) {
        for decoded in url::variants(line.into()).iter().skip(1) {
            if !decoded.is_ascii() {
                candidates.extend_from_slice(&applying.url);
                return;
            }
            self.find(decoded, applying, candidates);
        }
    }
}

impl Applying {
    /// Every rule that applies: what the candidates would be if there were no prefilter.
    #[cfg(test)]
    pub(super) fn all(&self) -> &[usize] {
        &self.all
    }
}

impl Gate {
    fn of(conditions: &[Condition]) -> (Self, Vec<String>) {
        let literals = conditions
            .iter()
            .filter_map(|condition| Some((condition.literals()?, condition.url)))
            .reduce(|best, other| if other.0.rank() > best.0.rank() { other } else { best });
        if let Some((Literals(literals), url)) = literals {
            return (Self::Literals { url }, literals);
        }
        match conditions.iter().enumerate().find(|(_, condition)| condition.is_numeric()) {
            Some((index, condition)) => {
                let key = format!("\"{}\"", condition.name);
                let key = Finder::new(key.as_bytes()).into_owned();
                (Self::Number { key: key.into(), condition: index }, Vec::new())
            }
            None => (Self::Open, Vec::new()),
        }
    }
}

/// A line in which everything stands as conditions see it.
fn as_it_is(line: &[u8]) -> Option<&str> {
    if !line.is_ascii() || memchr(b'\\', line).is_some() {
        return None;
    }
    std::str::from_utf8(line).ok()
}

/// A JSON object without objects in it: a field's whole name stands before its value.
fn is_flat_json(format: Format, line: &str) -> bool {
    let json =
        matches!(format, Format::Auto | Format::Json) && decode::looks_like_json(line.as_bytes());
    json && memchr::memchr_iter(b'{', line.as_bytes()).nth(1).is_none()
}

/// Whether some value of a field in a flat JSON line fits; without escapes, `"name"` is a string
/// of its own wherever it stands, and before a colon a key.
fn may_hold(condition: &Condition, key: &Finder<'_>, line: &str) -> bool {
    key.find_iter(line.as_bytes()).any(|at| {
        let after = line.get(at + key.needle().len()..).unwrap_or_default();
        let Some(value) = after.trim_ascii_start().strip_prefix(':') else { return false };
        let value = value.trim_ascii_start();
        if let Some(text) = value.strip_prefix('"') {
            return condition.fits(text.split('"').next().unwrap_or_default());
        }
        let end = |c: char| matches!(c, ',' | '}' | ']') || c.is_ascii_whitespace();
        value.starts_with('[') || condition.fits(value.split(end).next().unwrap_or_default())
    })
}
