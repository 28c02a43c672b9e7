//! One shard of the limiter: windows of many clients in bounded memory, told the time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    ops::Add,
    time::Duration,
};

use super::{Key, Policy, Verdict};

/// Bytes of an entry beside its ring: slot, map and heap entries with their spare room, measured
/// generously.
const ENTRY_BYTES: u64 = 288;

/// Entries that one sweep looks at.
const SWEEP_ENTRIES_MAX: usize = 1_024;

/// Bytes of a client whose window is full. A ring doubles as it grows.
pub(super) fn bytes_of_full(requests: u32) -> u64 {
    ENTRY_BYTES + 8 * u64::from(requests).next_power_of_two().max(4)
}

/// A block that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Who was blocked.
    pub key: Key,
    /// Requests that the block held off, without the one that began it.
    pub blocked_hits: u64,
}

/// How full the limiter is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Clients that are remembered.
    pub clients: u64,
    /// Memory they take.
    pub bytes: u64,
    /// Clients forgotten for want of room although their windows were not empty.
    pub evicted_live: u64,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            clients: self.clients + other.clients,
            bytes: self.bytes + other.bytes,
            evicted_live: self.evicted_live + other.evicted_live,
        }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    policy: Policy,
    budget: u64,
    slots: Vec<Slot>,
    index: HashMap<Key, usize>,
    /// When blocks end. A client that was forgotten or blocked anew leaves a stale entry.
    ends: BinaryHeap<Reverse<(Duration, Key)>>,
    /// Where eviction and tidying go on (the CLOCK algorithm's hand).
    hand: usize,
    bytes: u64,
    evicted_live: u64,
    /// Blocks of forgotten clients, until the next sweep.
    forgotten: Vec<Ended>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    /// When the requests in the window passed, in nanoseconds; oldest first.
    passed: VecDeque<u64>,
    strikes: u32,
    /// End of the block, or of the last one; decay counts from here.
    block_end: Duration,
    is_blocked: bool,
    blocked_hits: u64,
    /// Asked since the hand was here.
    recent: bool,
}

impl Slot {
    fn bytes(&self) -> u64 {
        ENTRY_BYTES + 8 * self.passed.capacity() as u64
    }

    /// Ends a block that is over, forgives strikes, forgets what left the window.
    fn settle(&mut self, policy: &Policy, now: Duration) -> Option<Ended> {
        let mut ended = None;
        if self.is_blocked {
            if now < self.block_end {
                return None;
            }
            self.is_blocked = false;
            ended = Some(Ended { key: self.key, blocked_hits: self.blocked_hits });
        }
        while self.strikes > 0 && now.saturating_sub(self.block_end) >= policy.max_block {
            self.strikes -= 1;
            self.block_end += policy.max_block;
        }
        let window = nanos(policy.window);
        while self.passed.front().is_some_and(|at| at + window <= nanos(now)) {
            self.passed.pop_front();
        }
        ended
    }

    fn is_idle(&self) -> bool {
        !self.is_blocked && self.strikes == 0 && self.passed.is_empty()
    }
}

impl Table {
    pub(super) fn new(policy: Policy, budget: u64) -> Self {
        Self {
            policy,
            budget,
            slots: Vec::new(),
            index: HashMap::new(),
            ends: BinaryHeap::new(),
            hand: 0,
            bytes: 0,
            evicted_live: 0,
            forgotten: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, key: Key, now: Duration) -> Verdict {
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => self.insert(key),
        };
        let slot = &mut self.slots[at];
        slot.recent = true;
        let ended = slot.settle(&self.policy, now);
        if slot.is_blocked {
            // Neither recorded nor a reason for a longer block: the promise of `Retry-After` holds.
            slot.blocked_hits += 1;
            return Verdict::Blocked { retry_after: slot.block_end - now };
        }
        self.forgotten.extend(ended);
        if slot.passed.len() >= self.policy.requests as usize {
            slot.strikes += 1;
            let block = block(&self.policy, slot.strikes);
            slot.is_blocked = true;
            slot.block_end = now + block;
            slot.blocked_hits = 0;
            // Cleared, or who waits the promised time would still find the window full.
            slot.passed.clear();
            let end = Reverse((slot.block_end, key));
            self.note_end(end);
            return Verdict::Limited { retry_after: block };
        }
        let before = slot.bytes();
        slot.passed.push_back(nanos(now));
        let grown = slot.bytes() - before;
        let oldest = slot.passed.front().copied().unwrap_or_default();
        let verdict = Verdict::Passed {
            remaining: self.policy.requests - slot.passed.len() as u32,
            reset: Duration::from_nanos((oldest + nanos(self.policy.window)) - nanos(now)),
        };
        self.bytes += grown;
        self.make_room(key, now);
        verdict
    }

