//! A restart: each file of before is gone on with, or said to be gone.

use std::{collections::BTreeSet, time::Instant};

use super::{
    Tail, discover,
    identity::{FileRecord, Inode},
    past::Why,
    search::{self, Located},
};
use crate::{engine::Engine, notice::Notice};

impl Tail {
    /// Goes on with a file of before: at its path, wherever it was renamed to, or in a copy.
    /// `newest` is what was last known of the same file, by which it is looked for. A file that is
    /// not found is a gap.
    pub fn resume(
        &mut self,
        mut record: FileRecord,
        newest: &FileRecord,
        engine: &mut Engine,
        now: Instant,
    ) -> Option<Notice> {
        self.next_file = self.next_file.max(record.file + 1);
        if self.record(record.file).is_some() {
            return None;
        }
        self.past.take(record.file, record.inode);
        // Also of one that is gone: its name is told with it.
        engine.origin(record.file, &record.source, &record.name());
        match search::locate(newest, &self.log_dir, |inode| self.is_tailed(inode)) {
            Located::Found(found) => {
                let renamed = record.path() != found.path;
                if renamed && discover::is_source(&found.path, &self.log_dir, engine) {
                    record.moved(&found.path);
                }
                record.inode = Inode::from(&found.metadata);
                self.tail(found.content, record, engine, now);
                None
            }
            // Nothing of it was evaluated: if it is still there it will be found as a new file.
            Located::Gone(_) if newest.offset == 0 => {
                self.past.add(newest.clone(), Why::Missing);
                None
            }
            Located::Gone(reason) => {
                let gap = newest.gap(None, reason);
                self.past.add(newest.clone(), Why::Missing);
                Some(gap)
            }
            Located::Unclear => {
                self.past.add(newest.clone(), Why::Unreadable);
                None
            }
        }
    }

    /// Files that had been read to their end and left.
    pub fn leave(&mut self, left: &BTreeSet<u32>) {
        for tailed in self.files.extract_if(.., |tailed| left.contains(&tailed.record.file)) {
            self.past.add(tailed.record, Why::Read);
        }
    }

    pub(super) fn source_at(&self, path: &std::path::Path) -> Option<String> {
        let tailed = self.files.iter().map(|tailed| &tailed.record);
        let known = tailed.chain(self.past.all().iter().map(|gone| &gone.record));
        let mut at_path = known.filter(|record| record.path() == path && record.file > 0);
        at_path.next().map(|record| record.source.clone())
    }
}
