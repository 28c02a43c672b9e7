//! One shard of the limiter: many clients in bounded memory, told the time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    ops::Add,
};

use super::{
    policy::{Policy, SHARDS},
    slot::{Slot, full_ring_bytes},
    verdict::{Ended, Key, Verdict},
};

/// Bytes of a client beside its ring. The index is a byte larger for each client than what it holds,
/// and after doubling seven sixteenths full; the spare room of the others is not touched before it is
/// used, but moving leaves holes: measured, less than a quarter (tests/limiter_memory.rs).
const ENTRY_BYTES: u64 = {
    let index = (16 * (size_of::<(Key, u32)>() + 1)).div_ceil(7);
    ((size_of::<Slot>() + size_of::<End>()) * 5 / 4 + index) as u64
};

/// Bytes of a block that ended and is not told yet.
const ENDED_BYTES: u64 = 2 * size_of::<Ended>() as u64;

/// Clients that one request looks at for each that has to go: what it costs has a bound, whatever
/// the others are.
const LOOKS_MAX: usize = 16;

/// Clients that one go of a sweep looks at.
const SWEEP_LOOKS_MAX: usize = 1_024;

/// Blocks that one sweep of a shard hands over: with eight shards half of what waits for suspicious.log.
const SWEEP_ENDED_MAX: usize = 512;

/// When a block ends.
type End = Reverse<(u64, Key)>;

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

impl Policy {
    /// Clients with full windows that fit into the memory.
    pub fn clients_max(&self) -> u64 {
        let full = ENTRY_BYTES + full_ring_bytes(self.requests);
        self.memory_bytes / SHARDS as u64 / full * SHARDS as u64
    }
}

#[derive(Debug)]
pub(super) struct Table {
    policy: Policy,
    budget: u64,
    /// First those whose block is on, then the others: who looks for room never meets the former.
    slots: Vec<Slot>,
    /// How many the former are.
    blocked: usize,
    index: HashMap<Key, u32>,
    /// When blocks end, one for each block. A client that noticed by itself leaves one behind that
    /// is due.
    ends: BinaryHeap<End>,
    /// Where eviction and tidying go on among the open slots (the CLOCK algorithm's hand).
    hand: usize,
    bytes: u64,
    evicted_live: u64,
    /// Blocks that have ended, until the next sweep.
    ended: VecDeque<Ended>,
}

impl Table {
    pub(super) fn new(policy: Policy, budget: u64) -> Self {
        Self {
            policy,
            budget,
            slots: Vec::new(),
            blocked: 0,
            index: HashMap::new(),
            ends: BinaryHeap::new(),
            hand: 0,
            bytes: 0,
            evicted_live: 0,
            ended: VecDeque::new(),
        }
    }

    /// A request of that client, `now` nanoseconds after the beginning.
    pub(super) fn take(&mut self, key: Key, now: u64) -> Verdict {
        let at = match self.index.get(&key) {
            Some(at) => *at as usize,
            None => self.insert(key),
        };
        let at = self.settle(at, now);
        let slot = &mut self.slots[at];
        let before = slot.ring_bytes();
        let verdict = slot.ask(&self.policy, now);
        let (after, end) = (slot.ring_bytes(), slot.block_end());
        self.bytes = self.bytes + after - before;
        if let Verdict::Limited { .. } = verdict {
            self.swap(at, self.blocked);
            self.blocked += 1;
            // For each that comes one goes that is due: there are never more of them than clients.
            self.end_due(now, 1);
            self.ends.push(Reverse((end, key)));
        }
        self.make_room(key, now);
        verdict
    }

