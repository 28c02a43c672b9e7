//! Questions about files on disk: where one of before is now, which came between, what one holds.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use shared::Alert;

use super::identity::{FileRecord, Inode};
use crate::regular;

/// Longest first line that is looked at to tell whether a file holds alerts, in bytes.
const FIRST_LINE_BYTES_MAX: usize = 64 << 10;

/// Opens the file of a record wherever it is now: at its path, under another name beside it, or in
/// the log directory, which may have moved.
pub fn find(record: &FileRecord, log_dir: &Path) -> Option<(File, PathBuf)> {
    let path = record.path();
    let dirs = [path.parent().unwrap_or(log_dir), log_dir];
    let siblings = dirs.into_iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let siblings = siblings.filter_map(|entry| Some(entry.ok()?.path()));
    std::iter::once(path.clone()).chain(siblings).find_map(|path| {
        if Inode::from(&fs::metadata(&path).ok()?) != record.inode {
            return None;
        }
        let (file, _) = regular::open(&path).ok()?;
        record.still_holds(&file).ok()?.then_some((file, path))
    })
}

/// The files beside `path` whose names begin with its own and that changed after `changed`, oldest
/// first. Compressed ones are copies of what was read.
pub fn rotated_siblings(path: &Path, changed: SystemTime) -> Vec<(SystemTime, Inode, PathBuf)> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let siblings = path.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten();
    let mut found: Vec<_> = siblings
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let its_name = entry.file_name();
            let its_name = its_name.as_encoded_bytes();
            if !its_name.starts_with(name) || its_name == name || its_name.ends_with(b".gz") {
                return None;
            }
            let metadata = entry.metadata().ok().filter(|metadata| metadata.is_file())?;
            let modified = metadata.modified().ok().filter(|modified| *modified > changed)?;
            Some((modified, Inode::from(&metadata), entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Whether the first line is an alert: a whole one, so that nobody hides a log by a word in it.
///
/// # Errors
/// The file cannot be read.
pub fn holds_alerts(file: &File) -> io::Result<bool> {
    let mut first = vec![0; FIRST_LINE_BYTES_MAX];
    let read = file.read_at(&mut first, 0)?;
    first.truncate(memchr::memchr(b'\n', first.get(..read).unwrap_or_default()).unwrap_or(read));
    let alert = serde_json::from_slice::<Alert>(&first);
    Ok(alert.is_ok_and(|alert| alert.schema.starts_with("sentinel.alert/")))
}

/// The position behind the last finished line, looked for in the last MiB.
///
/// # Errors
/// The file cannot be read.
pub fn last_line_end(file: &File, size: u64) -> io::Result<u64> {
    let from = size.saturating_sub(crate::line::LINE_BYTES_MAX as u64);
    let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(memchr::memrchr(b'\n', &bytes).map_or(from, |end| from + end as u64 + 1))
}
