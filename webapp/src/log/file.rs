//! Whole lines in; a file that only grows by whole lines out. The one writer of all three logs.
//!
//! It never fails and never panics: a logger that dies of a full disk takes its evidence along.
//! What cannot be written waits, within bounds, and is written first when the disk is back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

use super::tally::{Loss, Tally};

/// Bytes that wait for a disk that cannot take them.
const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// First pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often the path is compared with the open file.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Rotated files that are kept: `.1` is the newest.
const ROTATED_MAX: u32 = 5;

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    bytes_max: u64,
    tally: Arc<Tally>,
    open: Option<Opened>,
    backlog: Vec<u8>,
    retry_at: Option<Instant>,
    pause: Duration,
    checked_at: Instant,
    /// How bytes go to a file, as many as it takes: the system's way, or a disk's that fails.
    write: fn(&mut File, &[u8]) -> io::Result<usize>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    identity: (u64, u64),
    bytes: u64,
    end: End,
}

/// How a file ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With a line.
    #[default]
    Whole,
    /// In the middle of a line of somebody's who died.
    Torn,
    /// In the middle of the line that waits first: so much of it went, and the file was so long.
    Begun { taken: usize, bytes: u64 },
}

impl LogFile {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// It cannot be appended to.
    pub(super) fn open(
        path: &Path,
        bytes_max: u64,
        tally: Arc<Tally>,
        now: Instant,
    ) -> io::Result<Self> {
        Ok(Self {
            open: Some(open(path)?),
            path: path.to_owned(),
            bytes_max,
            tally,
            backlog: Vec::new(),
            retry_at: None,
            pause: PAUSE_MIN,
            checked_at: now,
            write: write_some,
        })
    }

    /// Writes whole lines at once, behind those that wait.
    pub(super) fn append(&mut self, lines: &[u8], now: Instant) {
        if now.saturating_duration_since(self.checked_at) >= CHECK_EVERY {
            self.check(now);
        }
        if self.backlog.is_empty() && self.retry_at.is_none() {
            let written = self.write(lines, now);
            self.keep(lines.get(written..).unwrap_or_default(), now);
        } else {
            self.keep(lines, now);
            self.retry(now);
        }
    }

    /// Once a second: notices that somebody moved the file, and tries again what waits.
    pub(super) fn look_after(&mut self, now: Instant) {
        self.check(now);
        self.retry(now);
    }

    /// Tries what waits once more, whatever pause is on: nobody will come back to it.
    pub(super) fn finish(&mut self, now: Instant) {
        self.check(now);
        self.retry_at = None;
        self.retry(now);
    }

    /// Opens the path anew, whatever it is now.
    pub(super) fn reopen(&mut self, now: Instant) {
        match open(&self.path) {
            Ok(mut opened) => {
                if let Some(old) = self.open.as_ref().filter(|old| old.identity == opened.identity)
                {
                    opened.end = old.end;
                }
                self.open = Some(opened);
                self.retry_at = None;
                self.pause = PAUSE_MIN;
            }
            Err(error) => self.failed(&error, now),
        }
    }

    fn check(&mut self, now: Instant) {
        self.checked_at = now;
        let at_path = fs::metadata(&self.path).ok();
        match (&mut self.open, at_path) {
            // Another process may append to the same file.
            (Some(open), Some(found)) if open.identity == identity(&found) => {
                open.bytes = found.len();
            }
            _ => self.reopen(now),
        }
    }

