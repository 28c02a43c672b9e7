//! Which file is which, on evidence: device and inode, the bytes it begins with, and the bytes
//! before the place that was read to. Each alone is wrong somewhere: inodes are used again, paths
//! are rotated, heads are alike.

use std::{
    ffi::OsString,
    fs::Metadata,
    io,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::content::Content;
use crate::notice::{Notice, Reason};

/// Most bytes of a file's beginning that are remembered.
pub const HEAD_BYTES_MAX: usize = 1024;
/// Most bytes before the read position that are remembered.
pub const TAIL_BYTES_MAX: usize = 64;
/// A shorter beginning is nobody's alone.
pub const HEAD_BYTES_ENOUGH: usize = 64;

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Inode {
    dev: u64,
    ino: u64,
}

impl Inode {
    /// The number alone: a device may have another one when the machine has started again.
    pub fn ino(self) -> u64 {
        self.ino
    }
}

impl From<&Metadata> for Inode {
    fn from(metadata: &Metadata) -> Self {
        Self { dev: metadata.dev(), ino: metadata.ino() }
    }
}

/// When a file's content last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Modified {
    seconds: i64,
    nanos: i64,
}

impl From<&Metadata> for Modified {
    fn from(metadata: &Metadata) -> Self {
        Self { seconds: metadata.mtime(), nanos: metadata.mtime_nsec() }
    }
}

/// What a file holds of what was evaluated of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All of it: the same file, or a copy.
    All,
    /// A beginning of it: a copy in the making.
    Beginning,
    /// Nothing.
    Nothing,
}

/// What is remembered of a file: enough to find the place again, and to know that it is the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its number in turns; never given twice.
    pub file: u32,
    /// The source it belongs to.
    pub source: String,
    /// Where it is on disk.
    pub inode: Inode,
    /// Up to here its lines were evaluated.
    pub offset: u64,
    /// Its first bytes, as many as were evaluated, up to [`HEAD_BYTES_MAX`].
    head: Vec<u8>,
    /// The bytes before `offset`, up to [`TAIL_BYTES_MAX`].
    tail: Vec<u8>,
    /// The path it was last seen at, as bytes: a path need not be text.
    path: Vec<u8>,
    /// When it had changed last, when it was last seen at its path. What is rotated after it changed
    /// no sooner.
    pub modified: Modified,
}

impl FileRecord {
    /// A file of which nothing was evaluated yet.
    pub fn new(file: u32, source: &str, metadata: &Metadata, path: &Path) -> Self {
        Self {
            file,
            source: source.to_owned(),
            inode: Inode::from(metadata),
            modified: Modified::from(metadata),
            offset: 0,
            head: Vec::new(),
            tail: Vec::new(),
            path: path.as_os_str().as_bytes().to_vec(),
        }
    }

    /// The path it was last seen at.
    pub fn path(&self) -> PathBuf {
        OsString::from_vec(self.path.clone()).into()
    }

    /// It was seen at another path.
    pub fn moved(&mut self, path: &Path) {
        self.path = path.as_os_str().as_bytes().to_vec();
    }

    /// The name it was last seen under.
    pub fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The notice that what follows the evaluated bytes, up to `to` where that is known, could not be.
    pub fn gap(&self, to: Option<u64>, reason: Reason) -> Notice {
        self.gap_from(self.offset, to, reason)
    }

    /// The notice that what stands from `from` on could not be evaluated.
    pub fn gap_from(&self, from: u64, to: Option<u64>, reason: Reason) -> Notice {
        Notice::Gap { source: self.source.clone(), file: self.name(), from, to, reason }
    }