    pub(super) fn sweep(&mut self, now: Duration, ended: &mut impl FnMut(Ended)) {
        while let Some(Reverse((end, key))) = self.ends.peek().copied() {
            if now < end {
                break;
            }
            self.ends.pop();
            if let Some(at) = self.index.get(&key) {
                let over = self.slots[*at].settle(&self.policy, now);
                self.forgotten.extend(over);
            }
        }
        for _ in 0..SWEEP_ENTRIES_MAX.min(self.slots.len()) {
            let at = self.hand % self.slots.len().max(1);
            let Some(slot) = self.slots.get_mut(at) else { break };
            let over = slot.settle(&self.policy, now);
            let idle = slot.is_idle();
            self.forgotten.extend(over);
            if idle {
                self.remove(at);
            } else {
                self.hand = at + 1;
            }
        }
        self.forgotten.drain(..).for_each(ended);
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            clients: self.slots.len() as u64,
            bytes: self.bytes,
            evicted_live: self.evicted_live,
        }
    }

    /// Stale entries are dropped when they are the most.
    fn note_end(&mut self, end: Reverse<(Duration, Key)>) {
        if self.ends.len() > 2 * self.slots.len() {
            let blocked = self.slots.iter().filter(|slot| slot.is_blocked);
            self.ends = blocked.map(|slot| Reverse((slot.block_end, slot.key))).collect();
        } else {
            self.ends.push(end);
        }
    }

    fn insert(&mut self, key: Key) -> usize {
        let slot = Slot {
            key,
            passed: VecDeque::new(),
            strikes: 0,
            block_end: Duration::ZERO,
            is_blocked: false,
            blocked_hits: 0,
            recent: true,
        };
        self.bytes += slot.bytes();
        self.slots.push(slot);
        self.index.insert(key, self.slots.len() - 1);
        self.slots.len() - 1
    }

    fn remove(&mut self, at: usize) -> Slot {
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.key);
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.key, at);
        }
        self.bytes -= slot.bytes();
        slot
    }

    /// Forgets clients until the budget holds: first those that were quiet since the hand last came
    /// by, blocked ones only when nobody else is left. So a flood of addresses frees nobody.
    fn make_room(&mut self, keep: Key, now: Duration) {
        let mut spared = 0;
        while self.bytes > self.budget && self.slots.len() > 1 {
            let at = self.hand % self.slots.len();
            let slot = &mut self.slots[at];
            let over = slot.settle(&self.policy, now);
            self.forgotten.extend(over);
            // Two rounds: the first only takes the mark of a recent request away.
            let last_resort = spared > 2 * self.slots.len();
            let slot = &mut self.slots[at];
            let spare = slot.key == keep
                || (!last_resort && (slot.is_blocked || std::mem::take(&mut slot.recent)));
            if spare {
                spared += 1;
                self.hand = at + 1;
                continue;
            }
            let slot = self.remove(at);
            self.evicted_live += u64::from(!slot.is_idle());
            if slot.is_blocked {
                self.forgotten.push(Ended { key: slot.key, blocked_hits: slot.blocked_hits });
            }
        }
    }
}