    fn retry(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| now < at) || self.backlog.is_empty() {
            return;
        }
        self.retry_at = None;
        let backlog = std::mem::take(&mut self.backlog);
        let written = self.write(&backlog, now);
        self.keep(backlog.get(written..).unwrap_or_default(), now);
    }

    /// Writes as much as the disk takes; returns the bytes of the lines that are whole in the file.
    fn write(&mut self, lines: &[u8], now: Instant) -> usize {
        if lines.is_empty() {
            return 0;
        }
        // Not between the halves of a line.
        let full = self.open.as_ref().is_some_and(|open| {
            open.bytes > 0
                && open.bytes + lines.len() as u64 > self.bytes_max
                && !matches!(open.end, End::Begun { .. })
        });
        if full {
            self.rotate(now);
        }
        // Nobody will read what goes into a file that was removed.
        if self.open.as_ref().is_some_and(Opened::is_removed) {
            self.open = None;
        }
        if self.open.is_none() {
            self.reopen(now);
        }
        let Some(open) = &mut self.open else { return 0 };
        let before = std::mem::take(&mut open.end);
        let joined;
        // What of `bytes` goes before `lines`, and what of `lines` went before.
        let (bytes, ahead, gone) = match before {
            End::Whole => (lines, 0, 0),
            End::Begun { taken, bytes } if open.length() == Some(bytes) => {
                (lines.get(taken..).unwrap_or_default(), 0, taken)
            }
            // The torn line ends here, so that it never swallows the next one.
            End::Torn | End::Begun { .. } => {
                joined = [b"\n", lines].concat();
                (joined.as_slice(), 1, 0)
            }
        };
        let (taken, error) = write_all(self.write, &mut open.file, bytes);
        open.bytes += taken as u64;
        let Some(error) = error else {
            self.tally.write(count(lines));
            self.retry_at = None;
            self.pause = PAUSE_MIN;
            return lines.len();
        };
        let from_lines = gone + taken.saturating_sub(ahead);
        let taken_lines = lines.get(..from_lines).unwrap_or_default();
        let whole = taken_lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        open.end = match open.length() {
            _ if taken == 0 => before,
            _ if whole == from_lines => End::Whole,
            Some(bytes) => End::Begun { taken: from_lines - whole, bytes },
            None => End::Torn,
        };
        self.failed(&error, now);
        self.tally.write(count(lines.get(..whole).unwrap_or_default()));
        whole
    }

    fn keep(&mut self, lines: &[u8], now: Instant) {
        let room = BACKLOG_BYTES_MAX.saturating_sub(self.backlog.len());
        let fitting = lines.get(..room.min(lines.len())).unwrap_or_default();
        let whole = fitting.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.backlog.extend_from_slice(lines.get(..whole).unwrap_or_default());
        let lost = count(lines.get(whole..).unwrap_or_default());
        if lost > 0 {
            let cause = self.tally.cause().unwrap_or(Loss::QueueFull);
            self.tally.lose(lost, cause, now);
        }
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        self.tally.fail(error.to_string());
        self.retry_at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// `x.log.4` → `x.log.5` … `x.log` → `x.log.1`, and a new `x.log`. By rename, so that a reader
    /// that holds the file reads it to its end.
    fn rotate(&mut self, now: Instant) {
        let rotated = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..ROTATED_MAX).rev() {
            // Missing ones are the rule.
            fs::rename(rotated(n), rotated(n + 1)).ok();
        }
        match fs::rename(&self.path, rotated(1)) {
            Ok(()) => self.reopen(now),
            // Better a file that is too long than lines that are lost. The others go back: shifted
            // with every try, they would soon be gone.
            Err(error) => {
                for n in 1..ROTATED_MAX {
                    fs::rename(rotated(n + 1), rotated(n)).ok();
                }
                self.tally.fail(error.to_string());
            }
        }
    }
}

impl Opened {
    /// No directory names the file any more. One that was only moved is still somebody's.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn length(&self) -> Option<u64> {
        self.file.metadata().ok().map(|metadata| metadata.len())
    }
}

fn open(path: &Path) -> io::Result<Opened> {
    // Without blocking: a pipe that was put there and is full would stop the writer for good.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    let mut last = [b'\n'];
    if let Some(at) = metadata.len().checked_sub(1) {
        // What cannot be read is taken for whole.
        file.read_at(&mut last, at).ok();
    }
    let end = if last == [b'\n'] { End::Whole } else { End::Torn };
    Ok(Opened { identity: identity(&metadata), bytes: metadata.len(), end, file })
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[expect(clippy::disallowed_methods, reason = "a file that is full takes a part, and says so next")]
fn write_some(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    file.write(bytes)
}

/// How many bytes went, and what stopped the rest: the library's `write_all` would not say how many,
/// and we must know where a line tore.
fn write_all(
    write: fn(&mut File, &[u8]) -> io::Result<usize>,
    file: &mut File,
    bytes: &[u8],
) -> (usize, Option<io::Error>) {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match write(file, rest) {
            Ok(0) => return (taken, Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => taken += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (taken, Some(error)),
        }
    }
    (taken, None)
}

#[cfg(test)]
mod tests;
