//! Files that are not tailed now, and what is known of them: where they are seen again, their lines
//! are not evaluated twice.

use serde::{Deserialize, Serialize};

use super::identity::{FileRecord, Inode};

/// Files of the past that are remembered; the oldest are forgotten.
pub const PAST_MAX: usize = 512;

/// Why a file is not tailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// It was read to its end and had settled. What is written to it later is still read.
    Read,
    /// It was not found when sentinel started, and that was told. It may come back.
    Missing,
    /// It is there and could not be opened when sentinel started.
    Unreadable,
    /// It had been rotated away before its log was first seen.
    Foreign,
}

/// A file of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// What is known of it.
    pub record: FileRecord,
    /// Why it is not tailed.
    pub why: Why,
}

/// The files of the past, those that came last at the end.
#[derive(Debug, Default)]
pub struct Past(Vec<Gone>);

impl Past {
    /// As it was kept.
    pub fn new(kept: Vec<Gone>) -> Self {
        Self(kept)
    }

    /// One more.
    pub fn add(&mut self, record: FileRecord, why: Why) {
        self.0.push(Gone { record, why });
        self.0.drain(..self.0.len().saturating_sub(PAST_MAX));
    }

    /// All of them.
    pub fn all(&self) -> &[Gone] {
        &self.0
    }

    /// The last one with that inode.
    pub fn with_inode(&self, inode: Inode) -> Option<&Gone> {
        self.0.iter().rfind(|gone| gone.record.inode == inode)
    }

    /// Takes one out.
    pub fn take(&mut self, file: u32, inode: Inode) -> Option<FileRecord> {
        let found = self
            .0
            .iter()
            .rposition(|gone| (gone.record.file, gone.record.inode) == (file, inode))?;
        Some(self.0.remove(found).record)
    }
}
