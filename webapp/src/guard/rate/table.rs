//! One shard of the limiter: windows of many clients in bounded memory, told the time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    ops::Add,
    time::Duration,
};

use super::{
    policy::{ENTRY_BYTES, Policy},
    verdict::{Key, Verdict},
};
use crate::clock::nanos;

/// Entries that one sweep looks at.
const SWEEP_ENTRIES_MAX: usize = 1_024;

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

#[cfg(test)]
mod tests;
