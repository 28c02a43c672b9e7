//! One open file: what was read of it, what is ready, and how far its lines were evaluated.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    time::{Instant, SystemTime},
};

use super::{
    follow::{self, AtPath, Seen, Step},
    identity::{self, FileRecord, Inode},
};
use crate::{
    engine::Origin,
    line::{Buffer, Line},
};

/// An unfinished line up to this size is read again each time instead of being kept: it may be cut
/// off and written anew while it waits.
const FRAGMENT_BYTES_MAX: u64 = 64 << 10;

/// A file that is tailed.
#[derive(Debug)]
pub struct Tailed {
    /// What a restart needs to go on.
    pub record: FileRecord,
    /// How the engine knows it.
    pub origin: Origin,
    /// Its size at the last look.
    pub size: u64,
    /// When its last line was evaluated.
    pub last_line: Option<crate::time::Timestamp>,
    /// What keeps it from being read.
    pub fault: Option<String>,
    /// What stands at the path it was last seen at.
    pub at_path: AtPath,
    /// Files between it and the one at its path were looked for.
    pub followed: bool,
    file: File,
    buffer: Buffer,
    modified: Option<(i64, i64)>,
    grew: Instant,
    /// Bytes were read that do not follow what was evaluated.
    replaced: bool,
}

impl Tailed {
    /// Goes on with an open file where `record` says.
    pub fn new(file: File, record: FileRecord, origin: Origin, now: Instant) -> Self {
        let buffer = Buffer::at(record.offset);
        Self {
            record,
            origin,
            size: 0,
            last_line: None,
            fault: None,
            at_path: AtPath::Same,
            followed: false,
            file,
            buffer,
            modified: None,
            grew: now,
            replaced: false,
        }
    }

    /// Looks at the file and its path.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub fn look(&mut self, now: Instant) -> io::Result<Step> {
        let metadata = self.file.metadata()?;
        let modified = Some((metadata.mtime(), metadata.mtime_nsec()));
        let changed = modified != self.modified || metadata.size() != self.size;
        if changed {
            self.grew = now;
        }
        self.at_path = at_path(&self.record.path(), self.record.inode);
        let seen = Seen {
            size: metadata.size(),
            holds: !self.replaced && (!changed || self.record.still_holds(&self.file)?),
            unread: metadata.size() > self.buffer.read_to() || !self.buffer.whole().is_empty(),
            at_path: self.at_path,
            links: metadata.nlink(),
            quiet: now.duration_since(self.grew),
        };
        let step = follow::next(self.record.offset, seen);
        if step != Step::Anew {
            (self.size, self.modified) = (metadata.size(), modified);
        }
        Ok(step)
    }

    /// A second handle to the same file, for the record that takes over.
    ///
    /// # Errors
    /// No handle is left.
    pub fn reopen(&self) -> io::Result<(File, Metadata)> {
        let file = self.file.try_clone()?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    /// Whether it is at its path now.
    pub fn is_at_path(&self) -> bool {
        at_path(&self.record.path(), self.record.inode) == AtPath::Same
    }

    /// When its content last changed, as far as was seen.
    pub fn changed(&self) -> SystemTime {
        let metadata = self.file.metadata().and_then(|metadata| metadata.modified());
        metadata.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether what `record` tells of it stands in it.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub fn holds(&self, record: &FileRecord) -> io::Result<bool> {
        record.still_holds(&self.file)
    }

    /// Reads until a line is ready or the file has no more.
    ///
    /// # Errors
    /// Those of reading; what was read before stays.
    pub fn fill(&mut self) -> io::Result<()> {
        if !self.buffer.whole().is_empty() {
            return Ok(());
        }
        let file = &self.file;
        let waiting = self.buffer.read_to() - self.buffer.position();
        let last = self.buffer.last(identity::TAIL_BYTES_MAX);
        let last_from = self.buffer.read_to() - last.len() as u64;
        if waiting <= FRAGMENT_BYTES_MAX || !identity::stands_at(file, last, last_from)? {
            self.buffer = Buffer::at(self.record.offset);
        }
        self.buffer.fill(u64::MAX, |into, from| retry(|| file.read_at(into, from)))?;
        // Asked after the read: it may be replaced between a look and a read, and then what was
        // read belongs to the new content and will be read again as that.
        if !self.buffer.whole().is_empty() && !self.record.still_holds(file)? {
            self.buffer = Buffer::at(self.record.offset);
            self.replaced = true;
        }
        Ok(())
    }

    /// Reads on up to `to` and no further, as it was read once before.
    ///
    /// # Errors
    /// Those of reading, or the file ends before `to`.
    pub fn fill_to(&mut self, to: u64) -> io::Result<()> {
        let file = &self.file;
        self.buffer.fill(to.saturating_sub(self.buffer.read_to()), |into, from| {
            let left = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
            let into = into.get_mut(..left.min(into.len())).unwrap_or_default();
            match retry(|| file.read_at(into, from))? {
                0 if left > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            }
        })?;
        if self.buffer.whole().is_empty() {
            self.buffer.finish();
        }
        Ok(())
    }

    /// The lines that are ready.
    pub fn ready(&self) -> &[u8] {
        self.buffer.whole()
    }

    /// There was more to read at the last look.
    pub fn has_more(&self) -> bool {
        self.buffer.more()
    }

    /// What stands after the last line end is a line: the file will not grow.
    pub fn finish(&mut self) -> bool {
        let fragment = self.buffer.has_fragment();
        self.buffer.finish();
        fragment
    }

    /// Bytes that were not evaluated yet.
    pub fn lag(&self) -> u64 {
        self.size.saturating_sub(self.record.offset)
    }

    /// Evaluates the first `len` ready bytes; gives the bytes of the file that they are.
    pub fn take(&mut self, len: usize, mut line: impl FnMut(&Origin, Line<'_>)) -> (u64, u64) {
        let (from, to) = (self.record.offset, self.buffer.position_after(len));
        self.record.advance(self.buffer.whole().get(..len).unwrap_or_default(), to);
        self.buffer.take(len, |next| line(&self.origin, next));
        (from, to)
    }
}

fn at_path(path: &Path, inode: Inode) -> AtPath {
    match std::fs::metadata(path) {
        Ok(found) if Inode::from(&found) == inode => AtPath::Same,
        Ok(_) => AtPath::Other,
        Err(_) => AtPath::Nothing,
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
