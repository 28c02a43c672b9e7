//! Paths that sources name in; the files that are tailed from now on out: new ones, those of the past
//! that are seen again, and neither alerts nor copies.

use std::{fs, io, os::unix::ffi::OsStrExt as _, path::Path, time::Instant};

use super::{
    FILES_MAX, From, Look, Tail,
    content::Content,
    discover,
    follow::AtPath,
    identity::{FileRecord, Holds, Inode, Modified},
    past::{Gone, Why},
    search, siblings,
};
use crate::engine::Engine;

impl Tail {
    /// Begins to tail what sources name now and is not tailed yet.
    pub(super) fn discover(
        &mut self,
        engine: &mut Engine,
        from: From,
        now: Instant,
        look: &mut Look,
    ) {
        let paths = match discover::paths(&self.log_dir, engine.rules()) {
            Ok(paths) => paths,
            Err(error) => {
                self.faults.insert(self.log_dir.clone(), error.to_string());
                return;
            }
        };
        for (path, source) in paths {
            let inode = match fs::metadata(&path) {
                Ok(found) if found.is_file() => Inode::from(&found),
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
        if !self.known(look).any(|(known, _)| known == path) {
            self.first_sight(path, record.modified, look);
        }
        self.tail_on(content, record, engine, now, look);
        Ok(())
    }

    /// Whether a file is a copy, under a name with a date in it, of one that is tailed beside it:
    /// its lines are read there.
    fn is_copy(&self, path: &Path, content: &mut Content) -> io::Result<bool> {
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
        let waiting = |gone: &&Gone| gone.why == Why::Unreadable && gone.record.path() == path;
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
}
