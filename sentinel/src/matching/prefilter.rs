//! A raw line → the rules that may match it: mostly none, and then the line is never parsed.
//!
//! One automaton looks for literals of all rules at once, because parsing is what costs. It may
//! only leave a rule out where that is proven: every text that a condition sees must stand in the
//! raw line as it is. That holds without backslashes (escapes) and without the three characters
//! that become ASCII when case is ignored. Rules that look at decoded text are looked for in the
//! decoded line. On any other line every rule is a candidate. What is left is looked at once more
//! where the line is JSON without objects in it: `"name":value` stands there as it is.
//!
//! `RegexSet` would seem made for this; with 200 patterns of a known tool it was 38 times slower
//! than trying each.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::{memchr, memmem::Finder, memrchr};

use super::{
    condition::Condition,
    literal::{LITERAL_BYTES_MAX, folds_to_itself},
    matcher::Matcher,
    members::Members,
    url,
};
use crate::decode::Format;

/// Bytes of literals up to which the automaton is a table: twice as fast, and 200 times their size.
const DFA_BYTES_MAX: usize = 64 * 1024;

/// What the rules of a set look for in the raw line.
#[derive(Debug)]
pub(crate) struct Prefilter {
    literals: AhoCorasick,
    /// By pattern of the automaton: the rules that it makes candidates.
    needed_by: Vec<Vec<usize>>,
    /// By rule.
    gates: Vec<Gate>,
    /// Names of fields, in quotes.
    names: Vec<Finder<'static>>,
}

/// What must be seen before a rule is a candidate.
#[derive(Debug)]
struct Gate {
    literals: Literal,
    /// By plain condition, in JSON: the name of its field must stand there with a value that fits.
    fields: Vec<(usize, usize)>,
}

/// Where one of a rule's literals must stand.
#[derive(Debug, PartialEq, Eq)]
enum Literal {
    /// In the line as written.
    Written,
    /// In the line as written, or decoded.
    Url,
    /// It has none.
    None,
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
    pub(super) fn new(matchers: &[Matcher]) -> Result<Self, aho_corasick::BuildError> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut needed_by: Vec<Vec<usize>> = Vec::new();
        let mut gates = Vec::with_capacity(matchers.len());
        let mut names = Vec::new();
        for (index, matcher) in matchers.iter().enumerate() {
            let (gate, literals) = Gate::of(&matcher.matches, &mut names);
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
        let bytes: usize = patterns.iter().map(|(literal, _)| literal.len()).sum();
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind((bytes <= DFA_BYTES_MAX).then_some(AhoCorasickKind::DFA))
            .build(patterns.iter().map(|(literal, _)| literal))?;
        let names = names.iter().map(|name| format!("\"{name}\""));
        let names = names.map(|name| Finder::new(name.as_bytes()).into_owned()).collect();
        Ok(Self { literals, needed_by, gates, names })
    }

    /// `is`: by rule, whether it applies.
    pub(super) fn applying(&self, is: Vec<bool>) -> Applying {
        let applies = is.iter().enumerate().filter(|(_, is)| **is);
        let all: Vec<_> = applies.map(|(rule, _)| rule).collect();
        let those = |wanted: fn(&Gate) -> bool| {
            all.iter().copied().filter(|rule| self.gates.get(*rule).is_some_and(wanted)).collect()
        };
        Applying {
            ungated: those(|gate| gate.literals == Literal::None),
            url: those(|gate| gate.literals == Literal::Url),
            all,
            is,
        }
    }

    /// Whether a rule with these conditions can be left out on most lines.
    pub(crate) fn gates(conditions: &[Condition]) -> bool {
        let (gate, _) = Gate::of(conditions, &mut Vec::new());
        gate.literals != Literal::None || !gate.fields.is_empty()
    }

    /// Of the rules that apply, those that may match, in their order.
    pub(super) fn candidates(
        &self,
        matchers: &[Matcher],
        applying: &Applying,
        format: Format,
        line: &[u8],
    ) -> Vec<usize> {
        if memchr(b'\\', line).is_some() || !folds_to_itself(line) {
            return applying.all.clone();
        }
        let mut candidates = applying.ungated.clone();
        self.find(line, applying, &mut candidates);
        if !applying.url.is_empty() {
            self.find_decoded(line, applying, &mut candidates);
        }
        if candidates.is_empty() {
            return candidates;
        }
        candidates.sort_unstable();
        candidates.dedup();
        if let Some(mut members) = Members::of(format, line, self.names.len()) {
            candidates.retain(|rule| {
                let Some((gate, matcher)) = self.gates.get(*rule).zip(matchers.get(*rule)) else {
                    return true;
                };
                gate.fields.iter().all(|(condition, name)| {
                    let looked = matcher.matches.get(*condition).zip(self.names.get(*name));
                    looked.is_none_or(|(condition, finder)| {
                        members.values(*name, finder).any(|value| condition.fits(value))
                    })
                })
            });
        }
        candidates
    }

    fn find(&self, line: &[u8], applying: &Applying, candidates: &mut Vec<usize>) {
        if self.needed_by.is_empty() {
            return;
        }
        for found in self.literals.find_overlapping_iter(line) {
            let rules = self.needed_by.get(found.pattern().as_usize());
            let applies = |rule: &usize| applying.is.get(*rule) == Some(&true);
            candidates.extend(rules.into_iter().flatten().copied().filter(applies));
        }
    }

    /// The decoded line holds the decoded field: no field begins or ends inside of `%HH`, as none
    /// stands next to a hexadecimal digit that is not its own. What decoding does not touch was
    /// searched before, so only the neighbourhood of what it does is decoded.
    fn find_decoded(&self, line: &[u8], applying: &Applying, candidates: &mut Vec<usize>) {
        let (Some(first), Some(last)) = (memchr(b'%', line), memrchr(b'%', line)) else { return };
        let end = line.len().min(last + 3 + LITERAL_BYTES_MAX);
        let touched = line.get(first.saturating_sub(LITERAL_BYTES_MAX)..end).unwrap_or(line);
        for decoded in url::variants(String::from_utf8_lossy(touched)).iter().skip(1) {
            if !folds_to_itself(decoded.as_bytes()) {
                candidates.extend_from_slice(&applying.url);
                return;
            }
            self.find(decoded.as_bytes(), applying, candidates);
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
    fn of(conditions: &[Condition], names: &mut Vec<String>) -> (Self, Vec<String>) {
        let literals = conditions
            .iter()
            .filter_map(|condition| Some((condition.literals()?, condition.url)))
            .reduce(|best, other| if other.0.rank() > best.0.rank() { other } else { best });
        let plain = conditions.iter().enumerate().filter(|(_, condition)| condition.is_plain());
        let fields = plain.map(|(index, condition)| {
            let known = names.iter().position(|name| *name == condition.name);
            let place = known.unwrap_or_else(|| {
                names.push(condition.name.clone());
                names.len() - 1
            });
            (index, place)
        });
        let fields = fields.collect();
        match literals {
            Some((literals, true)) => (Self { literals: Literal::Url, fields }, literals.0),
            Some((literals, false)) => (Self { literals: Literal::Written, fields }, literals.0),
            None => (Self { literals: Literal::None, fields }, Vec::new()),
        }
    }
}
