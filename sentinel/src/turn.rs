//! What the engine was told, in the order and at the time it was told: all that its state depends
//! on. The same turns give the same state and the same alerts.

use serde::{Deserialize, Serialize};

use crate::{notice::Notice, time::Timestamp};

/// One round of evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The wall clock, read once.
    pub now: Timestamp,
    /// In the order they were evaluated.
    pub inputs: Vec<Input>,
}

/// One thing that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Whole lines of a file. What stands after the last line end up to `to` is a line as well.
    Lines {
        /// The file's number.
        file: u32,
        /// The first byte.
        from: u64,
        /// The byte after the last.
        to: u64,
    },
    /// Something sentinel said of itself.
    Notice(Notice),
}
