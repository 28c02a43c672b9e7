//! Lines of several sources in, runs of them in the order of their times out.
//!
//! Live it orders what one turn found; while catching up and in replay it orders the whole past. A
//! source that has more to read than what is here holds the others back at its end: what comes
//! next in it may be older than what they have.

use std::ops::Range;

use memchr::memchr;

use crate::time::Timestamp;

/// What one source has ready.
#[derive(Debug, Clone, Copy)]
pub struct Ready<'b> {
    /// Finished lines, with their line ends.
    pub bytes: &'b [u8],
    /// More can be read once these are taken.
    pub more: bool,
}

/// Gives `run` the index of a source and a range of its bytes, whole lines, until one source that
/// has more is used up or all are. Equal times go by index; a line without a time stays with the
/// line before it.
pub fn merge(
    sources: &[Ready<'_>],
    time: impl Fn(usize, &[u8]) -> Option<Timestamp>,
    mut run: impl FnMut(usize, Range<usize>),
) {
    let mut filled = sources.iter().enumerate().filter(|(_, source)| !source.bytes.is_empty());
    let (first, second) = (filled.next(), filled.next());
    if let (Some((index, source)), None) = (first, second) {
        return run(index, 0..source.bytes.len());
    }
    let mut heads: Vec<Head<'_>> = sources
        .iter()
        .enumerate()
        .filter(|(_, source)| !source.bytes.is_empty())
        .map(|(index, source)| Head::new(index, source.bytes, source.more))
        .collect();
    for head in &mut heads {
        head.look(&time);
    }
    while let Some(least) = (0..heads.len()).min_by_key(|&i| (heads[i].time, heads[i].index)) {
        let others = (0..heads.len()).filter(|&i| i != least);
        let limit = others.map(|i| (heads[i].time, heads[i].index)).min();
        let head = &mut heads[least];
        let start = head.at;
        while head.at < head.bytes.len()
            && limit.is_none_or(|limit| (head.time, head.index) <= limit)
        {
            head.at = head.line_end();
            head.look(&time);
        }
        run(head.index, start..head.at);
        if head.at == head.bytes.len() {
            if head.more {
                return;
            }
            heads.swap_remove(least);
        }
    }
}

struct Head<'b> {
    index: usize,
    bytes: &'b [u8],
    more: bool,
    at: usize,
    time: Timestamp,
}

impl<'b> Head<'b> {
    fn new(index: usize, bytes: &'b [u8], more: bool) -> Self {
        Self { index, bytes, more, at: 0, time: Timestamp::MIN }
    }

    fn line_end(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        memchr(b'\n', rest).map_or(self.bytes.len(), |end| self.at + end + 1)
    }

    /// Learns the time of the next line.
    fn look(&mut self, time: &impl Fn(usize, &[u8]) -> Option<Timestamp>) {
        let next = self.bytes.get(self.at..self.line_end()).unwrap_or_default();
        if !next.is_empty() {
            self.time = time(self.index, next).unwrap_or(self.time);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(sources: &[(&str, bool)]) -> String {
        let ready: Vec<_> = sources
            .iter()
            .map(|(lines, more)| Ready { bytes: lines.as_bytes(), more: *more })
            .collect();
        let mut out = String::new();
        let time = |_: usize, line: &[u8]| {
            std::str::from_utf8(line).ok()?.get(1..)?.trim().parse().ok().map(Timestamp)
        };
        merge(&ready, time, |index, range| {
            out.push_str(&String::from_utf8_lossy(&ready[index].bytes[range]).replace('\n', " "));
        });
        out
    }

    #[track_caller]
    fn check(sources: &[(&str, bool)], expected: &str) {
        assert_eq!(merged(sources).trim(), expected);
    }

    #[test]
    fn lines_come_in_the_order_of_their_times() {
        check(&[], "");
        check(&[("a1\na9\n", true)], "a1 a9");
        check(&[("a1\na5\n", false), ("b2\nb7\n", false)], "a1 b2 a5 b7");
        check(&[("a1\n", false), ("b1\n", false)], "a1 b1");
    }

    #[test]
    fn a_source_that_has_more_holds_the_others_back_at_its_end() {
        check(&[("a1\na5\n", true), ("b2\nb7\n", false)], "a1 b2 a5");
        check(&[("a1\na5\n", false), ("b2\nb3\n", true), ("", true)], "a1 b2 b3");
    }

    #[test]
    fn a_line_without_a_time_stays_with_the_line_before_it() {
        check(&[("a4\na?\na5\n", false), ("b?\nb4\nb5\n", false)], "b? a4 a? b4 a5 b5");
    }

    proptest! {
        #[test]
        fn each_source_keeps_its_order_and_sorted_sources_come_sorted(
            mut a in proptest::collection::vec(0_u8..50, 0..20),
            mut b in proptest::collection::vec(0_u8..50, 0..20),
        ) {
            a.sort_unstable();
            b.sort_unstable();
            let lines = |name: &str, times: &[u8]| -> String {
                times.iter().map(|time| format!("{name}{time}\n")).collect()
            };
            let out = merged(&[(&lines("a", &a), false), (&lines("b", &b), false)]);
            let times: Vec<u8> = out.split_whitespace().map(|line| line.trim_start_matches(['a', 'b']).parse().unwrap()).collect();
            let mut all = [a, b].concat();
            all.sort_unstable();
            prop_assert_eq!(times, all);
        }
    }
}
