//! Texts of numbers: when two are equal, and what they compare as.

/// Whether two texts write the same decimal number: `404`, `404.0` and `4.04e2` do.
///
/// By their digits: as floating point, ids beyond 2^53 would equal their neighbours.
pub(super) fn same(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    if plain(a) && plain(b) {
        // Nearly every number of a log; the long way would say the same.
        return a.trim_start_matches('0') == b.trim_start_matches('0');
    }
    match (Decimal::read(a), Decimal::read(b)) {
        (Some(a), Some(b)) => a.parts() == b.parts(),
        _ => false,
    }
}

/// What a text compares as; none if it is no number.
pub(super) fn value(text: &str) -> Option<f64> {
    Decimal::read(text)?;
    text.parse().ok()
}

/// Whether a text is a decimal number.
pub(super) fn is_one(text: &str) -> bool {
    Decimal::read(text).is_some()
}

#[derive(Debug)]
struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: i64,
}

impl<'t> Decimal<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (digits, exponent) = match rest.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        let dangling = fraction.is_empty() && digits.ends_with('.');
        let read = !whole.is_empty() && plain(whole) && plain(fraction) && !dangling;
        read.then_some(Self { negative, whole, fraction, exponent })
    }

    /// Sign, the power of ten of the last digit that is not zero, and the digits from the last
    /// such one to the first.
    fn parts(&self) -> (bool, i64, impl PartialEq) {
        let digits = [self.whole, self.fraction].concat();
        let digits = digits.trim_start_matches('0');
        let short = digits.trim_end_matches('0');
        let count = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
        if short.is_empty() {
            return (false, 0, String::new());
        }
        let zeros = count(digits) - count(short);
        let power = self.exponent.saturating_sub(count(self.fraction)).saturating_add(zeros);
        (self.negative, power, short.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_may_be_written_differently() {
        assert!(same("0", "00") && same("007", "7"));
        for text in ["404", "404.0", "404.00", "4.04e2", "40400e-2", "0404", "4.04E+2"] {
            assert!(same(text, "404"), "{text}");
        }
        assert!(same("0", "-0.0e9"));
        assert!(same("-1.50", "-1.5"));
    }

    #[test]
    fn others_are_not_equal() {
        for text in ["403", "-404", "40.4", "4040", "404x", "", " 404", "404.", ".404", "0x194"] {
            assert!(!same(text, "404"), "{text}");
        }
        assert!(!same("9007199254740993", "9007199254740992"));
    }

    #[test]
    fn only_numbers_compare() {
        assert_eq!(value("12.5e1"), Some(125.0));
        for text in ["inf", "nan", "-", "1_000", "", "1e", "e1", "+1"] {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
