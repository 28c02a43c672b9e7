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
    sink::alerts_log::Mark,
    tail::{identity::FileRecord, past::Gone},
};

const NAME: &str = "snapshot";
const MAGIC: &[u8] = b"sentinel snapshot 4\n";

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
    /// Up to where the alerts that were raised stand in alerts.log.
    pub mark: Mark,
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
    /// Its bytes, as they are written.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(MAGIC.to_vec(), self)
    }
}

/// Puts a snapshot in the place of the one before: whole or not at all.
///
/// # Errors
/// Those of the disk; the one before still stands.
pub(super) fn put(state_dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = state_dir.join("snapshot.tmp");
    let written = write(&fresh, bytes).and_then(|()| fs::rename(&fresh, state_dir.join(NAME)));
    if let Err(error) = written {
        // What did not fit must not keep alerts and logs from the space that is left.
        fs::remove_file(&fresh).ok();
        return Err(error);
    }
    File::open(state_dir)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = super::private_file().create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
