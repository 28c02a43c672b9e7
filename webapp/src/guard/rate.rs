//! A client and the time in; whether its request is one too many out.
//!
//! The window is exact: a request passes if fewer than N passed in the window before it. Buckets and
//! two-counter windows let a client that hammers pass up to 2 N.

mod table;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use table::Table;
pub use table::{Ended, Usage};

use crate::client;

/// Fewest clients with full windows that the memory must hold: one in each table.
pub const CLIENTS_MIN: u64 = SHARDS as u64;

/// Tables with a lock each, so that two cores rarely wait for one another.
const SHARDS: usize = 8;

/// How much a client may ask.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Requests in a window.
    pub requests: u32,
    /// Length of a window.
    pub window: Duration,
    /// The first block; each further one is twice as long.
    pub base_block: Duration,
    /// The longest block, and the good conduct that forgives one strike.
    pub max_block: Duration,
    /// Bits of an IPv6 address that make a client.
    pub ipv6_prefix: u8,
    /// Memory of all windows together.
    pub memory_bytes: u64,
}

impl Policy {
    /// Clients with full windows that fit into the memory.
    pub fn clients_max(&self) -> u64 {
        self.memory_bytes / SHARDS as u64 / table::bytes_of_full(self.requests) * SHARDS as u64
    }
}

/// Windows of one client: a browser's preflights have one of their own, or a page would get half as
/// many requests as a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Requests.
    Request,
    /// CORS preflights.
    Preflight,
}

/// Who is counted, and in which of its windows.
pub type Key = (IpAddr, Kind);

/// What the limiter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Passed {
        /// Requests that would pass now.
        remaining: u32,
        /// Until the oldest counted request leaves the window.
        reset: Duration,
    },
    /// It is one too many, and a block begins.
    Limited {
        /// Until the block ends.
        retry_after: Duration,
    },
    /// A block is on.
    Blocked {
        /// Until the block ends.
        retry_after: Duration,
    },
}

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
        self.shards[shard].lock().take(key, now.saturating_duration_since(self.epoch))
    }

    /// Tidies a little, and hands over the blocks that have ended since the last call.
    pub fn sweep(&self, now: Instant, mut ended: impl FnMut(Ended)) {
        let now = now.saturating_duration_since(self.epoch);
        for shard in &self.shards {
            shard.lock().sweep(now, &mut ended);
        }
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
