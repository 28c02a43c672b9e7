//! Many measurements in; the few that are told out.

use std::fmt;

/// A median, and between which values half of the measurements lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Middle {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Middle {
    /// Of at least one measurement.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |fraction| quantile(&values, fraction);
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

impl fmt::Display for Middle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        write!(f, "{median:.2} ({low:.2}-{high:.2})")
    }
}

/// The value below which that fraction of the sorted values lies; zero of none.
pub(crate) fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * fraction).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_measurements() {
        let middle = |values: &[f64]| Middle::of(values.iter().copied());
        assert_eq!(middle(&[5.0, 1.0, 3.0, 2.0, 4.0]), Middle { low: 2.0, median: 3.0, high: 4.0 });
        assert_eq!(middle(&[1.0]), Middle { low: 1.0, median: 1.0, high: 1.0 });
        assert_eq!(middle(&[0.5, 0.25, 1.0]).to_string(), "0.50 (0.50-1.00)");
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
