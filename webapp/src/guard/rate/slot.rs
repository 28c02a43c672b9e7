//! One client's requests and the time in; whether they pass out.

use std::{collections::VecDeque, time::Duration};

use super::{
    policy::Policy,
    verdict::{Ended, Key, Verdict},
};
use crate::clock::nanos;

/// Bytes beside a ring's own: what an allocator keeps and rounds up.
const RING_BYTES: u64 = 16;

/// A client. Times are nanoseconds since the limiter's beginning: there are many of these.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Key,
    /// When the requests in the window passed; oldest first.
    passed: VecDeque<u64>,
    strikes: u32,
    /// When the block ends, or the last one did; decay counts from here.
    block_end: u64,
    blocked_hits: u64,
    is_blocked: bool,
    /// Asked since eviction last came by.
    pub(super) recent: bool,
}

impl Slot {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            passed: VecDeque::new(),
            strikes: 0,
            block_end: 0,
            blocked_hits: 0,
            is_blocked: false,
            recent: true,
        }
    }

    /// Ends a block that is over, forgives strikes, forgets what left the window.
    pub(super) fn settle(&mut self, policy: &Policy, now: u64) -> Option<Ended> {
        if self.is_blocked && now < self.block_end {
            return None;
        }
        let ended = self.block();
        self.is_blocked = false;
        let forgiven = nanos(policy.max_block);
        while self.strikes > 0 && now.saturating_sub(self.block_end) >= forgiven {
            self.strikes -= 1;
            self.block_end += forgiven;
        }
        let window = nanos(policy.window);
        while self.passed.front().is_some_and(|at| at + window <= now) {
            self.passed.pop_front();
        }
        ended
    }

    /// A request of a client that is settled.
    pub(super) fn ask(&mut self, policy: &Policy, now: u64) -> Verdict {
        self.recent = true;
        if self.is_blocked {
            // Neither recorded nor a reason for a longer block: the promise of `Retry-After` holds.
            self.blocked_hits += 1;
            return Verdict::Blocked { retry_after: Duration::from_nanos(self.block_end - now) };
        }
        if self.passed.len() >= policy.requests as usize {
            self.strikes += 1;
            let block = block_time(policy, self.strikes);
            self.is_blocked = true;
            self.block_end = now + nanos(block);
            self.blocked_hits = 0;
            // Cleared, or who waits the promised time would still find the window full. Its memory
            // goes too: many blocked clients must cost little.
            self.passed = VecDeque::new();
            return Verdict::Limited { retry_after: block };
        }
        self.passed.push_back(now);
        let oldest = self.passed.front().copied().unwrap_or(now);
        Verdict::Passed {
            remaining: policy.requests - self.passed.len() as u32,
            reset: Duration::from_nanos(oldest + nanos(policy.window) - now),
        }
    }

    /// The block that is on, as it will be told.
    pub(super) fn block(&self) -> Option<Ended> {
        self.is_blocked.then_some(Ended { key: self.key, blocked_hits: self.blocked_hits })
    }

    pub(super) fn block_end(&self) -> u64 {
        self.block_end
    }

    /// Nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_blocked && self.strikes == 0 && self.passed.is_empty()
    }

    /// Memory of its window.
    pub(super) fn ring_bytes(&self) -> u64 {
        ring_bytes(self.passed.capacity() as u64)
    }
}

fn ring_bytes(capacity: u64) -> u64 {
    if capacity == 0 { 0 } else { RING_BYTES + 8 * capacity }
}

/// Memory of a full window. A ring doubles as it grows, from four.
pub(super) fn full_ring_bytes(requests: u32) -> u64 {
    ring_bytes(u64::from(requests).next_power_of_two().max(4))
}

fn block_time(policy: &Policy, strikes: u32) -> Duration {
    let doubled = 1_u32.checked_shl(strikes.saturating_sub(1)).unwrap_or(u32::MAX);
    policy.base_block.checked_mul(doubled).map_or(policy.max_block, |b| b.min(policy.max_block))
}
