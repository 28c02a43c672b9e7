//! `alerts.log`: finished lines in, each on disk exactly once. It may be renamed by others at any
//! time, and is rotated here by size.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::tail::{identity::Inode, siblings::directory};

/// Size from which the file is rotated, in bytes.
pub const ALERTS_BYTES_MAX: u64 = 64 << 20;

/// Rotated files kept: `alerts.log.1`, the newest, to `alerts.log.5`.
pub const ALERTS_FILES_KEPT: u32 = 5;

/// A place in some `alerts.log`: which file, and how long it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub(super) inode: Inode,
    pub(super) len: u64,
}

/// The open file.
#[derive(Debug)]
pub struct AlertsLog {
    path: PathBuf,
    file: Arc<File>,
    mark: Mark,
    /// What a full disk left unwritten of the last append.
    unwritten: Vec<u8>,
    rotate_at: u64,
    rotation_fault: Option<io::Error>,
}

impl AlertsLog {
    /// Opens the file, which is created where there is none.
    ///
    /// # Errors
    /// It cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, mark) = append_to(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            mark,
            unwritten: Vec::new(),
            rotate_at: ALERTS_BYTES_MAX,
            rotation_fault: None,
        })
    }

    /// Where the next append begins; at the path, whatever others have done there.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn ready(&mut self) -> io::Result<Mark> {
        let at_path = fs::metadata(&self.path).ok().map(|found| Inode::from(&found));
        if at_path != Some(self.mark.inode) {
            (self.file, self.mark) = append_to(&self.path)?;
        }
        self.mark.len = self.file.metadata()?.len();
        if self.mark.len >= self.rotate_at {
            // Alerts matter more than the size of their file: it grows on where it cannot be renamed.
            self.rotation_fault = self.rotate().err();
            self.rotate_at = match &self.rotation_fault {
                Some(_) => self.mark.len + ALERTS_BYTES_MAX,
                None => ALERTS_BYTES_MAX,
            };
        }
        Ok(self.mark)
    }

    /// Appends lines; after an error [`Self::retry`] goes on where the disk stopped.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.unwritten.extend_from_slice(lines);
        self.retry()
    }

    /// Writes what is still unwritten.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn retry(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            // A short write is no error, and what it wrote must not be written again.
            #[expect(clippy::disallowed_methods, reason = "the count is what this is about")]
            match (&*self.file).write(&self.unwritten) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.unwritten.drain(..written);
                    self.mark.len += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where the file ends.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The file that is appended to.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Why the file was not rotated, if it was to be; told once.
    pub fn rotation_fault(&mut self) -> Option<io::Error> {
        self.rotation_fault.take()
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Up to the first free number: after a failure the next attempt moves nothing twice.
        let free = (1..ALERTS_FILES_KEPT).find(|number| !self.numbered(*number).exists());
        for number in (1..free.unwrap_or(ALERTS_FILES_KEPT)).rev() {
            fs::rename(self.numbered(number), self.numbered(number + 1))?;
        }
        fs::rename(&self.path, self.numbered(1))?;
        (self.file, self.mark) = append_to(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<(Arc<File>, Mark)> {
    let file = File::options().read(true).append(true).create(true).mode(0o640).open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() == 0 {
        // Once for each rotation, and not left to the disk thread: the journal must not name a file
        // that a loss of power takes away, or its alerts would seem to be deleted by others.
        file.sync_all()?;
        File::open(directory(path))?.sync_all()?;
    }
    Ok((Arc::new(file), Mark { inode: Inode::from(&metadata), len: metadata.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }
    }

    #[test]
    fn a_renamed_file_is_left_and_a_large_one_rotated() {
        let dir = Dir::new();
        let path = dir.path("alerts.log");
        let mut log = AlertsLog::open(&path).unwrap();
        log.append(b"one\n").unwrap();
        fs::rename(&path, dir.path("taken")).unwrap();
        log.ready().unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!((dir.read("taken"), dir.read("alerts.log")), ("one\n".into(), "two\n".into()));
        for round in 0..7 {
            File::options().append(true).open(&path).unwrap().set_len(ALERTS_BYTES_MAX).unwrap();
            log.ready().unwrap();
            log.append(format!("{round}\n").as_bytes()).unwrap();
            assert_eq!(dir.read("alerts.log"), format!("{round}\n"));
        }
        assert!(dir.path("alerts.log.5").exists() && !dir.path("alerts.log.6").exists());
    }
}
