//! What the limiter is asked, and what it says.

use std::{net::IpAddr, time::Duration};

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

/// A block that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Who was blocked.
    pub key: Key,
    /// Requests that the block held off, without the one that began it.
    pub blocked_hits: u64,
}
