//! The groups of one rule, bounded: what waits for a trip, and what cools down after one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    time::{Span, Timestamp},
    window::Window,
};

/// Groups that one rule keeps at the same time.
///
/// Detection is exact while the live ones fit. Past that the one least missed makes room, and
/// sentinel says so: see [`Groups::at`].
pub const GROUPS_MAX: usize = 100_000;

/// While a rule has no more groups than this their lines are kept as evidence, at most 5 KiB for
/// each; under a flood of groups only places are.
pub const EVIDENCE_GROUPS_MAX: usize = 2_000;

/// From so many on, groups whose time is over are given up now and then.
const SWEEP_MIN: usize = 1_024;

/// Groups looked at to find the one that makes room.
const SAMPLE: usize = 16;

/// One group of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    key: u128,
    /// Its matches that wait for a trip.
    pub window: Window,
    /// The event time of its last alert.
    pub alerted: Option<Timestamp>,
    /// Its matches since then that no alert has told of.
    pub folded: u64,
    touched: Timestamp,
}

/// How long a rule remembers.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Of its correlation; zero without one.
    pub timespan: Span,
    /// After an alert.
    pub cooldown: Span,
}

impl Group {
    /// Whether a match at `time` falls into the cooldown of the last alert.
    pub fn is_cooling(&self, time: Timestamp, cooldown: Span) -> bool {
        cooldown > Span(0) && self.alerted.is_some_and(|alerted| time.since(alerted) < cooldown)
    }

    fn is_expired(&self, now: Timestamp, memory: Memory) -> bool {
        !self.is_cooling(now, memory.cooldown) && self.window.is_expired(now, memory.timespan)
    }

    /// How much would be lost with it: the first to go has the least.
    fn worth(&self, now: Timestamp, memory: Memory) -> (bool, bool, usize, Timestamp) {
        let cooling = self.is_cooling(now, memory.cooldown);
        (!self.is_expired(now, memory), cooling, self.window.len(), self.touched)
    }
}

/// The groups of one rule.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Groups {
    slots: Vec<Group>,
    /// Chooses whom to look at for room. A part of the state, so that a restart chooses alike.
    random: u64,
    /// How many there may be until those whose time is over are given up: twice what the last sweep
    /// left, so that a sweep costs little for each group.
    sweep_at: usize,
    #[serde(skip)]
    index: HashMap<u128, usize>,
}

impl Groups {
    /// The group of that key, made if it is new. The second value is true where a group that could
    /// still have tripped was given up for it.
    pub fn at(&mut self, key: u128, now: Timestamp, memory: Memory) -> (&mut Group, bool) {
        self.at_most(GROUPS_MAX, key, now, memory)
    }

    fn at_most(
        &mut self,
        most: usize,
        key: u128,
        now: Timestamp,
        memory: Memory,
    ) -> (&mut Group, bool) {
        if self.index.len() != self.slots.len() {
            self.number();
        }
        let mut live_lost = false;
        let slot = match self.index.get(&key) {
            Some(slot) => *slot,
            None => {
                if self.slots.len() >= self.sweep_at.max(SWEEP_MIN).min(most) {
                    self.sweep(now, memory);
                }
                if self.slots.len() >= most {
                    live_lost = self.make_room(now, memory);
                }
                let window = Window::default();
                let fresh = Group { key, window, alerted: None, folded: 0, touched: now };
                self.slots.push(fresh);
                self.index.insert(key, self.slots.len() - 1);
                self.slots.len() - 1
            }
        };
        let group = &mut self.slots[slot];
        group.touched = group.touched.max(now);
        (group, live_lost)
    }

    /// Groups kept now.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// No group is kept.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn sweep(&mut self, now: Timestamp, memory: Memory) {
        self.slots.retain(|group| !group.is_expired(now, memory));
        self.sweep_at = 2 * self.slots.len();
        self.number();
    }

    fn number(&mut self) {
        self.index = self.slots.iter().enumerate().map(|(i, group)| (group.key, i)).collect();
    }

    /// Gives up the least missed of a sample: an expired group, else the one with the least
    /// progress, else the one longest untouched. Never simply the stalest of all, which under a
    /// flood of keys is the slow attacker. True if it was still alive.
    fn make_room(&mut self, now: Timestamp, memory: Memory) -> bool {
        let sample: Vec<usize> = (0..SAMPLE).map(|_| self.any_slot()).collect();
        let Some(least) =
            sample.into_iter().min_by_key(|&slot| self.slots[slot].worth(now, memory))
        else {
            return false;
        };
        let gone = self.slots.swap_remove(least);
        self.index.remove(&gone.key);
        if let Some(moved) = self.slots.get(least) {
            self.index.insert(moved.key, least);
        }
        !gone.is_expired(now, memory)
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    fn any_slot(&mut self) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % self.slots.len().max(1) as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Hit, Place, Threshold};

    const MEMORY: Memory = Memory { timespan: Span::seconds(60), cooldown: Span::seconds(60) };

    fn second(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000)
    }

    fn hit(groups: &mut Groups, most: usize, key: u128, at: i64) -> bool {
        let (group, live_lost) = groups.at_most(most, key, second(at), MEMORY);
        let line = Place { file: 0, offset: 0, text: None, truncated: true };
        let threshold = Threshold { timespan: MEMORY.timespan, gte: 1_000, distinct: false };
        group.window.insert(Hit { time: second(at), value: 0, line }, threshold);
        live_lost
    }

    #[test]
    fn a_flood_of_keys_does_not_push_out_the_slow_one() {
        let mut groups = Groups::default();
        for at in 0..3 {
            hit(&mut groups, 100, 7, at);
        }
        let mut lost = 0;
        for key in 1_000..6_000 {
            lost += usize::from(hit(&mut groups, 100, key, 4));
        }
        assert_eq!(groups.len(), 100);
        assert_eq!(lost, 5_000 - 99);
        assert_eq!(groups.at_most(100, 7, second(5), MEMORY).0.window.len(), 3);
    }

    #[test]
    fn a_cooling_group_stays_and_an_expired_one_goes_first() {
        let mut groups = Groups::default();
        groups.at_most(8, 1, second(0), MEMORY).0.alerted = Some(second(200));
        for key in 2..=8 {
            hit(&mut groups, 8, key, 0);
        }
        assert!(!hit(&mut groups, 8, 9, 200), "every group but the first has expired");
        for key in 10..500 {
            hit(&mut groups, 8, key, 201);
        }
        assert!(groups.index.contains_key(&1));
    }

    #[test]
    fn groups_whose_time_is_over_do_not_stay() {
        let mut groups = Groups::default();
        for key in 0..100_000 {
            hit(&mut groups, GROUPS_MAX, key, i64::try_from(key).unwrap());
            assert!(groups.len() <= SWEEP_MIN);
        }
    }

    #[test]
    fn the_same_keys_after_a_restart_push_out_the_same_groups() {
        let mut groups = Groups::default();
        for key in 0..200 {
            hit(&mut groups, 50, key, 0);
        }
        let bytes = postcard::to_stdvec(&groups).unwrap();
        let mut restored: Groups = postcard::from_bytes(&bytes).unwrap();
        for key in 200..400 {
            assert_eq!(hit(&mut groups, 50, key, 1), hit(&mut restored, 50, key, 1));
        }
        assert_eq!(groups.slots, restored.slots);
    }
}
