//! The whole state at one point, written beside the old one and put in its place.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::codec;
use crate::{
    engine::State,
    notice::Notice,
    tail::{identity::FileRecord, past::Gone},
};

const NAME: &str = "snapshot";
const MAGIC: &[u8] = b"sentinel snapshot 2\n";

/// Where everything stood: `S` is the engine's state when it is read, and a reference to it when it
/// is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot<S> {
    /// Counts snapshots: a journal belongs to one.
    pub generation: u64,
    /// What the engine remembers.
    pub state: S,
    /// The files that were tailed.
    pub files: Vec<FileRecord>,
    /// Files that were not tailed any more.
    pub past: Vec<Gone>,
    /// The number of the next file.
    pub next_file: u32,
    /// What still has to be told.
    pub notices: Vec<Notice>,
}

/// Why there is no snapshot to go on from.
#[derive(Debug)]
pub enum Missing {
    /// There never was one here.
    Never,
    /// It is there and cannot be believed.
    Broken,
}

impl Snapshot<State> {
    /// Reads the snapshot of a state directory.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(state_dir: &Path) -> io::Result<Result<Self, Missing>> {
        let bytes = match fs::read(state_dir.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(Missing::Never));
            }
            Err(error) => return Err(error),
        };
        let read = bytes.strip_prefix(MAGIC).and_then(codec::decode);
        Ok(read.map(|(snapshot, _)| snapshot).ok_or(Missing::Broken))
    }
}

impl Snapshot<&State> {
    /// Puts this snapshot in the place of the one before: whole or not at all.
    ///
    /// # Errors
    /// Those of the disk; the one before still stands.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        let fresh = state_dir.join("snapshot.tmp");
        let mut file = super::private_file().create(true).truncate(true).open(&fresh)?;
        file.write_all(MAGIC)?;
        file.write_all(&codec::encode(self))?;
        file.sync_all()?;
        fs::rename(&fresh, state_dir.join(NAME))?;
        File::open(state_dir)?.sync_all()
    }
}
