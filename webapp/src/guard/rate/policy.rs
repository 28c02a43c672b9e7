//! How much a client may ask, and how many clients the memory for it holds.

use std::time::Duration;

/// Bytes of an entry beside its ring: slot, map and heap entries with their spare room, measured
/// generously.
pub(super) const ENTRY_BYTES: u64 = 288;

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

impl Policy {
    /// Clients with full windows that fit into the memory.
    pub fn clients_max(&self) -> u64 {
        self.memory_bytes / SHARDS as u64 / bytes_of_full(self.requests) * SHARDS as u64
    }
}

/// Bytes of a client whose window is full. A ring doubles as it grows.
fn bytes_of_full(requests: u32) -> u64 {
    ENTRY_BYTES + 8 * u64::from(requests).next_power_of_two().max(4)
}
