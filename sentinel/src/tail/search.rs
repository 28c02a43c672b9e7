//! Questions about files on disk: where one of before is now, and what one holds.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use shared::Alert;

use super::{
    content::Content,
    identity::{FileRecord, Holds, Inode, Modified},
    siblings::{self, Names, Sibling},
};
use crate::notice::Reason;

/// Longest first line that is looked at to tell whether a file holds alerts, in bytes.
const FIRST_LINE_BYTES_MAX: usize = 64 << 10;

/// A file that holds what was evaluated, open.
#[derive(Debug)]
pub struct Found {
    /// What it holds.
    pub content: Content,
    /// What it is.
    pub metadata: Metadata,
    /// Where it is.
    pub path: PathBuf,
}

/// Where a file of before is.
#[derive(Debug)]
pub enum Located {
    /// Here.
    Found(Box<Found>),
    /// Nowhere.
    Gone(Reason),
    /// It cannot be told: something cannot be read.
    Unclear,
}

/// Looks for a file of before: by its inode under any name beside its path or in the log directory,
/// which may have moved; else for a copy. `is_known` tells inodes that are tailed already.
pub fn locate(record: &FileRecord, log_dir: &Path, is_known: impl Fn(Inode) -> bool) -> Located {
    let path = record.path();
    let names = Names::of(&path);
    let at_path = fs::metadata(&path);
    let here = at_path.as_ref().ok().cloned();
    let here = here.map(|metadata| Sibling { path: path.clone(), metadata });
    let mut unclear = false;
    for one in here.into_iter().chain(around(&path, log_dir)) {
        if Inode::from(&one.metadata) != record.inode
            || is_known(record.inode)
            || !(record.is_distinct() || names.are_of(&one.path))
        {
            continue;
        }
        let held = Content::open(&one.path).and_then(|(mut content, metadata)| {
            let holds = record.still_holds(&mut content)?;
            Ok(holds.then_some(Found { content, metadata, path: one.path }))
        });
        match held {
            Ok(Some(found)) => return Located::Found(Box::new(found)),
            Ok(None) => {}
            Err(_) => unclear = true,
        }
    }
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if unclear || at_path.as_ref().is_err_and(|error| !is_gone(error)) {
        return Located::Unclear;
    }
    if let Some(found) = copy(record, log_dir, is_known) {
        return Located::Found(Box::new(found));
    }
    let same = at_path.is_ok_and(|metadata| Inode::from(&metadata) == record.inode);
    Located::Gone(if same { Reason::Truncated } else { Reason::RotatedAway })
}

/// Looks for a file that holds all that was evaluated of another: a copy under a name that begins
/// with its own, compressed or not.
pub fn copy(
    record: &FileRecord,
    log_dir: &Path,
    is_known: impl Fn(Inode) -> bool,
) -> Option<Found> {
    let path = record.path();
    let names = Names::of(&path);
    let mut candidates = around(&path, log_dir);
    candidates.retain(|one| {
        names.are_of(&one.path)
            && !is_known(Inode::from(&one.metadata))
            // A short beginning is evidence only together with the time.
            && (record.is_distinct() || Modified::from(&one.metadata) >= record.modified)
    });
    candidates.sort_by_key(|one| one.path.extension().is_some_and(|ending| ending == "gz"));
    candidates.into_iter().find_map(|one| {
        let (mut content, metadata) = Content::open(&one.path).ok()?;
        let holds = record.found_in(&mut content).ok()?;
        (holds == Holds::All).then_some(Found { content, metadata, path: one.path })
    })
}

/// Every file beside `path` or what it links to, and in the log directory.
fn around(path: &Path, log_dir: &Path) -> Vec<Sibling> {
    let mut dirs = siblings::directories(path);
    if !dirs.iter().any(|dir| dir == log_dir) {
        dirs.push(log_dir.to_owned());
    }
    dirs.iter().flat_map(|dir| siblings::files(dir)).collect()
}

/// Whether the first line is an alert: a whole one, so that nobody hides a log by a word in it.
///
/// # Errors
/// The file cannot be read.
pub fn holds_alerts(content: &mut Content) -> io::Result<bool> {
    let mut first = content.beginning(FIRST_LINE_BYTES_MAX)?;
    first.truncate(memchr::memchr(b'\n', &first).unwrap_or(first.len()));
    let alert = serde_json::from_slice::<Alert>(&first);
    Ok(alert.is_ok_and(|alert| alert.schema.starts_with("sentinel.alert/")))
}

/// The position behind the last finished line, looked for in the last MiB.
///
/// # Errors
/// The file cannot be read.
pub fn last_line_end(content: &mut Content, size: u64) -> io::Result<u64> {
    let from = size.saturating_sub(crate::line::LINE_BYTES_MAX as u64);
    let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(0)];
    let read = content.read_all_at(&mut bytes, from)?;
    bytes.truncate(read);
    Ok(memchr::memrchr(b'\n', &bytes).map_or(from, |end| from + end as u64 + 1))
}
