//! Event time: what a line says of itself, and the arithmetic of windows.

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC.
///
/// Windows run on it, so that a restart or a replay raises the same alerts. What paces the process
/// is `std::time::Instant`: the two types keep the two times apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// A span of time in microseconds; never negative in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub i64);

impl Span {
    /// Seconds as a span.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }
}

impl Timestamp {
    /// Before every line.
    pub const MIN: Self = Self(i64::MIN);

    /// Reads RFC 3339 with any offset and up to nine digits of a second's fraction.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|read| Self(read.as_microsecond()))
    }

    /// RFC 3339 in UTC with milliseconds, as logs and alerts are written. What no calendar holds
    /// is written as the nearest instant that one does.
    pub fn rfc3339(self) -> String {
        let end = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let held = jiff::Timestamp::from_microsecond(self.0).unwrap_or(end);
        format!("{held:.3}")
    }

    /// That much later; stops at the end of time.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// That much earlier; stops at the beginning of time.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; negative where it is before.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: &str, written: Option<&str>) {
        assert_eq!(Timestamp::parse(read).map(Timestamp::rfc3339).as_deref(), written, "{read}");
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        check("2026-01-20T10:05:00.120Z", Some("2026-01-20T10:05:00.120Z"));
        check("2026-01-20T10:05:00Z", Some("2026-01-20T10:05:00.000Z"));
        check("2026-01-20T12:05:00.5+02:00", Some("2026-01-20T10:05:00.500Z"));
        check("2026-01-20T10:05:00.123456789Z", Some("2026-01-20T10:05:00.123Z"));
        check("2026-01-20 10:05", None);
        check("yesterday", None);
    }

    #[test]
    fn the_ends_of_time_are_still_written() {
        assert!(Timestamp::MIN.rfc3339().ends_with('Z'));
        assert!(Timestamp(i64::MAX).plus(Span::seconds(1)).rfc3339().starts_with("9999-"));
    }
}
