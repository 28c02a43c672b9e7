//! A look at every file and at the directory: what is read on, begun, or left.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    From, Tail,
    content::Content,
    discover,
    follow::{AtPath, Step},
    identity::{FileRecord, Inode},
    past::Why,
    search, siblings,
};
use crate::{
    engine::Engine,
    notice::{Notice, Reason},
};

/// Between two looks for late writes into files that were left.
const REVISIT_EVERY: Duration = Duration::from_secs(10);

/// What a look at the directory brought.
#[derive(Debug, Default)]
pub struct Look {
    /// Files that are tailed from now on.
    pub fresh: Vec<FileRecord>,
    /// Files that are no longer tailed.
    pub left: Vec<u32>,
    /// Something else has changed that a restart must know.
    pub changed: bool,
    /// What has to be said.
    pub notices: Vec<Notice>,
}

/// How often files were rotated.
#[derive(Debug, Default, Clone, Copy)]
pub struct Rotations {
    /// Another file stood at the path.
    pub renamed: u64,
    /// The content was replaced in place.
    pub truncated: u64,
}

impl Tail {
    /// Looks at every file and at the directory.
    pub fn look(&mut self, engine: &mut Engine, from: From, now: Instant) -> Look {
        let mut look = Look::default();
        let mut index = 0;
        while let Some(tailed) = self.files.get_mut(index) {
            let was_at_path = tailed.at_path == AtPath::Same;
            match tailed.look(now) {
                Ok(step) => {
                    tailed.fault = None;
                    let renamed = was_at_path && tailed.at_path != AtPath::Same;
                    self.rotations.renamed += u64::from(renamed);
                    self.rotations.truncated += u64::from(step == Step::Anew);
                    if !self.step(index, step, engine, now, &mut look) {
                        continue;
                    }
                }
                Err(error) => tailed.fault = Some(error.to_string()),
            }
            index += 1;
        }
        self.faults.clear();
        self.discover(engine, from, now, &mut look);
        self.revisit(engine, now, &mut look);
        self.follow_rotation(engine, now, &mut look);
        look
    }

    /// Takes the next step with a file. False where it is not tailed any more.
    fn step(
        &mut self,
        index: usize,
        step: Step,
        engine: &mut Engine,
        now: Instant,
        look: &mut Look,
    ) -> bool {
        let Some(tailed) = self.files.get_mut(index) else { return false };
        match step {
            Step::Read => true,
            Step::Leave if !tailed.holds_alerts() && tailed.finish() => true,
            Step::Leave => {
                let left = self.files.remove(index);
                look.left.push(left.record.file);
                if left.holds_alerts() {
                    return false;
                }
                if left.is_damaged() {
                    look.notices.push(left.record.gap(None, Reason::Damaged));
                }
                self.past.add(left.record, Why::Read);
                false
            }
            Step::Anew => self.anew(index, engine, now, look),
        }
    }

    /// The content of a file was replaced. Where a copy of the old content is found the record goes
    /// on in that; the file begins anew under a number of its own. False where it only took the
    /// place of the old one.
    fn anew(&mut self, index: usize, engine: &mut Engine, now: Instant, look: &mut Look) -> bool {
        let Some(tailed) = self.files.get_mut(index) else { return false };
        let (content, metadata) = match tailed.reopen() {
            Ok(reopened) => reopened,
            Err(error) => {
                tailed.fault = Some(error.to_string());
                return true;
            }
        };
        let (old, read, seen) = (tailed.record.clone(), tailed.read(), tailed.size);
        let fresh = FileRecord::new(self.next_file, &old.source, &metadata, &old.path());
        self.next_file += 1;
        let copy = search::copy(&read, &self.log_dir, |inode| self.is_tailed(inode));
        let stays = copy.is_some();
        match copy {
            Some(copy) => {
                let copied = copy.metadata.len().max(old.offset);
                if !copy.content.is_packed() && copied < seen {
                    look.notices.push(old.gap_from(copied, Some(seen), Reason::Truncated));
                }
                let named = discover::is_source(&copy.path, &self.log_dir, engine);
                let Some(tailed) = self.files.get_mut(index) else { return false };
                tailed.go_on_in(copy.content, Inode::from(&copy.metadata), now);
                if named {
                    tailed.record.moved(&copy.path);
                }
            }
            None => {
                // More may have been written to it after it was last looked at.
                look.notices.push(old.gap(None, Reason::Truncated));
                look.left.push(old.file);
                self.files.remove(index);
                self.past.add(old, Why::Missing);
            }
        }
        self.tail_on(content, fresh, engine, now, look);
        stays
    }

    /// Tails a file from now on.
    pub(super) fn tail_on(
        &mut self,
        content: Content,
        record: FileRecord,
        engine: &mut Engine,
        now: Instant,
        look: &mut Look,
    ) {
        look.left.retain(|file| *file != record.file);
        look.fresh.push(record.clone());
        self.tail(content, record, engine, now);
    }

    /// Reads on where something was written to files after they were left.
    fn revisit(&mut self, engine: &mut Engine, now: Instant, look: &mut Look) {
        if self.revisited.is_some_and(|last| now.duration_since(last) < REVISIT_EVERY) {
            return;
        }
        self.revisited = Some(now);
        let read = self.past.all().iter().filter(|gone| gone.why == Why::Read);
        let paths: BTreeSet<PathBuf> = read.map(|gone| gone.record.path()).collect();
        for sibling in paths.iter().flat_map(|path| siblings::of(path)) {
            let inode = Inode::from(&sibling.metadata);
            let Some(gone) = self.past.with_inode(inode) else { continue };
            let record = gone.record.clone();
            if gone.why != Why::Read || sibling.metadata.len() <= record.offset {
                continue;
            }
            if let Ok((mut content, _)) = Content::open(&sibling.path)
                && !content.is_packed()
                && record.still_holds(&mut content).unwrap_or(false)
                && self.past.take(record.file, inode).is_some()
            {
                self.tail_on(content, record, engine, now, look);
            }
        }
    }
}
