//! Where the server is in its life: told by [`mod@crate::serve`], heard by all that accepts and serves.

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It takes requests.
    Serving,
    /// It ends those that it has.
    Draining,
    /// It drops what is left.
    Closing,
}
