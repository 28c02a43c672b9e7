//! How much a client may ask, and how much memory that may take.

use std::time::Duration;

/// Fewest clients with full windows that the memory must hold: one in each table.
pub const CLIENTS_MIN: u64 = SHARDS as u64;

/// Tables with a lock each, so that two cores rarely wait for one another.
pub(super) const SHARDS: usize = 8;

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
