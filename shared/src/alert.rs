//! One line of `alerts.log`; the same object is in the socket's answers and in `/alerts`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The value of [`Alert::schema`]. A file whose first line carries it is never a source.
pub const SCHEMA: &str = "sentinel.alert/1";

/// An alert: what a rule saw, in which group, and the lines that show it.
///
/// Keys that a reader does not know are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// RFC 3339, milliseconds, `Z`: the event time of the line that raised the alert.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    /// [`SCHEMA`].
    pub schema: String,
    /// Counts the alerts of one installation, from 1, without a hole.
    pub seq: u64,
    /// Names this emission: a hash of the installation and `seq`.
    pub id: String,
    /// Names what fires: a hash of rule and group, equal for every alert of the two.
    pub fingerprint: String,
    /// Where the alert stands in its life.
    pub status: Status,
    /// The rule that fired.
    pub rule: Rule,
    /// How much it matters.
    pub level: Level,
    /// As written in the rule.
    pub tags: Vec<String>,
    /// As written in the rule.
    pub labels: BTreeMap<String, String>,
    /// As written in the rule.
    pub annotations: BTreeMap<String, String>,
    /// The rule's `message` with its fields filled in.
    pub message: String,
    /// The fields that the rule groups by, and their values here.
    pub group: BTreeMap<String, String>,
    /// Matches that made this alert.
    pub count: u64,
    /// Matches during the cooldown since the alert before.
    pub folded: u64,
    /// The span in which `count` was reached; a rule without correlation has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<Window>,
    /// First and last lines of `count`.
    pub evidence: Vec<Evidence>,
    /// When and what kind.
    pub event: Event,
    /// Who saw it.
    pub observer: Observer,
}

/// Where an alert stands in its life (Alertmanager's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It began, or began anew.
    Firing,
    /// It goes on.
    Repeat,
    /// It has been quiet for the rule's `resolve_after`.
    Resolved,
}

impl Status {
    /// As it is written in alerts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
        }
    }
}

/// How much an alert matters (Sigma's levels), from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Informational,
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

impl Level {
    /// Every level with its name in rules and alerts, from least to most.
    pub const ALL: [(&'static str, Self); 5] = [
        ("informational", Self::Informational),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];

    /// As it is written in rules and alerts.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }

    /// The level of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }
}

/// The rule of an alert, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `sql-injection`; sentinel's own begin with `sentinel.`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// As given to `--rules`; empty for sentinel's own.
    pub file: String,
    /// From 1; 0 for sentinel's own.
    pub line: u32,
}

/// The span that tripped, in event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first match in it.
    pub start: String,
    /// The last match in it.
    pub end: String,
    /// As written in the rule, `5m`.
    pub timespan: String,
}

/// A line that shows what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The source's name, `requests`.
    pub source: String,
    /// The file's name when the line was read; it may have been rotated since.
    pub file: String,
    /// Where the line begins in that file, in bytes.
    pub offset: u64,
    /// The line, at most 1 KiB of it.
    pub text: String,
    /// `text` is not the whole line.
    pub truncated: bool,
}

/// ECS `event.*` of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `alert`.
    pub kind: String,
    /// RFC 3339: when sentinel raised it.
    pub created: String,
}

/// ECS `observer.*`: the sentinel that raised an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observer {
    /// `sentinel`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The host it runs on.
    pub hostname: String,
}
