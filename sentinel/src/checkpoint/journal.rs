//! The turns since a snapshot, written together with the alerts they raised and before these are
//! shown to anyone.
//!
//! Each snapshot has a journal of its own, begun before the snapshot stands: until then a restart
//! goes on from the one before, through its journal and into the next.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::codec;
use crate::{
    notice::Notice, settings::Sync, sink::alerts_log::Mark, tail::identity::FileRecord, turn::Turn,
};

const MAGIC: &[u8] = b"sentinel journal 3\n";

/// Everything since the frame before: up to a turn that raised alerts, or to the end of a journal.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Files that are tailed since the frame before, as they were then.
    pub files: Vec<FileRecord>,
    /// Files that were left.
    pub left: BTreeSet<u32>,
    /// Every file that the turns read, as it stood after them: by this it is known to be the same.
    pub read: Vec<FileRecord>,
    /// In their order. None but the last one raised alerts.
    pub turns: Vec<Turn>,
    /// What still has to be told.
    pub notices: Vec<Notice>,
    /// The alerts' lines, as they are appended.
    pub alerts: String,
    /// `seq` of the last of them.
    pub seq: u64,
    /// Where they are appended.
    pub mark: Mark,
}

/// How a journal begins.
#[derive(Debug, Serialize, Deserialize)]
struct Start {
    generation: u64,
    /// Size of the journal that it goes on from: a shorter one has lost frames.
    after: u64,
}

/// What a restart repeats.
#[derive(Debug)]
pub struct Journalled {
    /// In their order.
    pub frames: Vec<Frame>,
    /// The next snapshot and its journal.
    pub generation: u64,
}

/// The journal that is written.
#[derive(Debug)]
pub struct Journal {
    generation: u64,
    file: Arc<File>,
    sync: Sync,
    start: u64,
    end: u64,
}

/// The frames written since the snapshot of that generation, in its own journal and those begun for
/// snapshots that never came to stand. A frame that was torn was not yet shown to anyone: nothing from
/// it on is read.
///
/// # Errors
/// A journal is there and cannot be read.
pub fn read(state_dir: &Path, generation: u64) -> io::Result<Journalled> {
    let mut journalled = Journalled { frames: Vec::new(), generation };
    let mut after = None;
    while let Some((mut frames, end)) = read_one(state_dir, journalled.generation, after)?
        && !frames.is_empty()
    {
        journalled.frames.append(&mut frames);
        journalled.generation += 1;
        after = Some(end);
    }
    Ok(journalled)
}

fn read_one(
    state_dir: &Path,
    generation: u64,
    after: Option<u64>,
) -> io::Result<Option<(Vec<Frame>, u64)>> {
    let bytes = match fs::read(path(state_dir, generation)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let start = bytes.strip_prefix(MAGIC).and_then(codec::decode::<Start>);
    let follows = |start: &Start| {
        start.generation == generation && after.is_none_or(|after| start.after == after)
    };
    let Some((_, mut rest)) = start.filter(|(start, _)| follows(start)) else { return Ok(None) };
    let mut frames = Vec::new();
    while let Some((frame, after)) = codec::decode(rest) {
        frames.push(frame);
        rest = after;
    }
    Ok(Some((frames, (bytes.len() - rest.len()) as u64)))
}

/// Removes the journals of all other snapshots.
///
/// # Errors
/// Those of the disk.
pub(super) fn remove_others(state_dir: &Path, generation: u64) -> io::Result<()> {
    for entry in fs::read_dir(state_dir)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "journal")
            && path != self::path(state_dir, generation)
        {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn path(state_dir: &Path, generation: u64) -> PathBuf {
    state_dir.join(format!("journal.{generation}"))
}

impl Journal {
    /// Begins the journal of a snapshot, in the place of one without frames.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn begin(state_dir: &Path, generation: u64, sync: Sync) -> io::Result<Self> {
        Self::after(0, state_dir, generation, sync)
    }

    /// Begins the one that goes on from this.
    ///
    /// # Errors
    /// Those of the disk; to be tried again.
    pub fn next(&self, state_dir: &Path) -> io::Result<Self> {
        Self::after(self.end, state_dir, self.generation + 1, self.sync)
    }

    fn after(after: u64, state_dir: &Path, generation: u64, sync: Sync) -> io::Result<Self> {
        let path = path(state_dir, generation);
        let file = super::private_file().create(true).truncate(true).open(path)?;
        let start = codec::encode(MAGIC.to_vec(), &Start { generation, after });
        file.write_all_at(&start, 0)?;
        if sync == Sync::Always {
            file.sync_data()?;
            File::open(state_dir)?.sync_all()?;
        }
        let start = start.len() as u64;
        Ok(Self { generation, file: Arc::new(file), sync, start, end: start })
    }

    /// Appends a frame: whole, or as if nothing had been written.
    ///
    /// # Errors
    /// Those of the disk; to be tried again.
    pub fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let bytes = codec::encode(Vec::new(), frame);
        let written = self.file.write_all_at(&bytes, self.end);
        let written = match self.sync {
            Sync::Always => written.and_then(|()| self.file.sync_data()),
            Sync::Second => written,
        };
        if let Err(error) = written {
            // A torn frame is not read, and the next attempt writes over it.
            return Err(self.file.set_len(self.end).err().unwrap_or(error));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Counts snapshots: a journal belongs to one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The file.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.end
    }

    /// It has no frames.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }
}
