//! A look at every file and at the directory: what is read on, begun, or left.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    FILES_MAX, From, Tail,
    content::Content,
    discover,
    file::Looked,
    follow::{AtPath, Step},
    identity::{FileRecord, Holds, Inode, Modified},
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
            match tailed.look(now) {
                Ok(looked) => {
                    tailed.fault = None;
                    let path = tailed.record.path();
                    if self.step(index, looked, engine, now, &mut look) {
                        self.rotated(path, looked);
                    } else {
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
        for (path, since) in std::mem::take(&mut self.rotated) {
            if let Err(error) = self.catch_up(&path, since, engine, now, &mut look) {
                self.faults.insert(path.clone(), format!("a file beside it: {error}"));
                self.rotated.insert(path, since);
            }
        }
        look
    }

    /// Takes the next step with a file. False where it is not tailed any more.
    fn step(
        &mut self,
        index: usize,
        looked: Looked,
        engine: &mut Engine,
        now: Instant,
        look: &mut Look,
    ) -> bool {
        let Some(tailed) = self.files.get_mut(index) else { return false };
        match looked.step {
            Step::Read => true,
            Step::Leave if tailed.finish() => true,
            Step::Leave => {
                let left = self.files.remove(index);
                if left.is_damaged() {
                    look.notices.push(left.record.gap(None, Reason::Damaged));
                }
                look.left.push(left.record.file);
                self.past.add(left.record, Why::Read);
                false
            }
            Step::Anew => self.anew(index, engine, now, look),
        }
    }

    fn rotated(&mut self, path: PathBuf, looked: Looked) {
        let Some(since) = looked.rotated_since else { return };
        match looked.step {
            Step::Anew => self.rotations.truncated += 1,
            _ => self.rotations.renamed += 1,
        }
        let known = self.rotated.entry(path).or_insert(since);
        *known = since.min(*known);
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
        let (old, seen) = (tailed.record.clone(), tailed.size);
        let fresh = FileRecord::new(self.next_file, &old.source, &metadata, &old.path());
        self.next_file += 1;
        let copy = search::copy(&old, &self.log_dir, |inode| self.is_tailed(inode));
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
                let to = (seen > old.offset).then_some(seen);
                look.notices.push(old.gap(to, Reason::Truncated));
                look.left.push(old.file);
                self.files.remove(index);
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

    fn discover(&mut self, engine: &mut Engine, from: From, now: Instant, look: &mut Look) {
        let paths = match discover::paths(&self.log_dir, engine.rules()) {
            Ok(paths) => paths,
            Err(error) => {
                self.faults.insert(self.log_dir.clone(), error.to_string());
                return;
            }
        };
        for (path, source) in paths {
            let inode = match fs::metadata(&path) {
                // An empty file may yet become a file of alerts: its first byte is waited for.
                Ok(found) if found.is_file() && found.len() > 0 => Inode::from(&found),
                Ok(_) => continue,
                // It went between the listing and now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.faults.insert(path, error.to_string());
                    continue;
                }
            };
            if let Some(known) = self.files.iter_mut().find(|known| known.record.inode == inode) {
                if known.at_path != AtPath::Same {
                    known.record.moved(&path);
                }
                continue;
            }
            if self.is_alerts(inode) {
                continue;
            }
            let opened = if self.files.len() < FILES_MAX {
                self.open(&path, &source, engine, from, now, look)
            } else {
                Err(io::Error::other(format!("{FILES_MAX} files are followed already")))
            };
            if let Err(error) = opened {
                self.faults.insert(path, error.to_string());
            }
        }
    }

    fn open(
        &mut self,
        path: &Path,
        source: &str,
        engine: &mut Engine,
        from: From,
        now: Instant,
        look: &mut Look,
    ) -> io::Result<()> {
        let (mut content, metadata) = Content::open(path)?;
        // Asked at each look: an inode that is remembered may be a log's the next time.
        if search::holds_alerts(&mut content)? || self.is_copy(path, &mut content)? {
            return Ok(());
        }
        self.unreadable_before(path, engine, now, look);
        let inode = Inode::from(&metadata);
        if self.is_tailed(inode) {
            return Ok(());
        }
        if let Some(gone) = self.past.with_inode(inode)
            && gone.why != Why::Foreign
        {
            let record = &gone.record;
            if content.is_packed() && record.modified == Modified::from(&metadata) {
                return Ok(());
            }
            if record.still_holds(&mut content)? {
                let file = record.file;
                if let Some(mut record) = self.past.take(file, inode) {
                    record.moved(path);
                    self.tail_on(content, record, engine, now, look);
                }
                return Ok(());
            }
        }
        let mut record = FileRecord::new(self.next_file, source, &metadata, path);
        if from == From::End && !content.is_packed() {
            let end = search::last_line_end(&mut content, metadata.len())?;
            record.skip_to(&mut content, end)?;
        }
        self.next_file += 1;
        let before = self.files.iter().map(|tailed| &tailed.record);
        let before = before.chain(self.past.all().iter().map(|gone| &gone.record));
        let before = before
            .filter(|known| known.path() == path)
            .filter(|known| look.fresh.iter().all(|fresh| fresh.file != known.file));
        match before.map(|known| known.modified).max() {
            Some(since) => {
                let known = self.rotated.entry(path.to_owned()).or_insert(since);
                *known = since.min(*known);
            }
            None => self.first_sight(path, record.modified, look),
        }
        self.tail_on(content, record, engine, now, look);
        Ok(())
    }

    /// Whether a file is a copy, under a name with a date in it, of one that is tailed beside it:
    /// its lines are read there.
    fn is_copy(&mut self, path: &Path, content: &mut Content) -> io::Result<bool> {
        use std::os::unix::ffi::OsStrExt as _;
        let name = path.file_name().unwrap_or_default().as_bytes();
        for tailed in &self.files {
            let its = tailed.record.path();
            if its.parent() == path.parent()
                && siblings::is_dated(name, its.file_name().unwrap_or_default().as_bytes())
                && tailed.record.is_distinct()
                && tailed.record.found_in(content)? != Holds::Nothing
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A path can be read again: what became of the file that could not be when sentinel started?
    fn unreadable_before(
        &mut self,
        path: &Path,
        engine: &mut Engine,
        now: Instant,
        look: &mut Look,
    ) {
        let waiting =
            |gone: &&super::Gone| gone.why == Why::Unreadable && gone.record.path() == path;
        let waiting: Vec<FileRecord> =
            self.past.all().iter().filter(waiting).map(|gone| gone.record.clone()).collect();
        for record in waiting {
            self.past.take(record.file, record.inode);
            look.notices.extend(self.resume(record.clone(), &record, engine, now));
            if let Some(resumed) = self.record(record.file) {
                look.fresh.push(resumed.clone());
            }
        }
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
