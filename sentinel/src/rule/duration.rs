//! `"1h30m"` → a span of time.

use crate::time::Span;

/// Units, longest first, with their length in microseconds.
const UNITS: [(&str, i64); 5] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

/// Reads whole numbers with units, longest unit first and each at most once: `90s`, `1h30m`,
/// `250ms`, `7d`. None: anything else, or beyond what a span holds.
pub(crate) fn parse(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_i64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(*length)?)?;
        rest = tail;
        if rest.is_empty() {
            return Some(Span(total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, milliseconds: Option<i64>) {
        assert_eq!(parse(text).map(|span| span.0), milliseconds.map(|ms| ms * 1_000), "{text}");
    }

    #[test]
    fn a_duration_is_numbers_with_units() {
        check("90s", Some(90_000));
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("250ms", Some(250));
        check("1d1h1m1s1ms", Some(90_061_001));
        check("0s", Some(0));
    }

    #[test]
    fn anything_else_is_none() {
        for text in
            ["", "5", "m", "5x", "5 m", "-5m", "1.5h", "30m1h", "1m1m", "5M", "99999999999999d"]
        {
            check(text, None);
        }
    }
}
