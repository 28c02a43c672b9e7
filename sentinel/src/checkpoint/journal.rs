//! The turns since the snapshot, written together with the alerts they raised and before these are
//! shown to anyone.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::codec;
use crate::{sink::alerts_log::Mark, tail::identity::FileRecord, turn::Turn};

const NAME: &str = "journal";
const MAGIC: &[u8] = b"sentinel journal 2\n";

/// Everything since the frame before, ending with a turn that raised alerts.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Files that are tailed since the frame before, as they were then.
    pub files: Vec<FileRecord>,
    /// Files that were left.
    pub left: BTreeSet<u32>,
    /// Every file that the turns read, as it stood after them: by this it is known to be the same.
    pub read: Vec<FileRecord>,
    /// In their order. Only the last one raised alerts.
    pub turns: Vec<Turn>,
    /// The alerts' lines, as they are appended.
    pub alerts: String,
    /// `seq` of the last of them.
    pub seq: u64,
    /// Where they are appended.
    pub mark: Mark,
}

/// The journal of one snapshot.
#[derive(Debug)]
pub struct Journal {
    file: File,
    end: u64,
}

impl Journal {
    /// The frames written since the snapshot of that generation. A frame that was torn was not yet
    /// shown to anyone: nothing from it on is read.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(state_dir: &Path, generation: u64) -> io::Result<Vec<Frame>> {
        let mut bytes = Vec::new();
        match File::open(state_dir.join(NAME)) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let mut frames = Vec::new();
        let started = bytes.strip_prefix(MAGIC).and_then(codec::decode::<u64>);
        let Some((_, mut rest)) = started.filter(|(of, _)| *of == generation) else {
            return Ok(frames);
        };
        while let Some((frame, after)) = codec::decode(rest) {
            frames.push(frame);
            rest = after;
        }
        Ok(frames)
    }

    /// Begins the journal of a snapshot: the one before is of no more use.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn begin(state_dir: &Path, generation: u64) -> io::Result<Self> {
        let file = super::private_file().create(true).truncate(true).open(state_dir.join(NAME))?;
        let start = [MAGIC, &codec::encode(&generation)].concat();
        file.write_all_at(&start, 0)?;
        Ok(Self { file, end: start.len() as u64 })
    }

    /// Appends a frame: whole, or as if nothing had been written.
    ///
    /// # Errors
    /// Those of the disk; to be tried again.
    pub fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let bytes = codec::encode(frame);
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            // A torn frame is not read, and the next attempt writes over it.
            return Err(self.file.set_len(self.end).err().unwrap_or(error));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.end
    }
}
