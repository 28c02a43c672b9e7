//! A directory of growing, rotating files in, lines in turns out. Nothing behind this knows what a
//! file is: the engine is told a number, offsets and bytes.

pub mod identity;
pub mod follow;
pub mod discover;
pub mod file;
pub mod search;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use shared::Alert;

use crate::{
    engine::{Engine, Now},
    merge::{self, Ready},
    notice::{Notice, Reason},
    regular,
    time::Timestamp,
    turn::Input,
};
use file::Tailed;
use follow::{AtPath, Step};
use identity::{FileRecord, Inode};
use search::{find, holds_alerts, last_line_end, rotated_siblings};

/// Where reading begins in files that are there when nothing is known of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At their start.
    Start,
    /// Behind their last finished line.
    End,
}

/// Files that may come back.
const LOST_MAX: usize = 256;

/// Files written and rotated between two looks that are still read.
const CATCHUP_MAX: usize = 16;

/// The files of a log directory.
#[derive(Debug)]
pub struct Tail {
    log_dir: PathBuf,
    alerts: PathBuf,
    next_file: u32,
    files: Vec<Tailed>,
    /// Files of before that are not there: they may come back, and then go on where they were.
    lost: Vec<FileRecord>,
    /// Paths that should be read and cannot be.
    faults: BTreeMap<PathBuf, String>,
}

/// What a look at the directory brought.
#[derive(Debug, Default)]
pub struct Look {
    /// Files that are new.
    pub fresh: Vec<FileRecord>,
    /// Files are no longer tailed: settled, or replaced by new ones.
    pub left: bool,
    /// What has to be said.
    pub notices: Vec<Notice>,
}

impl Tail {
    /// No file is known yet, but those that were `lost`; `alerts` is never read.
    pub fn new(log_dir: &Path, alerts: &Path, next_file: u32, lost: Vec<FileRecord>) -> Self {
        Self {
            log_dir: log_dir.to_owned(),
            alerts: alerts.to_owned(),
            next_file,
            files: Vec::new(),
            lost,
            faults: BTreeMap::new(),
        }
    }

    /// What a restart needs to go on with every file.
    pub fn records(&self) -> Vec<FileRecord> {
        self.files.iter().map(|tailed| tailed.record.clone()).collect()
    }

    /// The files that are not there now.
    pub fn lost(&self) -> &[FileRecord] {
        &self.lost
    }

    /// The files, older ones first.
    pub fn files(&self) -> &[Tailed] {
        &self.files
    }

    /// What keeps paths from being read.
    pub fn faults(&self) -> &BTreeMap<PathBuf, String> {
        &self.faults
    }

    /// The number of the next file.
    pub fn next_file(&self) -> u32 {
        self.next_file
    }

    /// Goes on with a file of before: at its path, or wherever in its directory it was renamed to.
    /// A file that is not found, or no longer holds what was read of it, is a gap.
    pub fn resume(
        &mut self,
        record: FileRecord,
        engine: &mut Engine,
        now: Instant,
    ) -> Option<Notice> {
        self.next_file = self.next_file.max(record.file + 1);
        let origin = engine.origin(record.file, &record.source, &record.name());
        match find(&record, &self.log_dir) {
            Some((file, path)) => {
                let mut tailed = Tailed::new(file, record, origin, now);
                if tailed.record.path() != path && discover::is_source(&path, &self.log_dir, engine)
                {
                    tailed.record.moved(&path);
                }
                self.files.push(tailed);
                None
            }
            // Nothing of it was evaluated: if it is still there it will be found as a new file.
            None if record.offset == 0 => None,
            None => {
                let gap = record.gap(None, Reason::RotatedAway);
                self.lost.push(record);
                self.lost.drain(..self.lost.len().saturating_sub(LOST_MAX));
                Some(gap)
            }
        }
    }

