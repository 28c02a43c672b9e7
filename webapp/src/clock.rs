//! The system's clocks in; the time, and spans of it as records and headers write them, out. Only the
//! edges read it; everything behind them is told.

use std::time::{Duration, Instant};

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

/// The monotonic clock, which measures.
#[expect(clippy::disallowed_methods, reason = "edges read the clock here, and nowhere else")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock, which records show.
#[expect(clippy::disallowed_methods, reason = "edges read the clock here, and nowhere else")]
pub fn timestamp() -> Timestamp {
    Timestamp::now()
}

/// The wall clock's time of an instant that has been.
pub fn timestamp_of(instant: Instant) -> Timestamp {
    let ago = now().saturating_duration_since(instant);
    timestamp().checked_sub(ago).unwrap_or(Timestamp::MIN)
}

/// Now as the header `Date` has it (RFC 9110 §5.6.7).
pub fn http_date() -> String {
    // Every time from year 1 to 9999 has such a spelling.
    DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp()).unwrap_or_default()
}

/// Whole nanoseconds, for `event.duration`.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole seconds for `Retry-After` and `RateLimit`: rounded up, so that who obeys is not early.
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
