//! What was rotated away from a path between two looks, read from its start: files beside it whose
//! content was never seen.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    FILES_MAX, Look, Tail,
    beside::{Beside, Unseen, without_copies},
    content::Content,
    identity::{FileRecord, Modified},
    past::Why,
    siblings::{self, Sibling},
};
use crate::{engine::Engine, notice::Reason};

/// Files written and rotated between two looks that are still read.
const CATCHUP_MAX: usize = 16;

/// For so long after a change a directory is looked through at each look: two changes may have one
/// time.
const UNSETTLED: Duration = Duration::from_secs(2);

/// A directory as it was last seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory {
    modified: Modified,
    since: Instant,
}

impl Tail {
    /// The path of each file that is tailed or was, and when it had last changed as of the look
    /// before; those that this look brought apart.
    pub(super) fn known(&self, look: &Look) -> impl Iterator<Item = (PathBuf, Modified)> {
        let fresh: BTreeSet<u32> = look.fresh.iter().map(|record| record.file).collect();
        let tailed = self.files.iter().map(|tailed| (&tailed.record, tailed.modified_before));
        let past = self.past.all().iter().map(|gone| (&gone.record, gone.record.modified));
        tailed
            .chain(past)
            .filter(move |(record, _)| !fresh.contains(&record.file))
            .map(|(record, modified)| (record.path(), modified))
    }

    /// Looks for what was rotated away wherever a directory has changed: whatever is renamed, copied
    /// or compressed changes it.
    pub(super) fn follow_rotation(&mut self, engine: &mut Engine, now: Instant, look: &mut Look) {
        let mut paths = BTreeMap::new();
        for (path, modified) in self.known(look) {
            let newest = paths.entry(path).or_insert(modified);
            *newest = modified.max(*newest);
        }
        let mut changed = BTreeMap::new();
        for (path, since) in paths {
            let dirs = siblings::directories(&path);
            // Each is asked once: the next path in it must not find it unchanged.
            let is_changed = dirs.iter().any(|dir| match changed.get(dir) {
                Some(is_changed) => *is_changed,
                None => {
                    let is_changed = self.has_changed(dir, now);
                    changed.insert(dir.clone(), is_changed);
                    is_changed
                }
            });
            if is_changed {
                let known = self.rotated.entry(path).or_insert(since);
                *known = since.min(*known);
            }
        }
        self.dirs.retain(|dir, _| changed.contains_key(dir));
        for (path, since) in std::mem::take(&mut self.rotated) {
            if let Err(error) = self.catch_up(&path, since, engine, now, look) {
                self.faults.insert(path.clone(), format!("a file beside it: {error}"));
                self.rotated.insert(path, since);
            }
        }
    }

    fn has_changed(&mut self, dir: &Path, now: Instant) -> bool {
        let Ok(metadata) = fs::metadata(dir) else { return false };
        let modified = Modified::from(&metadata);
        let seen = self.dirs.get(dir).copied().filter(|seen| seen.modified == modified);
        let since = seen.map_or(now, |seen| seen.since);
        self.dirs.insert(dir.to_owned(), Directory { modified, since });
        now.duration_since(since) < UNSETTLED
    }

    /// Reads files that were rotated away from `path` and had changed no sooner than `since`: what
    /// was rotated before that was read before.
    ///
    /// # Errors
    /// One of them cannot be read now; to be tried again.
    fn catch_up(
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
            match self.beside(path, sibling)? {
                Beside::Known => {}
                Beside::Past(content, record) => {
                    self.tail_on(content, record, engine, now, look);
                }
                Beside::Unseen(one) => unseen.push(one),
            }
        }
        let mut unseen = without_copies(unseen);
        let Some(source) = self.source_at(path) else { return Ok(()) };
        // Of two with one time the higher number is the older.
        unseen.sort_by_cached_key(|one| {
            let sibling = &one.sibling;
            (Modified::from(&sibling.metadata), Reverse(sibling.path.clone()))
        });
        let over = unseen.len().saturating_sub(CATCHUP_MAX.min(FILES_MAX - self.files.len()));
        for Unseen { sibling: one, mut content, .. } in unseen.drain(..over) {
            let record = FileRecord::new(0, &source, &one.metadata, &one.path);
            look.notices.push(record.gap(None, Reason::RotatedAway));
            self.foreign(&one, &mut content, path);
            look.changed = true;
        }
        for Unseen { sibling: one, content, .. } in unseen {
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
}
