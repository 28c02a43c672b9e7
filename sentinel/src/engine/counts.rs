//! What was evaluated and what came of it, counted since sentinel started. No part of the state: a
//! counter that begins at zero is what its readers expect of a process that begins.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    notice::{Notice, Reason},
    rule::RuleSet,
};

/// Sources that are counted apart. Of more at the same time the further ones are counted together,
/// under no name.
pub const SOURCES_MAX: usize = 1_000;

/// All counts, as they are shown.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// By the name of the source.
    pub sources: BTreeMap<Arc<str>, SourceCounts>,
    /// Of the rules in force, in their order.
    pub rules: Vec<RuleCounts>,
    /// By reason; every reason is there.
    pub gaps: BTreeMap<&'static str, GapCounts>,
    /// Lines too far behind their source to count in a window.
    pub late_lines: u64,
    /// Lines stamped too far ahead of the clock.
    pub clock_skew_lines: u64,
}

/// Of one source.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SourceCounts {
    /// Evaluated.
    pub lines: u64,
    /// Evaluated, line ends included.
    pub bytes: u64,
    /// Lines that are not what their format says, or broken JSON, as far as a rule looked at their
    /// fields.
    pub parse_errors: u64,
    /// Lines that are not UTF-8, as far as a rule looked at them.
    pub encoding_errors: u64,
    /// Lines of which the middle was not matched.
    pub long_lines: u64,
}

/// Of one rule.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RuleCounts {
    /// Its id.
    pub id: String,
    /// Lines that it matched.
    pub matches: u64,
    /// Groups that were given up though they could still have tripped.
    pub evictions: u64,
    /// Groups that it keeps now.
    pub groups: usize,
}

/// Of one reason.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct GapCounts {
    /// Gaps that were told.
    pub gaps: u64,
    /// Bytes in them, of those whose end is known.
    pub bytes: u64,
}

/// Counts the lines of a source. The one who evaluates is the only one that writes; what is shared is
/// the place, so that counting a line looks nothing up.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: AtomicU64,
    bytes: AtomicU64,
    parse_errors: AtomicU64,
    encoding_errors: AtomicU64,
    long_lines: AtomicU64,
}

impl Lines {
    pub(super) fn line(&self, is_long: bool) {
        add(&self.lines, 1);
        if is_long {
            add(&self.long_lines, 1);
        }
    }

    pub(super) fn parse_error(&self) {
        add(&self.parse_errors, 1);
    }

    pub(super) fn encoding_error(&self) {
        add(&self.encoding_errors, 1);
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts {
            lines: self.lines.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            parse_errors: self.parse_errors.load(Relaxed),
            encoding_errors: self.encoding_errors.load(Relaxed),
            long_lines: self.long_lines.load(Relaxed),
        }
    }
}

/// Not `fetch_add`: there is one writer, and a locked instruction for each line would be dear.
fn add(to: &AtomicU64, more: u64) {
    to.store(to.load(Relaxed) + more, Relaxed);
}

/// What the engine counts.
#[derive(Debug, Default)]
pub(super) struct Counting {
    sources: BTreeMap<Arc<str>, Arc<Lines>>,
    /// By rule; `groups` is filled in when they are shown.
    rules: Vec<RuleCounts>,
    gaps: BTreeMap<&'static str, GapCounts>,
    pub(super) late_lines: u64,
    pub(super) clock_skew_lines: u64,
}

impl Counting {
    /// The counts of a source. Those of sources without a file are given up for others.
    pub(super) fn source(&mut self, name: &str) -> (Arc<str>, Arc<Lines>) {
        if let Some((name, lines)) = self.sources.get_key_value(name) {
            return (Arc::clone(name), Arc::clone(lines));
        }
        let own: Arc<str> = name.into();
        if self.sources.len() >= SOURCES_MAX {
            let has_file = |lines: &Arc<Lines>| Arc::strong_count(lines) > 1;
            self.sources.retain(|name, lines| name.is_empty() || has_file(lines));
        }
        let counted = if self.sources.len() < SOURCES_MAX { Arc::clone(&own) } else { "".into() };
        (own, Arc::clone(self.sources.entry(counted).or_default()))
    }

