//! The sizes that a file was seen to have, and when → how long its oldest unevaluated byte has waited.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Sizes of one file that are remembered; of more every second one is forgotten, and a wait may be
/// told as a little longer than it was.
const SIZES_MAX: usize = 64;

/// What waits of one file.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Sizes that grow, each with the time from which on bytes below it were seen.
    sizes: VecDeque<(u64, Instant)>,
}

impl Waiting {
    /// How long the byte at `offset` has been seen to wait in a file of that size: not at all where
    /// there is none.
    pub(super) fn waited(&mut self, size: u64, offset: u64, now: Instant) -> Duration {
        let mut since = now;
        // The record may have gone on in a copy that holds less.
        while let Some((_, seen)) = self.sizes.pop_back_if(|(known, _)| *known > size) {
            since = seen;
        }
        if self.sizes.back().is_none_or(|(known, _)| *known < size) {
            self.sizes.push_back((size, since));
        }
        while self.sizes.pop_front_if(|(known, _)| *known <= offset).is_some() {}
        if self.sizes.len() > SIZES_MAX {
            self.thin();
        }
        self.sizes.front().map_or(Duration::ZERO, |(_, seen)| now.duration_since(*seen))
    }

    /// Makes one of each two neighbours: the size of the later, seen since the earlier.
    fn thin(&mut self) {
        let sizes: Vec<_> = self.sizes.drain(..).collect();
        let pairs = sizes.chunks(2).filter_map(|pair| Some((pair.last()?.0, pair.first()?.1)));
        self.sizes.extend(pairs);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// (seconds, size, evaluated up to, seconds waited)
    #[track_caller]
    fn check(looks: &[(u64, u64, u64, u64)]) {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        for (second, size, offset, expected) in looks {
            let now = start + Duration::from_secs(*second);
            let waited = waiting.waited(*size, *offset, now);
            assert_eq!(waited.as_secs(), *expected, "at {second} of {looks:?}");
        }
    }

    #[test]
    fn what_is_evaluated_does_not_wait() {
        check(&[(0, 0, 0, 0), (9, 0, 0, 0), (10, 100, 100, 0), (20, 100, 100, 0)]);
    }

    #[test]
    fn the_oldest_byte_waits_since_it_was_first_seen() {
        check(&[(0, 100, 0, 0), (5, 200, 0, 5), (8, 300, 100, 3), (9, 300, 250, 1)]);
        check(&[(0, 100, 100, 0), (50, 110, 100, 0), (60, 110, 100, 10), (61, 120, 120, 0)]);
    }

    #[test]
    fn a_copy_that_holds_less_has_waited_as_long() {
        check(&[(0, 100, 50, 0), (5, 300, 50, 5), (8, 80, 50, 8), (9, 80, 80, 0)]);
    }

    proptest! {
        /// Against a model that remembers every look: never told shorter than it is, never longer
        /// than the file has waited at all, and exact while few sizes wait.
        #[test]
        fn a_wait_is_never_told_too_short(
            looks in proptest::collection::vec((1_u64..5, 0_u64..3, 0_u64..3), 1..300),
        ) {
            let (mut waiting, start) = (Waiting::default(), Instant::now());
            let (mut second, mut size, mut offset) = (0, 0, 0);
            let mut seen: Vec<(u64, u64)> = Vec::new();
            let mut idle_since = 0;
            for (later, grown, taken) in looks {
                second += later;
                size += grown;
                offset = size.min(offset + taken);
                seen.push((size, second));
                let exact = seen.iter().find(|(known, _)| *known > offset);
                let exact = exact.map_or(0, |(_, at)| second - at);
                let now = start + Duration::from_secs(second);
                let waited = waiting.waited(size, offset, now).as_secs();
                let distinct = size - offset;
                if size == offset {
                    idle_since = second;
                }
                prop_assert!(exact <= waited && waited <= second - idle_since);
                if distinct < SIZES_MAX as u64 / 2 {
                    prop_assert_eq!(waited == 0, exact == 0);
                }
                prop_assert!(waiting.sizes.len() <= SIZES_MAX);
            }
        }
    }
}
