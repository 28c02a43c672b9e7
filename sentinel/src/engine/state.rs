//! What the engine remembers from turn to turn: the part of it that a snapshot keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{group::Groups, time::Timestamp};

/// Everything the engine remembers from turn to turn.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct State {
    /// Names this installation; random, and the key of every hash of what strangers sent.
    pub install: u128,
    /// Of the last alert.
    pub seq: u64,
    pub(super) marks: BTreeMap<String, Mark>,
    pub(super) origins: BTreeMap<u32, (String, String)>,
    pub(super) rules: Vec<Remembered>,
    pub(super) notices: BTreeMap<String, Told>,
}

impl State {
    /// Of a new installation, whose first alert is the one after `seq`.
    pub fn begin(install: u128, seq: u64) -> Self {
        Self { install, seq, ..Self::default() }
    }
}

/// How far the lines of one source have come.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) newest: Timestamp,
    pub(super) last: Timestamp,
}

/// What a rule remembers; of use only to a rule that means the same.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) id: String,
    pub(super) digest: u128,
    pub(super) groups: Groups,
}

/// Until when a notice that was told is not told again, and how often it was held back since.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) until: Timestamp,
    pub(super) folded: u64,
}
