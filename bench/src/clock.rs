//! The one place here that reads a clock.

use std::time::Instant;

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program does")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
