//! Matches of one group in, trips out: exact sliding windows in event time.
//!
//! A ring of N times would do if lines came in order. They do not, so the window keeps, sorted,
//! every match that a late one could still make a trip with.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// How far behind its source a line may come and still be put in its place.
pub const ALLOWED_LATENESS: Span = Span::seconds(30);

/// A match that waits for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// When it happened.
    pub time: Timestamp,
    /// What is counted once, hashed; of no meaning where matches are counted.
    pub value: u64,
    /// The line it came from.
    pub line: Place,
}

/// A line as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The tailed file.
    pub file: u32,
    /// Where the line begins in it.
    pub offset: u64,
    /// The line's beginning; none where it is neither among the first nor the last of its window.
    pub text: Option<Box<str>>,
    /// `text` is not the whole line.
    pub truncated: bool,
}

/// Evidence lines kept from the start of a window.
pub const EVIDENCE_FIRST: usize = 3;
/// Evidence lines kept from its end.
pub const EVIDENCE_LAST: usize = 2;

/// The waiting matches of one group, by time.
///
/// At most `(gte − 1) · (⌊lateness / timespan⌋ + 2) + 1` of them, twice that where values are
/// counted: more in one timespan would have tripped.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    hits: Vec<Hit>,
}

/// What has to come together for a trip.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    /// Half open: two matches exactly this far apart are not in one window.
    pub timespan: Span,
    /// How many.
    pub gte: usize,
    /// Count distinct values instead of matches.
    pub distinct: bool,
}

impl Window {
    /// Puts a match in its place. Where it completes a window, the matches of the earliest such
    /// window leave and are the trip.
    pub fn insert(&mut self, hit: Hit, threshold: Threshold) -> Option<Vec<Hit>> {
        let newest = self.hits.last().map_or(hit.time, |last| last.time.max(hit.time));
        self.forget(newest.minus(ALLOWED_LATENESS).minus(threshold.timespan));
        let at = self.hits.partition_point(|known| known.time <= hit.time);
        let value = hit.value;
        self.hits.insert(at, hit);
        let found = if threshold.distinct {
            self.distinct(at, threshold)
        } else {
            self.counted(at, threshold)
        };
        if let Some((from, to)) = found {
            return Some(self.hits.drain(from..to).collect());
        }
        if threshold.distinct {
            self.thin(value, threshold.timespan);
        }
        self.drop_middle_texts();
        None
    }

    /// Matches that wait.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// No match waits.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Nothing here can still be part of a trip with a line that its source may yet bring.
    pub fn is_expired(&self, newest: Timestamp, timespan: Span) -> bool {
        let oldest_that_counts = newest.minus(ALLOWED_LATENESS).minus(timespan);
        self.hits.last().is_none_or(|last| last.time <= oldest_that_counts)
    }

    fn forget(&mut self, up_to: Timestamp) {
        let gone = self.hits.partition_point(|hit| hit.time <= up_to);
        self.hits.drain(..gone);
    }

    /// The first `gte` neighbours around `at` that lie within one timespan.
    fn counted(&self, at: usize, threshold: Threshold) -> Option<(usize, usize)> {
        let gte = threshold.gte;
        let first = (at + 1).saturating_sub(gte);
        self.hits
            .get(first..)?
            .windows(gte)
            .take(at + 1 - first)
            .position(|window| match window {
                [first, .., last] => last.time.since(first.time) < threshold.timespan,
                [_] => true,
                [] => false,
            })
            .map(|skipped| (first + skipped, first + skipped + gte))
    }

    /// The first span around `at` that holds `gte` distinct values, as short as it can be.
    fn distinct(&self, at: usize, threshold: Threshold) -> Option<(usize, usize)> {
        let time = self.hits.get(at)?.time;
        let first = self.hits.partition_point(|hit| time.since(hit.time) >= threshold.timespan);
        let mut seen: HashMap<u64, usize> = HashMap::new();
        let mut to = first;
        for from in first..=at {
            let start = self.hits.get(from)?.time;
            while let Some(hit) = self.hits.get(to)
                && hit.time.since(start) < threshold.timespan
                && (to <= at || seen.len() < threshold.gte)
            {
                *seen.entry(hit.value).or_default() += 1;
                to += 1;
            }
            if to > at && seen.len() >= threshold.gte {
                return Some((from, to));
            }
            if let Some(count) = seen.get_mut(&self.hits.get(from)?.value) {
                *count -= 1;
                if *count == 0 {
                    seen.remove(&self.hits.get(from)?.value);
                }
            }
        }
        None
    }

    /// Of three sightings of one value within a timespan the middle one goes: every window that
    /// holds it holds one of the others.
    fn thin(&mut self, value: u64, timespan: Span) {
        let mut sightings =
            self.hits.iter().enumerate().filter(|(_, hit)| hit.value == value).map(|(i, _)| i);
        let (mut before, mut middle) = (sightings.next(), sightings.next());
        let mut gone = Vec::new();
        for after in sightings {
            if let (Some(first), Some(second)) = (before, middle)
                && self.hits[after].time.since(self.hits[first].time) < timespan
            {
                gone.push(second);
            } else {
                before = middle;
            }
            middle = Some(after);
        }
        for index in gone.into_iter().rev() {
            self.hits.remove(index);
        }
    }