fn block(policy: &Policy, strikes: u32) -> Duration {
    let doubled = 1_u32.checked_shl(strikes.saturating_sub(1)).unwrap_or(u32::MAX);
    policy.base_block.checked_mul(doubled).map_or(policy.max_block, |b| b.min(policy.max_block))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::{super::Kind, *};

    fn policy(requests: u32) -> Policy {
        Policy {
            requests,
            window: Duration::from_secs(60),
            base_block: Duration::from_secs(30),
            max_block: Duration::from_secs(300),
            ipv6_prefix: 64,
            memory_bytes: 1 << 20,
        }
    }

    fn key(n: u32) -> Key {
        (IpAddr::V4(Ipv4Addr::from_bits(n)), Kind::Request)
    }

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn word(verdict: Verdict) -> String {
        match verdict {
            Verdict::Passed { remaining, .. } => format!("passed {remaining}"),
            Verdict::Limited { retry_after } => format!("limited {}", retry_after.as_secs_f64()),
            Verdict::Blocked { retry_after } => format!("blocked {}", retry_after.as_secs_f64()),
        }
    }

    /// Requests of one client in a table of three a minute: (second, what is said).
    #[track_caller]
    fn check(rows: &[(f64, &str)]) {
        let mut table = Table::new(policy(3), 1 << 20);
        for (row, (second, expected)) in rows.iter().enumerate() {
            assert_eq!(word(table.take(key(1), at(*second))), *expected, "row {row}");
        }
    }

    #[test]
    fn the_window_slides_exactly() {
        check(&[
            (0.0, "passed 2"),
            (30.0, "passed 1"),
            (59.0, "passed 0"),
            (60.0, "passed 0"), // The first one left this very moment.
            (89.999, "limited 30"),
        ]);
    }

    #[test]
    fn a_block_neither_records_nor_grows_and_then_the_window_is_clear() {
        check(&[
            (0.0, "passed 2"),
            (0.0, "passed 1"),
            (0.0, "passed 0"),
            (1.0, "limited 30"),
            (2.0, "blocked 29"),
            (30.5, "blocked 0.5"),
            (31.0, "passed 2"),
            (31.0, "passed 1"),
            (31.0, "passed 0"),
        ]);
    }

    #[test]
    fn blocks_double_to_the_longest() {
        let mut table = Table::new(policy(1), 1 << 20);
        let mut now = Duration::ZERO;
        for expected in [30, 60, 120, 240, 300, 300] {
            assert_eq!(word(table.take(key(1), now)), "passed 0");
            let block = Duration::from_secs(expected);
            assert_eq!(table.take(key(1), now), Verdict::Limited { retry_after: block });
            now += block;
        }
    }

    #[test]
    fn good_conduct_forgives_one_strike_at_a_time() {
        let mut table = Table::new(policy(1), 1 << 20);
        let mut hit = |second: f64| word(table.take(key(1), at(second)));
        assert_eq!([hit(0.0), hit(0.0)], ["passed 0", "limited 30"]);
        assert_eq!([hit(30.0), hit(30.0)], ["passed 0", "limited 60"]);
        // The block ended at 90; at 389 nothing is forgiven, at 390 one strike of two is.
        assert_eq!([hit(389.0), hit(389.0)], ["passed 0", "limited 120"]);
        assert_eq!([hit(1409.0), hit(1409.0)], ["passed 0", "limited 30"]);
    }

    #[test]
    fn preflights_have_a_window_of_their_own() {
        let mut table = Table::new(policy(1), 1 << 20);
        let preflight = (key(1).0, Kind::Preflight);
        assert_eq!(word(table.take(preflight, at(0.0))), "passed 0");
        assert_eq!(word(table.take(key(1), at(0.0))), "passed 0");
        assert_eq!(word(table.take(preflight, at(0.0))), "limited 30");
    }

    #[test]
    fn an_ended_block_is_told_once_with_its_hits() {
        let mut table = Table::new(policy(1), 1 << 20);
        let told = |table: &mut Table, second| {
            let mut ended = Vec::new();
            table.sweep(at(second), &mut |one| ended.push(one));
            ended
        };
        for _ in 0..5 {
            table.take(key(1), at(0.0));
        }
        assert_eq!(told(&mut table, 29.9), []);
        assert_eq!(told(&mut table, 30.0), [Ended { key: key(1), blocked_hits: 3 }]);
        assert_eq!(told(&mut table, 31.0), []);
        // Noticed by the client's next request before a sweep: told all the same.
        table.take(key(1), at(40.0));
        table.take(key(1), at(40.0));
        table.take(key(1), at(100.0));
        assert_eq!(told(&mut table, 100.0), [Ended { key: key(1), blocked_hits: 0 }]);
    }

    #[test]
    fn an_idle_client_is_forgotten() {
        let mut table = Table::new(policy(3), 1 << 20);
        table.take(key(1), at(0.0));
        table.sweep(at(59.0), &mut |_| {});
        assert_eq!(table.usage().clients, 1);
        table.sweep(at(60.0), &mut |_| {});
        assert_eq!(table.usage(), Usage::default());
    }

    #[test]
    fn a_flood_of_addresses_stays_in_memory_and_frees_no_blocked_client() {
        let budget = 64 * 1024;
        let mut table = Table::new(policy(3), budget);
        for _ in 0..4 {
            table.take(key(0), at(0.0));
        }
        for n in 1..20_000 {
            table.take(key(n), at(1.0));
            assert!(table.usage().bytes <= budget);
        }
        assert_eq!(word(table.take(key(0), at(2.0))), "blocked 28");
        assert!(table.usage().evicted_live > 0);
    }

    #[test]
    fn even_blocked_clients_fit_into_memory() {
        let budget = 64 * 1024;
        let mut table = Table::new(policy(1), budget);
        for n in 0..5_000 {
            table.take(key(n), at(0.0));
            table.take(key(n), at(0.0));
            assert!(table.usage().bytes <= budget);
            assert!(table.ends.len() <= 2 * table.slots.len() + 1);
        }
    }

    /// The same rules with no bound on memory and no cleverness: every passed request is kept.
    #[derive(Default)]
    struct Model {
        passed: Vec<Duration>,
        strikes: u32,
        block_end: Option<Duration>,
    }

    impl Model {
        fn take(&mut self, policy: &Policy, now: Duration) -> Verdict {
            if let Some(end) = self.block_end {
                if now < end {
                    return Verdict::Blocked { retry_after: end - now };
                }
                let forgiven = ((now - end).as_secs_f64() / policy.max_block.as_secs_f64()) as u32;
                let used = self.strikes.min(forgiven);
                self.strikes -= used;
                self.block_end = Some(end + policy.max_block * used);
            }
            self.passed.retain(|at| now - *at < policy.window);
            if self.passed.len() < policy.requests as usize {
                self.passed.push(now);
                return Verdict::Passed {
                    remaining: policy.requests - self.passed.len() as u32,
                    reset: self.passed[0] + policy.window - now,
                };
            }
            self.strikes += 1;
            let block = (policy.base_block * 2_u32.pow(self.strikes - 1)).min(policy.max_block);
            self.block_end = Some(now + block);
            self.passed.clear();
            Verdict::Limited { retry_after: block }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_exact_model(
            requests in 1..5_u32,
            steps in prop::collection::vec((0..3_u32, prop_oneof![0..100_u64, 0..90_000_u64, 0..900_000_u64]), 1..200),
        ) {
            let policy = policy(requests);
            let mut table = Table::new(policy.clone(), 1 << 20);
            let mut models: [Model; 3] = Default::default();
            let mut now = Duration::ZERO;
            for (client, pause) in steps {
                now += Duration::from_millis(pause);
                let expected = models[client as usize].take(&policy, now);
                prop_assert_eq!(table.take(key(client), now), expected);
                if pause % 3 == 0 {
                    table.sweep(now, &mut |_| {});
                }
            }
        }

        #[test]
        fn who_obeys_retry_after_is_never_refused_twice(
            requests in 1..5_u32,
            pauses in prop::collection::vec(0..40_000_u64, 1..300),
        ) {
            let mut table = Table::new(policy(requests), 1 << 20);
            let mut now = Duration::ZERO;
            let mut refused = false;
            for pause in pauses {
                match table.take(key(1), now) {
                    Verdict::Passed { .. } => {
                        refused = false;
                        now += Duration::from_millis(pause);
                    }
                    Verdict::Limited { retry_after } | Verdict::Blocked { retry_after } => {
                        prop_assert!(!refused);
                        refused = true;
                        now += Duration::from_secs(super::super::whole_seconds(retry_after));
                    }
                }
            }
        }

        #[test]
        fn the_window_never_holds_more_than_the_limit(
            pauses in prop::collection::vec(0..30_000_u64, 1..300),
        ) {
            let mut table = Table::new(policy(3), 1 << 20);
            let mut now = Duration::ZERO;
            let mut passed: Vec<Duration> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                match table.take(key(1), now) {
                    Verdict::Passed { .. } => passed.push(now),
                    // A served block is the one thing that clears the window.
                    Verdict::Limited { .. } => passed.clear(),
                    Verdict::Blocked { .. } => {}
                }
                let in_window = passed.iter().filter(|at| now - **at < Duration::from_secs(60));
                prop_assert!(in_window.count() <= 3);
            }
        }
    }
}
