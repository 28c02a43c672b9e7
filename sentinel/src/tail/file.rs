//! One open file: what was read of it, what is ready, and how far its lines were evaluated.

use std::{fs::Metadata, io, os::unix::fs::MetadataExt as _, path::Path, time::Instant};

use super::{
    content::Content,
    follow::{self, AtPath, Seen, Step},
    identity::{self, FileRecord, Inode, Modified},
    search,
};
use crate::{
    engine::Origin,
    line::{Buffer, Line},
    time::Timestamp,
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
    /// Its size at the last look; of a compressed file what was read of it.
    pub size: u64,
    /// When its last line was evaluated.
    pub last_line: Option<Timestamp>,
    /// What keeps it from being read.
    pub fault: Option<String>,
    /// What stands at the path it was last seen at.
    pub at_path: AtPath,
    /// When it had changed last, as of the look before.
    pub modified_before: Modified,
    content: Content,
    buffer: Buffer,
    modified: Option<Modified>,
    grew: Instant,
    /// Bytes were read that do not follow what was evaluated.
    replaced: bool,
    /// What is compressed in it is damaged from here on.
    damaged: bool,
    /// It was empty when it was opened, and became a file of alerts.
    alerts: bool,
}

impl Tailed {
    /// Goes on with an open file where `record` says.
    pub fn new(content: Content, record: FileRecord, origin: Origin, now: Instant) -> Self {
        let buffer = Buffer::at(record.offset);
        Self {
            modified_before: record.modified,
            record,
            origin,
            size: 0,
            last_line: None,
            fault: None,
            at_path: AtPath::Same,
            content,
            buffer,
            modified: None,
            grew: now,
            replaced: false,
            damaged: false,
            alerts: false,
        }
    }

    /// Goes on in another file, which holds what was evaluated and more.
    pub fn go_on_in(&mut self, content: Content, inode: Inode, now: Instant) {
        self.record.inode = inode;
        self.buffer = Buffer::at(self.record.offset);
        self.content = content;
        (self.size, self.modified, self.grew) = (0, None, now);
        self.replaced = false;
    }

    /// Looks at the file and its path.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub fn look(&mut self, now: Instant) -> io::Result<Step> {
        let metadata = self.content.metadata()?;
        let modified = Modified::from(&metadata);
        if self.alerts {
            return Ok(Step::Leave);
        }
        self.at_path = at_path(&self.record.path(), self.record.inode);
        if self.content.is_packed() {
            self.size = self.buffer.read_to();
            let read = !self.buffer.more() && self.buffer.whole().is_empty();
            let step = if read { Step::Leave } else { Step::Read };
            return Ok(step);
        }
        let changed = Some(modified) != self.modified || metadata.size() != self.size;
        if changed {
            self.grew = now;
        }
        let seen = Seen {
            size: metadata.size(),
            holds: !self.replaced && (!changed || self.read().still_holds(&mut self.content)?),
            unread: metadata.size() > self.buffer.read_to() || !self.buffer.whole().is_empty(),
            at_path: self.at_path,
            links: metadata.nlink(),
            quiet: now.duration_since(self.grew),
        };
        let step = follow::next(self.record.offset, seen);
        self.modified_before = self.record.modified;
        if step != Step::Anew {
            (self.size, self.modified) = (metadata.size(), Some(modified));
            if self.at_path == AtPath::Same {
                self.record.modified = modified;
            }
        }
        Ok(step)
    }

    /// A second handle to the same file, for the record that takes over.
    ///
    /// # Errors
    /// No handle is left.
    pub fn reopen(&self) -> io::Result<(Content, Metadata)> {
        let content = self.content.again()?;
        let metadata = content.metadata()?;
        Ok((content, metadata))
    }

    /// What is known of it with the lines that are ready: they were read and may be gone since.
    pub fn read(&self) -> FileRecord {
        let (mut record, ready) = (self.record.clone(), self.buffer.whole());
        if !ready.is_empty() {
            record.advance(ready, self.buffer.position_after(ready.len()));
        }
        record
    }

    /// It holds alerts, and is no source.
    pub fn holds_alerts(&self) -> bool {
        self.alerts
    }

    /// What is compressed in it could not be read to its end.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Whether it is at its path now.
    pub fn is_at_path(&self) -> bool {
        at_path(&self.record.path(), self.record.inode) == AtPath::Same
    }

    /// Its size now, in bytes.
    ///
    /// # Errors
    /// The file can no longer be asked.
    pub fn size_now(&self) -> io::Result<u64> {
        Ok(self.content.metadata()?.len())
    }

    /// Its first bytes, evaluated or not.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub fn beginning(&mut self) -> io::Result<Vec<u8>> {
        self.content.beginning(identity::HEAD_BYTES_MAX)
    }

    /// Reads until a line is ready or the file has no more.
    ///
    /// # Errors
    /// Those of reading; what was read before stays.
    pub fn fill(&mut self) -> io::Result<()> {
        if !self.buffer.whole().is_empty() || self.alerts {
            return Ok(());
        }
        let content = &mut self.content;
        if content.is_packed() {
            let read = self.buffer.fill(u64::MAX, |into, from| content.read_at(into, from));
            // Its disk can be asked again, what it holds cannot.
            let damaged = read.as_ref().is_err_and(|error| error.raw_os_error().is_none());
            self.damaged |= damaged;
            if damaged {
                self.buffer.end();
                return Ok(());
            }
            return read;
        }
        let waiting = self.buffer.read_to() - self.buffer.position();
        let last = self.buffer.last(identity::TAIL_BYTES_MAX);
        let last_from = self.buffer.read_to() - last.len() as u64;
        if waiting <= FRAGMENT_BYTES_MAX || !content.stands_at(last, last_from)? {
            self.buffer = Buffer::at(self.record.offset);
        }
        self.buffer.fill(u64::MAX, |into, from| content.read_at(into, from))?;
        // Asked after the read: it may be replaced between a look and a read, and then what was
        // read belongs to the new content and will be read again as that.
        if !self.buffer.whole().is_empty() && !self.record.still_holds(content)? {
            self.buffer = Buffer::at(self.record.offset);
            self.replaced = true;
        }
        if self.record.offset == 0 && !self.buffer.whole().is_empty() {
            self.alerts = search::holds_alerts(content)?;
            if self.alerts {
                self.buffer = Buffer::at(0);
            }
        }
        Ok(())
    }

    /// Reads on up to `to` and no further, as it was read once before.
    ///
    /// # Errors
    /// Those of reading, or the file ends before `to`.
    pub fn fill_to(&mut self, to: u64) -> io::Result<()> {
        let content = &mut self.content;
        self.buffer.fill(to.saturating_sub(self.buffer.read_to()), |into, from| {
            let left = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
            let into = into.get_mut(..left.min(into.len())).unwrap_or_default();
            match content.read_at(into, from)? {
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