    /// `taken` was evaluated, the last bytes before `offset`; something between the old offset and
    /// `taken` may have been left out.
    pub fn advance(&mut self, taken: &[u8], offset: u64) {
        if self.offset == self.head.len() as u64 {
            let room = HEAD_BYTES_MAX - self.head.len();
            self.head.extend_from_slice(taken.get(..room.min(taken.len())).unwrap_or_default());
        }
        self.tail.extend_from_slice(
            taken.get(taken.len().saturating_sub(TAIL_BYTES_MAX)..).unwrap_or_default(),
        );
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES_MAX));
        self.offset = offset;
    }

    /// Begins at `offset` of a file whose lines before that are not evaluated.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter.
    pub fn skip_to(&mut self, content: &mut Content, offset: u64) -> io::Result<()> {
        let mut head = vec![0; HEAD_BYTES_MAX.min(usize::try_from(offset).unwrap_or(usize::MAX))];
        let tail_from = offset.saturating_sub(TAIL_BYTES_MAX as u64);
        let mut tail = vec![0; usize::try_from(offset - tail_from).unwrap_or(TAIL_BYTES_MAX)];
        let whole = content.read_all_at(&mut head, 0)? == head.len()
            && content.read_all_at(&mut tail, tail_from)? == tail.len();
        if !whole {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.head, self.tail, self.offset) = (head, tail, offset);
        Ok(())
    }

    /// Its beginning is enough to know it by.
    pub fn is_distinct(&self) -> bool {
        self.head.len() >= HEAD_BYTES_ENOUGH
    }

    /// Whether what was evaluated still stands where it was.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn still_holds(&self, content: &mut Content) -> io::Result<bool> {
        let tail_from = self.offset - self.tail.len() as u64;
        Ok(content.stands_at(&self.head, 0)? && content.stands_at(&self.tail, tail_from)?)
    }

    /// How much of what was evaluated stands in another file; nothing where nothing was.
    ///
    /// # Errors
    /// That file cannot be read.
    pub fn found_in(&self, content: &mut Content) -> io::Result<Holds> {
        let begins = content.beginning(self.head.len())?;
        if begins.is_empty() || !self.head.starts_with(&begins) {
            return Ok(Holds::Nothing);
        }
        let mut tail = vec![0; self.tail.len()];
        let read = content.read_all_at(&mut tail, self.offset - self.tail.len() as u64)?;
        Ok(match (read == tail.len(), tail == self.tail) {
            (true, true) => Holds::All,
            (true, false) => Holds::Nothing,
            // Shorter than what was evaluated, and equal to it in its first kilobyte.
            (false, _) => Holds::Beginning,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use super::*;

    fn tempfile(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn file(bytes: &[u8]) -> Content {
        tempfile(bytes).into()
    }

    fn read(bytes: &[u8], steps: &[usize]) -> FileRecord {
        let metadata = tempfile(b"").metadata().unwrap();
        let mut record = FileRecord::new(1, "a", &metadata, Path::new("/logs/a.log"));
        let mut at = 0;
        for step in steps {
            record.advance(&bytes[at..at + step], (at + step) as u64);
            at += step;
        }
        record
    }

    #[test]
    fn a_file_that_grew_holds_and_one_that_was_written_anew_does_not() {
        let old: Vec<u8> = (0..4_000_u32).map(|i| b'a' + (i % 25) as u8).collect();
        let grown = [&old[..], b"more"].concat();
        let mut other_head = grown.clone();
        other_head[3] = b'!';
        let mut other_tail = grown.clone();
        other_tail[2_999] = b'!';
        let mut other_middle = grown.clone();
        other_middle[2_000] = b'!';
        for steps in [&[3_000][..], &[10, 90, 1_900, 1_000], &[1_024, 1_976], &[1, 1, 2_998]] {
            let record = read(&old, steps);
            assert_eq!(record.offset, 3_000);
            assert!(record.still_holds(&mut file(&grown)).unwrap());
            assert!(record.still_holds(&mut file(&old[..3_000])).unwrap());
            assert!(!record.still_holds(&mut file(&old[..2_999])).unwrap());
            assert!(!record.still_holds(&mut file(&other_head)).unwrap());
            assert!(!record.still_holds(&mut file(&other_tail)).unwrap());
            assert!(record.still_holds(&mut file(&other_middle)).unwrap());
        }
    }

    #[test]
    fn a_file_of_which_nothing_was_read_is_any_file() {
        assert!(read(b"", &[]).still_holds(&mut file(b"anything")).unwrap());
    }

    #[test]
    fn what_was_skipped_is_known_like_what_was_read() {
        let bytes = vec![b'x'; 2_000];
        let mut skipped = read(b"", &[]);
        skipped.skip_to(&mut file(&bytes), 1_500).unwrap();
        let mut taken = read(&bytes, &[1_500]);
        (taken.inode, taken.modified) = (skipped.inode, skipped.modified);
        assert_eq!(skipped, taken);
    }

    #[test]
    fn a_copy_holds_all_or_a_beginning_and_another_file_nothing() {
        let old: Vec<u8> = (0..4_000_u32).map(|i| b'a' + (i % 25) as u8).collect();
        let mut other = old.clone();
        other[2_999] = b'!';
        let record = read(&old, &[3_000]);
        #[track_caller]
        fn check(record: &FileRecord, bytes: &[u8], expected: Holds) {
            assert_eq!(record.found_in(&mut file(bytes)).unwrap(), expected);
        }
        check(&record, &old, Holds::All);
        check(&record, &old[..3_000], Holds::All);
        check(&record, &old[..2_999], Holds::Beginning);
        check(&record, &old[..1], Holds::Beginning);
        check(&record, b"", Holds::Nothing);
        check(&record, b"another", Holds::Nothing);
        check(&record, &other, Holds::Nothing);
        check(&read(b"", &[]), &old, Holds::Nothing);
    }
}
