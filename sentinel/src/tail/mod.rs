//! A directory of growing, rotating files in, lines in turns out. Nothing behind this knows what a
//! file is: the engine is told a number, offsets and bytes.

pub mod content;
pub mod identity;
pub mod siblings;
pub mod follow;
pub mod discover;
pub mod file;
pub mod search;
pub mod past;
mod look;
mod open;
mod resume;
mod catch_up;
mod beside;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use shared::Alert;

use crate::{
    engine::{Engine, Now},
    merge::{self, Ready},
    time::Timestamp,
    turn::Input,
};
use catch_up::Directory;
use content::Content;
use file::Tailed;
use identity::{FileRecord, Inode, Modified};
pub use look::{Look, Rotations};
use past::{Gone, Past};

/// Where reading begins in files that are there when nothing is known of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At their start.
    Start,
    /// Behind their last finished line.
    End,
}

/// Files that are tailed at the same time; more wait, and are told in [`Tail::faults`].
pub const FILES_MAX: usize = 1_000;

/// The files of a log directory.
#[derive(Debug)]
pub struct Tail {
    log_dir: PathBuf,
    alerts: PathBuf,
    next_file: u32,
    files: Vec<Tailed>,
    /// Files that are not tailed now.
    past: Past,
    /// Paths from which something may have been rotated away unseen, since when, still to be looked
    /// into.
    rotated: BTreeMap<PathBuf, Modified>,
    dirs: BTreeMap<PathBuf, Directory>,
    rotations: Rotations,
    revisited: Option<Instant>,
    /// Paths that should be read and cannot be.
    faults: BTreeMap<PathBuf, String>,
}

impl Tail {
    /// No file is tailed yet, and `past` is known of those of before; `alerts` is never read.
    pub fn new(log_dir: &Path, alerts: &Path, next_file: u32, past: Vec<Gone>) -> Self {
        Self {
            log_dir: log_dir.to_owned(),
            alerts: alerts.to_owned(),
            next_file,
            files: Vec::new(),
            past: Past::new(past),
            rotated: BTreeMap::new(),
            dirs: BTreeMap::new(),
            rotations: Rotations::default(),
            revisited: None,
            faults: BTreeMap::new(),
        }
    }

    /// What a restart needs to go on with every file.
    pub fn records(&self) -> Vec<FileRecord> {
        self.files.iter().map(|tailed| tailed.record.clone()).collect()
    }

    /// The files that are not tailed now.
    pub fn past(&self) -> &[Gone] {
        self.past.all()
    }

    /// The files, older ones first.
    pub fn files(&self) -> &[Tailed] {
        &self.files
    }

    /// What keeps paths from being read.
    pub fn faults(&self) -> &BTreeMap<PathBuf, String> {
        &self.faults
    }

    /// How often files were rotated since the start.
    pub fn rotations(&self) -> Rotations {
        self.rotations
    }

    /// The number of the next file.
    pub fn next_file(&self) -> u32 {
        self.next_file
    }

    /// Tails a file from where `record` says.
    fn tail(&mut self, content: Content, record: FileRecord, engine: &mut Engine, now: Instant) {
        let origin = engine.origin(record.file, &record.source, &record.name());
        self.files.push(Tailed::new(content, record, origin, now));
    }

    fn is_tailed(&self, inode: Inode) -> bool {
        self.files.iter().any(|tailed| tailed.record.inode == inode)
    }

    fn is_alerts(&self, inode: Inode) -> bool {
        std::fs::metadata(&self.alerts).is_ok_and(|found| Inode::from(&found) == inode)
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

    /// What was last known of a file, tailed or not.
    pub fn last_known(&self, file: u32) -> Option<&FileRecord> {
        let past = self.past.all().iter().rev().map(|gone| &gone.record);
        self.record(file).or_else(|| past.into_iter().find(|record| record.file == file))
    }

    /// The record of a file that is tailed.
    fn record(&self, file: u32) -> Option<&FileRecord> {
        self.files.iter().map(|tailed| &tailed.record).find(|record| record.file == file)
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
