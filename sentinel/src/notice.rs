//! What sentinel says of itself, as alerts like any other: lines it could not evaluate, rules it
//! could not load, limits it reached.

use serde::{Deserialize, Serialize};
use shared::alert::Level;

use crate::time::Span;

/// What the ids of built-in rules begin with, and no other's.
pub const PREFIX: &str = "sentinel.";

/// Something sentinel must not be silent about. Part of a turn's inputs, so that a restart counts
/// it as it was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Bytes that were not provably evaluated.
    Gap {
        /// The source they belong to.
        source: String,
        /// The file's name as it was last seen.
        file: String,
        /// The first byte.
        from: u64,
        /// The byte after the last, where that is known.
        to: Option<u64>,
        /// Why.
        reason: Reason,
    },
    /// The middle of a line that is longer than what is matched.
    LongLine {
        /// The source it belongs to.
        source: String,
        /// The file's name.
        file: String,
        /// The first byte that was not matched.
        from: u64,
        /// The byte after the last.
        to: u64,
    },
    /// A rule has more groups than it may keep: its detection is no longer exact.
    Pressure {
        /// The rule.
        rule: String,
    },
    /// A rule file was edited and is not valid; the rules before it go on.
    ReloadFailed {
        /// The first fault.
        fault: String,
    },
    /// A source should be read and cannot be, or its file is gone and has no successor.
    SourceStalled {
        /// The source; empty where the log directory itself cannot be read.
        source: String,
        /// The name of its file, or the directory.
        file: String,
        /// Why it is not read.
        why: String,
    },
}

/// Why bytes were not evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The file was cut, or written anew, before it was read to its end.
    Truncated,
    /// The file was gone before it was read to its end.
    RotatedAway,
    /// The bytes that a journalled turn had read can no longer be read.
    Replay,
    /// What was read before is not known any more.
    StateLost,
    /// A compressed file is damaged or cut off.
    Damaged,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Truncated, Self::RotatedAway, Self::Replay, Self::StateLost, Self::Damaged];

    /// As alerts and metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::RotatedAway => "rotated_away",
            Self::Replay => "replay",
            Self::StateLost => "state_lost",
            Self::Damaged => "damaged",
        }
    }
}

impl Notice {
    /// The id of the built-in rule.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "sentinel.gap",
            Self::LongLine { .. } => "sentinel.long_line",
            Self::Pressure { .. } => "sentinel.pressure",
            Self::ReloadFailed { .. } => "sentinel.reload_failed",
            Self::SourceStalled { .. } => "sentinel.source_stalled",
        }
    }

    /// The title of the built-in rule.
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "Lines were not evaluated",
            Self::LongLine { .. } => "A line is longer than what is matched of it",
            Self::Pressure { .. } => "A rule has more groups than it may keep",
            Self::ReloadFailed { .. } => "Edited rules are not valid; the old ones go on",
            Self::SourceStalled { .. } => "A source is not read any more",
        }
    }

    /// How much it matters.
    pub const fn level(&self) -> Level {
        match self {
            Self::Gap { .. } | Self::ReloadFailed { .. } => Level::High,
            Self::LongLine { .. } | Self::Pressure { .. } | Self::SourceStalled { .. } => {
                Level::Medium
            }
        }
    }

    /// A gap is told each time: what is lost is lost. The others repeat themselves.
    pub const fn cooldown(&self) -> Span {
        match self {
            Self::Gap { .. } => Span(0),
            Self::LongLine { .. } | Self::Pressure { .. } | Self::ReloadFailed { .. } => {
                Span::seconds(300)
            }
            Self::SourceStalled { .. } => Span::seconds(3_600),
        }
    }

    /// Its group.
    pub fn group(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Gap { source, file, reason, .. } => {
                let reason = reason.name().to_owned();
                vec![("source", source.clone()), ("file", file.clone()), ("reason", reason)]
            }
            Self::LongLine { source, file, .. } | Self::SourceStalled { source, file, .. } => {
                vec![("source", source.clone()), ("file", file.clone())]
            }
            Self::Pressure { rule } => vec![("rule", rule.clone())],
            Self::ReloadFailed { .. } => Vec::new(),
        }
    }

    /// One line for people.
    pub fn message(&self) -> String {
        match self {
            Self::Gap { file, from, to, reason, .. } => {
                let bytes = match to {
                    Some(to) => format!("{} bytes from {from}", to.saturating_sub(*from)),
                    None => format!("what follows byte {from}"),
                };
                format!("{file}: {bytes} could not be evaluated: {}", reason.name())
            }
            Self::LongLine { file, from, to, .. } => {
                format!("{file}: {} bytes from {from} of one line were not matched", to - from)
            }
            Self::Pressure { rule } => {
                format!("rule {rule} has more groups than it may keep: detection is not exact")
            }
            Self::ReloadFailed { fault } => format!("rules were not reloaded: {fault}"),
            Self::SourceStalled { file, why, .. } => format!("{file} is not read: {why}"),
        }
    }
}
