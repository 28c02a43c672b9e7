//! A file beside a log in; whether its content was seen before, by everything that is known of files
//! that are tailed or were, out.

use std::{cmp::Reverse, io, path::Path};

use super::{
    Tail,
    content::Content,
    file::Tailed,
    identity::{FileRecord, HEAD_BYTES_MAX, Holds, Inode, Modified},
    past::{Gone, Why},
    search,
    siblings::Sibling,
};

/// What a file beside a log is.
pub(super) enum Beside {
    /// Known: it is tailed, was read, is a copy of such a one, or is none of ours.
    Known,
    /// One of the past, with more in it than was evaluated.
    Past(Content, FileRecord),
    /// Never seen.
    Unseen(Unseen),
}

/// A file of which it is asked whether its content was seen.
pub(super) struct Unseen {
    pub(super) sibling: Sibling,
    pub(super) content: Content,
    begins: Vec<u8>,
}

/// Of several copies of one content the longest, one that is not compressed before one that is.
pub(super) fn without_copies(mut unseen: Vec<Unseen>) -> Vec<Unseen> {
    unseen.sort_by_key(|one| Reverse((!one.content.is_packed(), one.sibling.metadata.len())));
    let mut kept: Vec<Unseen> = Vec::with_capacity(unseen.len());
    for one in unseen {
        if !kept.iter().any(|kept| begin_alike(&kept.begins, &one.begins)) {
            kept.push(one);
        }
    }
    kept
}

/// Whether one of them is the beginning of the other.
fn begin_alike(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

impl Tail {
    /// What a file beside the log at `path` is.
    ///
    /// # Errors
    /// It, or a file that is tailed, cannot be read.
    pub(super) fn beside(&mut self, path: &Path, sibling: Sibling) -> io::Result<Beside> {
        let (mut content, _) = Content::open(&sibling.path)?;
        let inode = Inode::from(&sibling.metadata);
        if self.is_tailed(inode) || self.is_alerts(inode) || search::holds_alerts(&mut content)? {
            return Ok(Beside::Known);
        }
        let mut one = Unseen { begins: content.beginning(HEAD_BYTES_MAX)?, sibling, content };
        for tailed in &mut self.files {
            if one.is_copy_of(tailed, path)? {
                return Ok(Beside::Known);
            }
        }
        for gone in self.past.all().iter().rev() {
            match one.holds(gone, path)? {
                Holds::All if gone.why != Why::Foreign && one.goes_on_behind(&gone.record)? => {
                    let (file, known) = (gone.record.file, gone.record.inode);
                    let Some(mut record) = self.past.take(file, known) else { break };
                    record.inode = inode;
                    return Ok(Beside::Past(one.content, record));
                }
                Holds::All | Holds::Beginning => return Ok(Beside::Known),
                Holds::Nothing => {}
            }
        }
        Ok(Beside::Unseen(one))
    }
}

impl Unseen {
    /// Whether it is a copy of a file that is tailed, of the log at `path` or one that is known by
    /// what it begins with.
    fn is_copy_of(&mut self, tailed: &mut Tailed, path: &Path) -> io::Result<bool> {
        let is_of_log = tailed.record.path() == path;
        if tailed.record.offset > 0 {
            return Ok((is_of_log || tailed.record.is_distinct())
                && tailed.record.found_in(&mut self.content)? != Holds::Nothing);
        }
        if !is_of_log {
            return Ok(false);
        }
        // Nothing of it was evaluated yet: by what it holds now. What is longer than a file that was
        // not cut is no copy of it.
        let its = tailed.beginning()?;
        let longer =
            !self.content.is_packed() && self.sibling.metadata.len() > tailed.size_now()?;
        Ok(!longer && !its.is_empty() && !self.begins.is_empty() && begin_alike(&its, &self.begins))
    }

    /// How much it holds of what was evaluated of a file of the past.
    fn holds(&mut self, gone: &Gone, path: &Path) -> io::Result<Holds> {
        let (record, metadata) = (&gone.record, &self.sibling.metadata);
        let is_foreign = gone.why == Why::Foreign;
        let same_inode = record.inode == Inode::from(metadata);
        let unchanged = same_inode && record.modified == Modified::from(metadata);
        if (is_foreign || self.content.is_packed()) && unchanged {
            // There is nothing in it that was not there then.
            return Ok(Holds::Beginning);
        }
        let is_itself = same_inode && !is_foreign;
        match record.offset {
            0 if is_itself => Ok(Holds::All),
            _ if record.is_distinct() || is_itself || record.path() == path => {
                record.found_in(&mut self.content)
            }
            _ => Ok(Holds::Nothing),
        }
    }

    /// There is more in it than was evaluated.
    fn goes_on_behind(&mut self, record: &FileRecord) -> io::Result<bool> {
        Ok(self.content.read_at(&mut [0], record.offset)? > 0)
    }
}
