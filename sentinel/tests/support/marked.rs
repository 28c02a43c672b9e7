//! Lines of which some are marked, a rule that makes an alert of each of these and one that counts all
//! in whatever file they stand; and whether in the end every alert stands once.

use std::collections::BTreeSet;

use shared::Alert;

pub(crate) const RULES: &str = r#"
[[rule]]
id = "marked"
title = "A marked line"
level = "low"
match = { "event.action" = "marked" }
group_by = ["n"]
message = "{n}"
cooldown = "0s"
[[rule]]
id = "five"
title = "Five lines of either file"
level = "high"
match = { "event.action" = ["plain", "marked"] }
cooldown = "0s"
[rule.correlation]
type = "event_count"
timespan = "30d"
gte = 5
"#;

/// What was written so far.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub(crate) lines: usize,
    /// The numbers of the marked lines, as their alerts tell them.
    pub(crate) marked: BTreeSet<String>,
}

impl Marked {
    /// The next line, without its line end.
    pub(crate) fn line(&mut self, is_marked: bool) -> String {
        self.lines += 1;
        let n = self.lines;
        if is_marked {
            self.marked.insert(n.to_string());
        }
        let action = if is_marked { "marked" } else { "plain" };
        format!(r#"{{"@timestamp":"2026-01-20T10:05:00Z","event.action":"{action}","n":{n}}}"#)
    }

    /// How many alerts that makes.
    pub(crate) fn alerts(&self) -> usize {
        self.lines / 5 + self.marked.len()
    }

    /// These are the alerts, each once.
    #[track_caller]
    pub(crate) fn check(&self, alerts: &[Alert], context: &str) {
        let numbers: Vec<u64> = alerts.iter().map(|alert| alert.seq).collect();
        assert_eq!(numbers, (1..=self.alerts() as u64).collect::<Vec<_>>(), "{context}");
        let ids: BTreeSet<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
        assert_eq!(ids.len(), alerts.len(), "{context}");
        let marked = alerts.iter().filter(|alert| alert.rule.id == "marked");
        let mut told: Vec<&str> = marked.map(|alert| alert.message.as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, self.marked.iter().collect::<Vec<_>>(), "{context}");
    }
}
