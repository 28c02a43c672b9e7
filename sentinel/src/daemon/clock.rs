//! The two clocks, read once for each round: here and nowhere else in the detector.

use std::time::Instant;

use crate::time::Timestamp;

/// What the clocks show.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For how long something lasted.
    pub now: Instant,
    /// The `now` of a turn.
    pub wall: Timestamp,
}

impl Clock {
    /// Reads both.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads them for the evaluator"
    )]
    pub fn read() -> Self {
        let wall = Timestamp(jiff::Timestamp::now().as_microsecond());
        Self { now: Instant::now(), wall }
    }
}