    /// Looks at every file and at the directory.
    pub fn look(&mut self, engine: &mut Engine, from: From, now: Instant) -> Look {
        let mut look = Look::default();
        let mut index = 0;
        while let Some(tailed) = self.files.get_mut(index) {
            match tailed.look(now) {
                Ok(Step::Read) => tailed.fault = None,
                Ok(Step::Anew) => self.anew(index, engine, now, &mut look),
                Ok(Step::Leave) if tailed.finish() => {}
                Ok(Step::Leave) => {
                    self.files.remove(index);
                    look.left = true;
                    continue;
                }
                Err(error) => tailed.fault = Some(error.to_string()),
            }
            index += 1;
        }
        self.discover(engine, from, now, &mut look);
        self.between(engine, now, &mut look);
        look
    }

    /// Files that were written and rotated since the last look at a file that is rotated itself: they
    /// changed after it and stand beside it under names that begin with its own.
    fn between(&mut self, engine: &mut Engine, now: Instant, look: &mut Look) {
        let mut follows = Vec::new();
        for tailed in &mut self.files {
            if tailed.at_path == AtPath::Other && !tailed.followed {
                tailed.followed = true;
                follows.push((tailed.record.clone(), tailed.changed()));
            }
        }
        for (record, changed) in follows {
            let mut siblings = rotated_siblings(&record.path(), changed);
            siblings.retain(|(_, inode, _)| !self.files.iter().any(|f| f.record.inode == *inode));
            let over = siblings.len().saturating_sub(CATCHUP_MAX);
            for (_, _, path) in siblings.drain(..over) {
                look.notices.push(Notice::Gap {
                    source: record.source.clone(),
                    file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    from: 0,
                    to: None,
                    reason: Reason::RotatedAway,
                });
            }
            for (_, inode, path) in siblings {
                if let Err(error) = self.open(&path, &record.source, engine, From::Start, now, look)
                {
                    self.faults.insert(path, error.to_string());
                }
                if let Some(tailed) = self.files.iter_mut().find(|f| f.record.inode == inode) {
                    // It is rotated like the one before it, and must be left like it.
                    tailed.record.moved(&record.path());
                    tailed.followed = true;
                }
            }
        }
    }

    /// The content of a file was replaced: what was behind the position is gone.
    fn anew(&mut self, index: usize, engine: &mut Engine, now: Instant, look: &mut Look) {
        let Some(tailed) = self.files.get_mut(index) else { return };
        let (file, metadata) = match tailed.reopen() {
            Ok(reopened) => reopened,
            Err(error) => {
                tailed.fault = Some(error.to_string());
                return;
            }
        };
        let old = &tailed.record;
        let to = (tailed.size > old.offset).then_some(tailed.size);
        look.notices.push(old.gap(to, Reason::Truncated));
        let record =
            FileRecord::new(self.next_file, &old.source, Inode::from(&metadata), &old.path());
        self.next_file += 1;
        let origin = engine.origin(record.file, &record.source, &record.name());
        look.left = true;
        look.fresh.push(record.clone());
        *tailed = Tailed::new(file, record, origin, now);
    }

