//! A client and the time in; whether its request is one too many out.
//!
//! The window is exact: a request passes if fewer than N passed in the window before it. Buckets and
//! two-counter windows let a client that hammers pass up to 2 N.

mod policy;
mod verdict;
mod slot;
mod table;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Instant,
};

use parking_lot::Mutex;

use crate::{client, clock::nanos};
use policy::SHARDS;
pub use policy::{CLIENTS_MIN, Policy};
use table::Table;
pub use table::Usage;
pub use verdict::{Ended, Key, Kind, Verdict};

/// The limiter of this process. A shared store would stand beside it with the same two methods.
#[derive(Debug)]
pub struct Limiter {
    policy: Policy,
    hasher: RandomState,
    epoch: Instant,
    shards: Vec<Mutex<Table>>,
}

impl Limiter {
    /// An empty limiter; no later `now` is before this one.
    pub fn new(policy: Policy, now: Instant) -> Self {
        let budget = policy.memory_bytes / SHARDS as u64;
        let shard = || Mutex::new(Table::new(policy.clone(), budget));
        Self {
            hasher: RandomState::new(),
            epoch: now,
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            policy,
        }
    }

    /// Counts a request of that client.
    pub fn take(&self, client: IpAddr, kind: Kind, now: Instant) -> Verdict {
        let key = (client::network(client, self.policy.ipv6_prefix), kind);
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().take(key, self.since_epoch(now))
    }

    /// Tidies a little, and hands over blocks that have ended, some at a time: whoever tells them has
    /// room for so many.
    pub fn sweep(&self, now: Instant, mut tell: impl FnMut(Ended)) {
        let now = self.since_epoch(now);
        let mut ended = Vec::new();
        for shard in &self.shards {
            shard.lock().sweep(now, &mut ended);
            ended.drain(..).for_each(&mut tell);
        }
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }

    /// How full the limiter is.
    pub fn usage(&self) -> Usage {
        self.shards.iter().fold(Usage::default(), |sum, shard| sum + shard.lock().usage())
    }

    /// What the limiter enforces.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

#[cfg(test)]
mod tests;
