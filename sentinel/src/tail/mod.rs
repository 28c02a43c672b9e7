//! A directory of growing, rotating files in, lines in turns out. Nothing behind this knows what a
//! file is: the engine is told a number, offsets and bytes.

pub mod identity;
pub mod follow;
pub mod discover;
pub mod file;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use shared::Alert;

use crate::{
    engine::{Engine, Now},
    merge::{self, Ready},
    notice::{Notice, Reason},
    time::Timestamp,
    turn::Input,
};
use file::Tailed;
use follow::Step;
use identity::{FileRecord, Inode};

/// Where reading begins in files that are there when nothing is known of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At their start.
    Start,
    /// Behind their last finished line.
    End,
}

/// Longest first line that is looked at to tell whether a file holds alerts, in bytes.
const FIRST_LINE_BYTES_MAX: usize = 64 << 10;

/// The files of a log directory.
#[derive(Debug)]
pub struct Tail {
    log_dir: PathBuf,
    alerts: PathBuf,
    next_file: u32,
    files: Vec<Tailed>,
    /// Paths that should be read and cannot be.
    faults: BTreeMap<PathBuf, String>,
}

/// What a look at the directory brought.
#[derive(Debug, Default)]
pub struct Look {
    /// Files that are new.
    pub fresh: Vec<FileRecord>,
    /// Files that are not tailed any more.
    pub left: Vec<u32>,
    /// What has to be said.
    pub notices: Vec<Notice>,
}

impl Tail {
    /// Nothing is known yet; `alerts` is never read.
    pub fn new(log_dir: &Path, alerts: &Path, next_file: u32) -> Self {
        Self {
            log_dir: log_dir.to_owned(),
            alerts: alerts.to_owned(),
            next_file,
            files: Vec::new(),
            faults: BTreeMap::new(),
        }
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
                let mut record = record;
                record.moved(&path);
                self.files.push(Tailed::new(file, record, origin, now));
                None
            }
            // Nothing of it was evaluated: if it is still there it will be found as a new file.
            None if record.offset == 0 => None,
            None => Some(Notice::Gap {
                file: record.name(),
                source: record.source,
                from: record.offset,
                to: None,
                reason: Reason::RotatedAway,
            }),
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
                    look.left.push(self.files.remove(index).record.file);
                    continue;
                }
                Err(error) => tailed.fault = Some(error.to_string()),
            }
            index += 1;
        }
        self.discover(engine, from, now, &mut look);
        look
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
        look.notices.push(Notice::Gap {
            source: old.source.clone(),
            file: old.name(),
            from: old.offset,
            to: (tailed.size > old.offset).then_some(tailed.size),
            reason: Reason::Truncated,
        });
        let record =
            FileRecord::new(self.next_file, &old.source, Inode::from(&metadata), &old.path());
        self.next_file += 1;
        let origin = engine.origin(record.file, &record.source, &record.name());
        look.left.push(old.file);
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
                if known.rotated {
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
        let (file, metadata) = identity::open(path)?;
        let inode = Inode::from(&metadata);
        // Asked at each look: an inode that is remembered may be a log's the next time.
        if holds_alerts(&file)? {
            return Ok(());
        }
        let mut record = FileRecord::new(self.next_file, source, inode, path);
        if from == From::End {
            record.skip_to(&file, last_line_end(&file, metadata.len())?)?;
        }
        self.next_file += 1;
        let origin = engine.origin(record.file, source, &record.name());
        look.fresh.push(record.clone());
        self.files.push(Tailed::new(file, record, origin, now));
        Ok(())
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

    /// Tails a file no longer.
    pub fn forget(&mut self, file: u32) {
        self.files.retain(|tailed| tailed.record.file != file);
    }

    /// Other rules are in force: other sources may be, and what applies to their lines is new.
    pub fn replaced(&mut self, engine: &mut Engine) {
        for tailed in &mut self.files {
            let record = &tailed.record;
            tailed.origin = engine.origin(record.file, &record.source, &record.name());
        }
    }

    /// Every file is read and evaluated to its end.
    pub fn is_at_end(&self) -> bool {
        self.files.iter().all(|tailed| tailed.ready().is_empty() && !tailed.has_more())
    }
}

/// Opens the file of a record wherever it is now: at its path, under another name beside it, or in
/// the log directory, which may have moved.
fn find(record: &FileRecord, log_dir: &Path) -> Option<(File, PathBuf)> {
    let path = record.path();
    let dirs = [path.parent().unwrap_or(log_dir), log_dir];
    let siblings = dirs.into_iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let siblings = siblings.filter_map(|entry| Some(entry.ok()?.path()));
    std::iter::once(path.clone()).chain(siblings).find_map(|path| {
        if Inode::from(&fs::metadata(&path).ok()?) != record.inode {
            return None;
        }
        let (file, _) = identity::open(&path).ok()?;
        record.still_holds(&file).ok()?.then_some((file, path))
    })
}

/// Whether the first line is an alert: a whole one, so that nobody hides a log by a word in it.
fn holds_alerts(file: &File) -> io::Result<bool> {
    let mut first = vec![0; FIRST_LINE_BYTES_MAX];
    let read = file.read_at(&mut first, 0)?;
    first.truncate(memchr::memchr(b'\n', first.get(..read).unwrap_or_default()).unwrap_or(read));
    let alert = serde_json::from_slice::<Alert>(&first);
    Ok(alert.is_ok_and(|alert| alert.schema.starts_with("sentinel.alert/")))
}

/// The position behind the last finished line, looked for in the last MiB.
fn last_line_end(file: &File, size: u64) -> io::Result<u64> {
    let from = size.saturating_sub(crate::line::LINE_BYTES_MAX as u64);
    let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(memchr::memrchr(b'\n', &bytes).map_or(from, |end| from + end as u64 + 1))
}
