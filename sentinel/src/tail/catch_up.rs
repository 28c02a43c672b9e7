//! What was rotated away from a path between two looks, read from its start: files beside it whose
//! content was never seen.

use std::{cmp::Reverse, io, path::Path, time::Instant};

use super::{
    FILES_MAX, Look, Tail,
    content::Content,
    identity::{FileRecord, HEAD_BYTES_MAX, Holds, Inode, Modified},
    past::Why,
    search,
    siblings::{self, Sibling},
};
use crate::{
    engine::Engine,
    notice::{Notice, Reason},
};

/// Files written and rotated between two looks that are still read.
const CATCHUP_MAX: usize = 16;

/// What a file beside a log is.
enum Beside {
    /// Known: it is tailed, was read, is a copy of such a one, or is none of ours.
    Known,
    /// One of the past, with more in it than was evaluated.
    Past(FileRecord),
    /// Never seen.
    Unseen,
}

impl Tail {
    /// Reads files that were rotated away from `path` and had changed no sooner than `since`: what
    /// was rotated before that was read before.
    ///
    /// # Errors
    /// One of them cannot be read now; to be tried again.
    pub(super) fn catch_up(
        &mut self,
        path: &Path,
        since: Modified,
        engine: &mut Engine,
        now: Instant,
        look: &mut Look,
    ) -> io::Result<()> {
        let mut unseen = Vec::new();
        for sibling in siblings::of(path) {
            if Modified::from(&sibling.metadata) < since || sibling.metadata.len() == 0 {
                continue;
            }
            let (mut content, _) = Content::open(&sibling.path)?;
            match self.beside(path, &sibling, &mut content)? {
                Beside::Known => {}
                Beside::Past(record) => self.tail_on(content, record, engine, now, look),
                Beside::Unseen => unseen.push((sibling, content)),
            }
        }
        let Some(source) = self.source_at(path) else { return Ok(()) };
        // Of two with one time the higher number is the older.
        unseen.sort_by_cached_key(|(one, _)| {
            (Modified::from(&one.metadata), Reverse(one.path.clone()))
        });
        let over = unseen.len().saturating_sub(CATCHUP_MAX.min(FILES_MAX - self.files.len()));
        for (one, mut content) in unseen.drain(..over) {
            let name = one.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            look.notices.push(Notice::Gap {
                source: source.clone(),
                file: name,
                from: 0,
                to: None,
                reason: Reason::RotatedAway,
            });
            self.foreign(&one, &mut content, path);
            look.changed = true;
        }
        for (one, content) in unseen {
            let record = FileRecord::new(self.next_file, &source, &one.metadata, path);
            self.next_file += 1;
            self.tail_on(content, record, engine, now, look);
        }
        Ok(())
    }

    /// Remembers the files beside a log that is seen for the first time: what was rotated before is
    /// not ours, also where it is as young as the log.
    pub(super) fn first_sight(&mut self, path: &Path, since: Modified, look: &mut Look) {
        for sibling in siblings::of(path) {
            if Modified::from(&sibling.metadata) >= since
                && let Ok((mut content, _)) = Content::open(&sibling.path)
            {
                self.foreign(&sibling, &mut content, path);
                look.changed = true;
            }
        }
    }

    fn foreign(&mut self, sibling: &Sibling, content: &mut Content, path: &Path) {
        let mut record = FileRecord::new(0, "", &sibling.metadata, path);
        if !content.is_packed() {
            // Where it cannot be read it is known by its inode and its time alone.
            record.skip_to(content, sibling.metadata.len()).ok();
        }
        self.past.add(record, Why::Foreign);
    }

    fn beside(
        &mut self,
        path: &Path,
        sibling: &Sibling,
        content: &mut Content,
    ) -> io::Result<Beside> {
        let inode = Inode::from(&sibling.metadata);
        let unchanged = |record: &FileRecord| {
            record.inode == inode && record.modified == Modified::from(&sibling.metadata)
        };
        if self.is_tailed(inode) || self.is_alerts(inode) || search::holds_alerts(content)? {
            return Ok(Beside::Known);
        }
        let begins = content.beginning(HEAD_BYTES_MAX)?;
        for tailed in &mut self.files {
            let copied = if tailed.record.offset == 0 {
                let its = tailed.beginning()?;
                let common = its.len().min(begins.len());
                tailed.record.path() == path && common > 0 && its[..common] == begins[..common]
            } else {
                (tailed.record.is_distinct() || tailed.record.path() == path)
                    && tailed.record.found_in(content)? != Holds::Nothing
            };
            if copied {
                return Ok(Beside::Known);
            }
        }
        let mut known = None;
        for gone in self.past.all().iter().rev() {
            let record = &gone.record;
            let same_inode = record.inode == inode && gone.why != Why::Foreign;
            if (gone.why == Why::Foreign || content.is_packed()) && unchanged(record) {
                return Ok(Beside::Known);
            }
            let holds = match record.offset {
                0 if same_inode => Holds::All,
                _ if record.is_distinct() || same_inode || record.path() == path => {
                    record.found_in(content)?
                }
                _ => Holds::Nothing,
            };
            match holds {
                Holds::All => {
                    let more = content.read_at(&mut [0], record.offset)? > 0;
                    if !more || gone.why == Why::Foreign {
                        return Ok(Beside::Known);
                    }
                    known = Some((record.file, record.inode));
                    break;
                }
                Holds::Beginning => return Ok(Beside::Known),
                Holds::Nothing => {}
            }
        }
        let past = known.and_then(|(file, inode)| self.past.take(file, inode));
        Ok(past.map_or(Beside::Unseen, |mut record| {
            record.inode = inode;
            Beside::Past(record)
        }))
    }
}