    /// Bytes of a source were evaluated.
    pub(super) fn bytes(&self, source: &str, bytes: u64) {
        if let Some(lines) = self.sources.get(source).or_else(|| self.sources.get("")) {
            add(&lines.bytes, bytes);
        }
    }

    /// Other rules are in force: those that stay go on.
    pub(super) fn adopt(&mut self, rules: &RuleSet) {
        let known = std::mem::take(&mut self.rules).into_iter();
        let mut known: BTreeMap<String, RuleCounts> =
            known.map(|rule| (rule.id.clone(), rule)).collect();
        let counts = rules.rules.iter().map(|rule| {
            let fresh = || RuleCounts { id: rule.id.clone(), ..RuleCounts::default() };
            known.remove(&rule.id).unwrap_or_else(fresh)
        });
        self.rules = counts.collect();
    }

    pub(super) fn matched(&mut self, rule: usize) {
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.matches += 1;
        }
    }

    pub(super) fn evicted(&mut self, rule: usize) {
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.evictions += 1;
        }
    }

    pub(super) fn told(&mut self, notice: &Notice) {
        if let Notice::Gap { from, to, reason, .. } = notice {
            let gap = self.gaps.entry(reason.name()).or_default();
            gap.gaps += 1;
            gap.bytes += to.map_or(0, |to| to.saturating_sub(*from));
        }
    }

    /// Nothing was counted yet; who counts stays.
    pub(super) fn restart(&mut self) {
        for lines in self.sources.values() {
            for counter in [
                &lines.lines,
                &lines.bytes,
                &lines.parse_errors,
                &lines.encoding_errors,
                &lines.long_lines,
            ] {
                counter.store(0, Relaxed);
            }
        }
        for rule in &mut self.rules {
            (rule.matches, rule.evictions) = (0, 0);
        }
        self.gaps.clear();
        (self.late_lines, self.clock_skew_lines) = (0, 0);
    }

    /// All counts; `groups` are those of the rules in their order.
    pub(super) fn counts(&self, groups: impl Iterator<Item = usize>) -> Counts {
        let sources = self.sources.iter();
        let none = Reason::ALL.iter().map(|reason| (reason.name(), GapCounts::default()));
        let mut gaps: BTreeMap<_, _> = none.collect();
        gaps.extend(&self.gaps);
        let rules = self.rules.iter().zip(groups);
        Counts {
            sources: sources.map(|(name, lines)| (Arc::clone(name), lines.counts())).collect(),
            rules: rules.map(|(rule, groups)| RuleCounts { groups, ..rule.clone() }).collect(),
            gaps,
            late_lines: self.late_lines,
            clock_skew_lines: self.clock_skew_lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_beyond_the_limit_are_counted_together_until_others_have_no_file() {
        let mut counting = Counting::default();
        let mut held: Vec<_> =
            (0..SOURCES_MAX).map(|n| counting.source(&n.to_string()).1).collect();
        for name in ["one more", "two more"] {
            let (own, lines) = counting.source(name);
            lines.line(false);
            counting.bytes(name, 10);
            assert_eq!(&*own, name, "it is only counted under no name");
        }
        let counts = counting.counts(std::iter::empty());
        let together = SourceCounts { lines: 2, bytes: 20, ..SourceCounts::default() };
        assert_eq!((counts.sources.len(), counts.sources[""]), (SOURCES_MAX + 1, together));
        held.clear();
        held.push(counting.source("one more").1);
        assert!(counting.counts(std::iter::empty()).sources.len() <= 2);
    }

    #[test]
    fn gaps_are_counted_by_reason() {
        let mut counting = Counting::default();
        let gap = |to, reason| Notice::Gap {
            source: "a".into(),
            file: "a.log".into(),
            from: 10,
            to,
            reason,
        };
        counting.told(&gap(Some(30), Reason::Truncated));
        counting.told(&gap(None, Reason::Truncated));
        counting.told(&gap(Some(12), Reason::Replay));
        let gaps = counting.counts(std::iter::empty()).gaps;
        assert_eq!(gaps["truncated"], GapCounts { gaps: 2, bytes: 20 });
        assert_eq!(gaps["replay"], GapCounts { gaps: 1, bytes: 2 });
        assert_eq!(gaps.len(), Reason::ALL.len());
    }
}