    /// Keeps the memory of evidence apart from how many matches wait.
    fn drop_middle_texts(&mut self) {
        let to = self.hits.len().saturating_sub(EVIDENCE_LAST);
        if let Some(middle) = self.hits.get_mut(EVIDENCE_FIRST..to) {
            for hit in middle {
                hit.line.text = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn hit(second: i64, value: u64) -> Hit {
        let line = Place { file: 0, offset: 0, text: Some("line".into()), truncated: false };
        Hit { time: Timestamp(second * 1_000_000), value, line }
    }

    fn threshold(gte: usize, seconds: i64, distinct: bool) -> Threshold {
        Threshold { timespan: Span::seconds(seconds), gte, distinct }
    }

    fn times(trip: Option<Vec<Hit>>) -> Option<Vec<i64>> {
        trip.map(|hits| hits.iter().map(|hit| hit.time.0 / 1_000_000).collect())
    }

    #[track_caller]
    fn check(gte: usize, seconds: i64, hits: &[i64], expected: &[&[i64]]) {
        let mut window = Window::default();
        let trips: Vec<_> = hits
            .iter()
            .filter_map(|&second| {
                times(window.insert(hit(second, 0), threshold(gte, seconds, false)))
            })
            .collect();
        assert_eq!(trips, expected);
    }

    #[track_caller]
    fn check_values(gte: usize, seconds: i64, hits: &[(i64, u64)], expected: &[&[i64]]) {
        let mut window = Window::default();
        let trips: Vec<_> = hits
            .iter()
            .filter_map(|&(second, value)| {
                times(window.insert(hit(second, value), threshold(gte, seconds, true)))
            })
            .collect();
        assert_eq!(trips, expected);
    }

    #[test]
    fn a_window_is_half_open() {
        check(3, 10, &[0, 5, 10], &[]);
        check(3, 10, &[0, 5, 9], &[&[0, 5, 9]]);
        check(1, 1, &[4, 4], &[&[4], &[4]]);
    }

    #[test]
    fn what_made_a_trip_is_not_counted_again() {
        check(3, 10, &[1, 2, 3, 4, 5, 6], &[&[1, 2, 3], &[4, 5, 6]]);
    }

    #[test]
    fn a_late_match_completes_a_window_that_newer_ones_have_left() {
        check(3, 10, &[15, 16, 28, 39, 41, 17], &[&[15, 16, 17]]);
    }

    #[test]
    fn distinct_values_trip_and_sightings_of_one_value_do_not() {
        check_values(3, 10, &[(0, 1), (1, 1), (2, 1), (3, 1)], &[]);
        check_values(3, 10, &[(0, 1), (1, 1), (2, 2), (3, 3)], &[&[0, 1, 2, 3]]);
        check_values(2, 10, &[(0, 1), (10, 2)], &[]);
        check_values(2, 10, &[(0, 1), (5, 1), (11, 1), (14, 2)], &[&[5, 11, 14]]);
    }

    #[test]
    fn evidence_is_kept_from_both_ends() {
        let mut window = Window::default();
        for second in 0..20 {
            assert_eq!(window.insert(hit(second, 0), threshold(100, 60, false)), None);
        }
        let texts: Vec<_> = window.hits.iter().map(|hit| hit.line.text.is_some()).collect();
        let kept: Vec<_> = (0..20).map(|i| !(3..18).contains(&i)).collect();
        assert_eq!(texts, kept);
    }

    /// All matches ever, but for the middle ones of three, looked at in full for every arrival.
    #[derive(Default)]
    struct Model {
        hits: Vec<(i64, u64)>,
    }

    impl Model {
        fn insert(&mut self, second: i64, value: u64, of: Threshold) -> Option<usize> {
            let at = self.hits.partition_point(|known| known.0 <= second);
            self.hits.insert(at, (second, value));
            let seconds = of.timespan.0 / 1_000_000;
            for from in 0..=at {
                let within =
                    self.hits[from..].iter().take_while(|hit| hit.0 - self.hits[from].0 < seconds);
                let to = from + within.count();
                for to in at + 1..=to {
                    let hits = &self.hits[from..to];
                    let count = if of.distinct {
                        hits.iter().map(|hit| hit.1).collect::<HashSet<_>>().len()
                    } else {
                        hits.len()
                    };
                    if count == of.gte {
                        self.hits.drain(from..to);
                        return Some(count);
                    }
                }
            }
            let middle = |hits: &[(i64, u64)]| {
                (0..hits.len()).find(|&b| {
                    let (_, value) = hits[b];
                    let before = hits[..b].iter().rev().find(|hit| hit.1 == value);
                    let after = hits[b + 1..].iter().find(|hit| hit.1 == value);
                    matches!((before, after), (Some(a), Some(c)) if c.0 - a.0 < seconds)
                })
            };
            while of.distinct
                && let Some(b) = middle(&self.hits)
            {
                self.hits.remove(b);
            }
            None
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn trips_are_those_of_a_model_that_forgets_nothing(
            gte in 1_usize..5,
            seconds in 1_i64..40,
            steps in proptest::collection::vec((0_i64..15, 0_i64..30, 0_u64..4), 1..60),
            distinct: bool,
        ) {
            let of = threshold(gte, seconds, distinct);
            let (mut window, mut model, mut newest) = (Window::default(), Model::default(), 0);
            for (forward, behind, value) in steps {
                newest += forward;
                let second = newest - behind;
                let trip = window.insert(hit(second, value), of);
                prop_assert_eq!(trip.is_some(), model.insert(second, value, of).is_some());
                let per_span = if distinct { 2 * (gte - 1) } else { gte - 1 };
                let spans = usize::try_from(30 / seconds).unwrap() + 2;
                prop_assert!(window.len() <= per_span * spans + 1);
            }
        }
    }
}
