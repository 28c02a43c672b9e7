//! What one rule asks of a line, and whether the line answers it.

use super::{condition::Condition, values::Values};

/// The conditions of a rule.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Each must hold.
    pub(crate) matches: Vec<Condition>,
    /// A line of which all conditions of one of these hold is no match.
    pub(crate) except: Vec<Vec<Condition>>,
}

impl Matcher {
    /// Every condition, those of the exceptions too.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.matches.iter().chain(self.except.iter().flatten())
    }

    /// Whether all conditions hold and no exception does; adds what the patterns captured.
    pub(super) fn holds(&self, values: &mut Values<'_, '_>) -> bool {
        let mut captured = Vec::new();
        let holds = self.matches.iter().all(|condition| condition.holds(values, &mut captured));
        if !holds {
            return false;
        }
        // From here on a capture is a field: of a text line, `client.ip` may be excepted too.
        values.captured = captured;
        let ignored = &mut Vec::new();
        let excepted = |conditions: &Vec<Condition>| {
            conditions.iter().all(|condition| condition.holds(values, ignored))
        };
        !self.except.iter().any(excepted)
    }
}
