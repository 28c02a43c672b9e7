//! The detector: lines and the time they are read in, alerts out. It reads no clock and no file, so
//! the same lines in the same order give the same alerts live, after a restart and in replay.

mod state;
pub mod counts;
mod found;
mod judge;
mod raise;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shared::{Alert, alert::Observer};

use crate::{
    group::Groups,
    line::Line,
    matching::View,
    notice::Notice,
    rule::RuleSet,
    time::{Span, Timestamp},
    window::ALLOWED_LATENESS,
};
use counts::{Counting, Counts, Lines};
use found::{Found, When};
pub use state::State;
use state::{Mark, Remembered};

/// A line stamped further ahead of the clock than this counts as read now.
pub const CLOCK_SKEW_MAX: Span = Span::seconds(5);

/// Files whose names are remembered for evidence.
const ORIGINS_MAX: usize = 4_096;

/// What the clock says where a line does not.
#[derive(Debug, Clone, Copy)]
pub enum Now {
    /// The `now` of the turn.
    Live(Timestamp),
    /// There is none: the past is read, and a line without a time has that of the line before.
    Replay,
}

/// A file as the engine knows it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its number in turns and evidence.
    pub file: u32,
    /// The source it belongs to.
    pub source: Arc<str>,
    /// What applies to its lines.
    pub view: View,
    lines: Arc<Lines>,
}

/// The detector.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    observer: Observer,
    state: State,
    /// Rules that began empty because they mean something else than before.
    changed: BTreeSet<usize>,
    counting: Counting,
}

impl Engine {
    /// Goes on from `state` with `rules`: each rule that means what it meant has its groups back,
    /// each other begins empty.
    pub fn new(rules: Arc<RuleSet>, state: State, observer: Observer) -> Self {
        let mut engine = Self {
            rules,
            observer,
            state,
            changed: BTreeSet::new(),
            counting: Counting::default(),
        };
        engine.adopt();
        engine
    }

    /// Goes on with other rules.
    pub fn replace(&mut self, rules: Arc<RuleSet>) {
        self.rules = rules;
        self.adopt();
    }

    fn adopt(&mut self) {
        let mut known: BTreeMap<(String, u128), Remembered> = std::mem::take(&mut self.state.rules)
            .into_iter()
            .map(|rule| ((rule.id.clone(), rule.digest), rule))
            .collect();
        self.changed.clear();
        self.counting.adopt(&self.rules);
        for (index, rule) in self.rules.rules.iter().enumerate() {
            let same = known.remove(&(rule.id.clone(), rule.digest));
            if same.is_none() {
                self.changed.insert(index);
            }
            self.state.rules.push(same.unwrap_or_else(|| Remembered {
                id: rule.id.clone(),
                digest: rule.digest,
                groups: Groups::default(),
            }));
        }
    }

    /// Ends the repetition of journalled turns: `seq` is that of the last alert they raised, and
    /// rules that did not raise them have seen nothing. What was repeated is not counted again.
    pub fn repeated(&mut self, seq: u64) {
        self.state.seq = seq;
        self.counting.restart();
        for index in &self.changed {
            if let Some(rule) = self.state.rules.get_mut(*index) {
                rule.groups = Groups::default();
            }
        }
    }

    /// The rules in force.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// What has to be kept for [`Self::new`] to go on.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What was counted since sentinel started.
    pub fn counts(&self) -> Counts {
        self.counting.counts(self.state.rules.iter().map(|rule| rule.groups.len()))
    }

    /// So many bytes of a file are the lines that were evaluated.
    pub fn took(&self, file: u32, bytes: u64) {
        if let Some((source, _)) = self.state.origins.get(&file) {
            self.counting.bytes(source, bytes);
        }
    }

    /// Learns of a file; to be called before its first line.
    pub fn origin(&mut self, file: u32, source: &str, name: &str) -> Origin {
        self.state.origins.insert(file, (source.to_owned(), name.to_owned()));
        while self.state.origins.len() > ORIGINS_MAX {
            self.state.origins.pop_first();
        }
        let (source, lines) = self.counting.source(source);
        let view = self.rules.view(&source);
        Origin { file, source, view, lines }
    }

    /// The source and the name of a file.
    pub fn name_of(&self, file: u32) -> (String, String) {
        self.state.origins.get(&file).cloned().unwrap_or_default()
    }

    /// Evaluates a line.
    pub fn line(&mut self, from: &Origin, line: &Line<'_>, now: Now, emit: &mut dyn FnMut(Alert)) {
        let time = self.time(from, &line.bytes, now);
        from.lines.line(line.unmatched.is_some());
        if let Some((start, end)) = line.unmatched {
            let file = self.state.origins.get(&from.file).map_or("", |(_, name)| name).to_owned();
            let source = from.source.to_string();
            let notice = Notice::LongLine { source, file, from: start, to: end };
            self.tell(&notice, time.at, now, emit);
        }
        let mut pressed = BTreeSet::new();
        let rules = Arc::clone(&self.rules);
        let flaws = rules.scan(&from.view, &line.bytes, &mut |index, fields| {
            let Some(rule) = rules.rules.get(index) else { return };
            self.counting.matched(index);
            let found = Found { rule, rules: &rules, fields, time, line, file: from.file };
            let (trip, live_lost) = self.judge(index, &found);
            if let Some(trip) = trip {
                emit(self.raise(&found, trip, now));
            }
            if live_lost {
                self.counting.evicted(index);
                pressed.insert(index);
            }
        });
        if flaws.parse_error {
            from.lines.parse_error();
        }
        if flaws.encoding_error {
            from.lines.encoding_error();
        }
        for index in pressed {
            let rule = rules.rules.get(index).map_or("", |rule| &rule.id).to_owned();
            self.tell(&Notice::Pressure { rule }, time.at, now, emit);
        }
    }

    /// When a line happened, and whether that is too long ago to be put in its place.
    fn time(&mut self, from: &Origin, bytes: &[u8], now: Now) -> When {
        let stamped = self.rules.time(&from.view, bytes);
        let mark = match self.state.marks.get_mut(&*from.source) {
            Some(mark) => mark,
            None => self
                .state
                .marks
                .entry(from.source.to_string())
                .or_insert(Mark { newest: Timestamp::MIN, last: Timestamp(0) }),
        };
        let at = match (stamped, now) {
            (Some(stamped), Now::Live(now)) if stamped.since(now) > CLOCK_SKEW_MAX => {
                // It must not move the mark: the true lines after it would all be late.
                self.counting.clock_skew_lines += 1;
                now
            }
            (Some(stamped), _) => {
                mark.newest = mark.newest.max(stamped);
                stamped
            }
            (None, Now::Live(now)) => now,
            (None, Now::Replay) => mark.last,
        };
        mark.last = at;
        When { at, late: at < mark.newest.minus(ALLOWED_LATENESS) }
    }
}
