//! What the guards found out about a request, let pass or refused, for its answer and its record.

use super::{cors::Cors, rate::Verdict};

/// What the guards found out, for the answer's headers.
#[derive(Debug, Default)]
pub struct Findings {
    /// What the limiter said, unless the route is exempt.
    pub rate: Option<Verdict>,
    /// What a page may do with the answer.
    pub cors: Cors,
    /// The request is a preflight.
    pub is_preflight: bool,
    /// Bytes of the body that arrived.
    pub body_bytes: u64,
    /// The body was read to its end.
    pub body_read: bool,
}