    /// Tidies a little, and hands over blocks that have ended, the first ones first.
    pub(super) fn sweep(&mut self, now: u64, ended: &mut Vec<Ended>) {
        self.end_due(now, SWEEP_ENDED_MAX);
        for _ in 0..SWEEP_LOOKS_MAX.min(self.open()) {
            let at = self.next_open();
            self.settle(at, now);
            if self.slots[at].is_idle() {
                self.remove(at);
                // Another stands there now.
                self.hand -= 1;
            }
        }
        let told = self.ended.len().min(SWEEP_ENDED_MAX);
        ended.extend(self.ended.drain(..told));
        self.bytes -= ENDED_BYTES * told as u64;
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            clients: self.slots.len() as u64,
            bytes: self.bytes,
            evicted_live: self.evicted_live,
        }
    }

    fn open(&self) -> usize {
        self.slots.len() - self.blocked
    }

    /// The next open slot under the hand; there is one.
    fn next_open(&mut self) -> usize {
        let hand = self.hand % self.open();
        self.hand = hand + 1;
        self.blocked + hand
    }

    /// Ends the block of a slot if it is over. Returns where the slot is then.
    fn settle(&mut self, at: usize, now: u64) -> usize {
        let Some(ended) = self.slots[at].settle(&self.policy, now) else { return at };
        self.tell(ended);
        self.blocked -= 1;
        self.swap(at, self.blocked);
        self.blocked
    }

    fn tell(&mut self, ended: Ended) {
        self.ended.push_back(ended);
        self.bytes += ENDED_BYTES;
    }

    /// Ends blocks that are over, so many at most.
    fn end_due(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let Some(Reverse((end, key))) = self.ends.peek().copied() else { return };
            if now < end {
                return;
            }
            self.ends.pop();
            if let Some(at) = self.index.get(&key) {
                self.settle(*at as usize, now);
            }
        }
    }

    fn insert(&mut self, key: Key) -> usize {
        let at = self.slots.len();
        self.slots.push(Slot::new(key));
        // Memory for 2^32 clients is beyond every setting.
        self.index.insert(key, at as u32);
        self.bytes += ENTRY_BYTES;
        at
    }

    fn swap(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        self.slots.swap(one, other);
        for at in [one, other] {
            self.index.insert(self.slots[at].key, at as u32);
        }
    }

    fn remove(&mut self, at: usize) -> Slot {
        let at = if at < self.blocked {
            self.blocked -= 1;
            self.swap(at, self.blocked);
            self.blocked
        } else {
            at
        };
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.key);
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.key, at as u32);
        }
        self.bytes -= ENTRY_BYTES + slot.ring_bytes();
        slot
    }

    /// Forgets clients until the budget holds: first those that were quiet since the hand last came
    /// by, blocked ones only when nobody else is left. So a flood of addresses frees nobody.
    fn make_room(&mut self, keep: Key, now: u64) {
        while self.bytes > self.budget {
            let Some(at) = self.quiet(keep, now).or_else(|| self.first_to_be_free(keep)) else {
                return;
            };
            let slot = self.remove(at);
            self.evicted_live += u64::from(!slot.is_idle());
            if let Some(ended) = slot.block() {
                self.tell(ended);
            }
        }
    }

    /// An open slot that did not ask since the hand last came by; where many did, any of them.
    fn quiet(&mut self, keep: Key, now: u64) -> Option<usize> {
        let mut last = None;
        for _ in 0..LOOKS_MAX.min(2 * self.open()) {
            let at = self.next_open();
            if self.slots[at].key == keep {
                continue;
            }
            self.settle(at, now);
            let slot = &mut self.slots[at];
            last = Some(at);
            if !std::mem::take(&mut slot.recent) || slot.is_idle() {
                break;
            }
        }
        last
    }

    /// The blocked slot that loses least: its block ends before the others'.
    fn first_to_be_free(&mut self, keep: Key) -> Option<usize> {
        let mut kept = None;
        let mut first = None;
        while let Some(Reverse((end, key))) = self.ends.pop() {
            let Some(at) = self.index.get(&key).map(|at| *at as usize) else { continue };
            let slot = &self.slots[at];
            if slot.block().is_none() || slot.block_end() != end {
                continue;
            }
            if key == keep {
                kept = Some(Reverse((end, key)));
                continue;
            }
            first = Some(at);
            break;
        }
        self.ends.extend(kept);
        first
    }
}

#[cfg(test)]
mod tests;