    fn discover(&mut self, engine: &mut Engine, from: From, now: Instant, look: &mut Look) {
        self.faults.clear();
        let paths = match discover::paths(&self.log_dir, engine.rules()) {
            Ok(paths) => paths,
            Err(error) => {
                self.faults.insert(self.log_dir.clone(), error.to_string());
                return;
            }
        };
        let alerts = fs::metadata(&self.alerts).ok().map(|found| Inode::from(&found));
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
            if Some(inode) == alerts {
                continue;
            }
            if let Err(error) = self.open(&path, &source, engine, from, now, look) {
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
        let (file, metadata) = regular::open(path)?;
        let inode = Inode::from(&metadata);
        // Asked at each look: an inode that is remembered may be a log's the next time.
        if holds_alerts(&file)? {
            return Ok(());
        }
        if let Some(place) = self.lost.iter().position(|lost| lost.inode == inode)
            && self.lost.get(place).is_some_and(|lost| lost.still_holds(&file).unwrap_or(false))
        {
            let mut record = self.lost.remove(place);
            record.moved(path);
            self.tail(file, record, engine, now);
            return Ok(());
        }
        let mut record = FileRecord::new(self.next_file, source, inode, path);
        if from == From::End {
            record.skip_to(&file, last_line_end(&file, metadata.len())?)?;
        }
        self.next_file += 1;
        look.fresh.push(record.clone());
        self.tail(file, record, engine, now);
        Ok(())
    }

    fn tail(&mut self, file: File, record: FileRecord, engine: &mut Engine, now: Instant) {
        let origin = engine.origin(record.file, &record.source, &record.name());
        self.files.push(Tailed::new(file, record, origin, now));
    }

    /// Reads what there is and evaluates it in the order of its times. Gives what was evaluated.
    pub fn evaluate(
        &mut self,
        engine: &mut Engine,
        now: Timestamp,
        emit: &mut dyn FnMut(Alert),
    ) -> Vec<Input> {
        for tailed in &mut self.files {
            if let Err(error) = tailed.fill() {
                tailed.fault = Some(error.to_string());
            }
        }
        let ready: Vec<Ready<'_>> = self
            .files
            .iter()
            .map(|tailed| Ready { bytes: tailed.ready(), more: tailed.has_more() })
            .collect();
        let mut runs = Vec::new();
        let time = |index: usize, line: &[u8]| {
            engine.rules().time(&self.files.get(index)?.origin.view, line)
        };
        merge::merge(&ready, time, |index, range| runs.push((index, range.len())));
        let mut inputs = Vec::with_capacity(runs.len());
        for (index, len) in runs {
            let Some(tailed) = self.files.get_mut(index) else { continue };
            let (from, to) =
                tailed.take(len, |origin, line| engine.line(origin, &line, Now::Live(now), emit));
            tailed.last_line = Some(now);
            inputs.push(Input::Lines { file: tailed.record.file, from, to });
        }
        inputs
    }

    /// Evaluates bytes that were evaluated before, as they were then.
    ///
    /// # Errors
    /// They can no longer be read.
    pub fn repeat(
        &mut self,
        (file, from, to): (u32, u64, u64),
        engine: &mut Engine,
        now: Timestamp,
    ) -> io::Result<()> {
        let tailed = self
            .files
            .iter_mut()
            .find(|tailed| tailed.record.file == file && tailed.record.offset == from)
            .ok_or(io::ErrorKind::NotFound)?;
        while tailed.record.offset < to {
            tailed.fill_to(to)?;
            let len = tailed.ready().len();
            tailed.take(len, |origin, line| {
                engine.line(origin, &line, Now::Live(now), &mut |_| {});
            });
        }
        Ok(())
    }

    /// Whether what a record tells of a file stands in it. One that is not tailed holds nothing.
    pub fn holds(&self, record: &FileRecord) -> bool {
        self.numbered(record.file).is_some_and(|tailed| tailed.holds(record).unwrap_or(false))
    }

    /// The record of a file as it stands now.
    pub fn record(&self, file: u32) -> Option<&FileRecord> {
        self.numbered(file).map(|tailed| &tailed.record)
    }

    fn numbered(&self, file: u32) -> Option<&Tailed> {
        self.files.iter().find(|tailed| tailed.record.file == file)
    }

    /// Tails a file no longer.
    pub fn forget(&mut self, file: u32) {
        self.files.retain(|tailed| tailed.record.file != file);
    }

    /// Other rules are in force: what applies to lines is new, files may belong to other sources,
    /// and files that no source names any more are left.
    pub fn replaced(&mut self, engine: &mut Engine) {
        let named = discover::paths(&self.log_dir, engine.rules());
        self.files.retain_mut(|tailed| {
            // A rotated file stays with the source it was opened for.
            if let Ok(named) = &named
                && tailed.is_at_path()
            {
                let path = tailed.record.path();
                match named.iter().find(|(known, _)| *known == path) {
                    Some((_, source)) => tailed.record.source.clone_from(source),
                    None => return false,
                }
            }
            let record = &tailed.record;
            tailed.origin = engine.origin(record.file, &record.source, &record.name());
            true
        });
    }

    /// Every file is read and evaluated to its end.
    pub fn is_at_end(&self) -> bool {
        self.files.iter().all(|tailed| tailed.ready().is_empty() && !tailed.has_more())
    }
}
