//! A setting that cannot be used: which one, what is wrong, what to do.

use std::fmt;

/// One fault in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The environment variable; its flag has the same name in lower case with hyphens.
    pub variable: &'static str,
    /// What is wrong, with the offending text.
    pub wrong: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.variable, self.wrong, self.remedy)
    }
}

/// Faults as they are found: reading goes on after each.
#[derive(Debug, Default)]
pub(super) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    pub(super) fn add(
        &mut self,
        variable: &'static str,
        wrong: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Fault { variable, wrong: wrong.into(), remedy: remedy.into() });
    }
}
