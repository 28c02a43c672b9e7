//! `alerts.log`: finished lines in, each on disk exactly once. It may be renamed by others at any
//! time, and is rotated here by size.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::tail::identity::Inode;

/// Size from which the file is rotated, in bytes.
pub const ALERTS_BYTES_MAX: u64 = 64 << 20;

/// Rotated files kept: `alerts.log.1`, the newest, to `alerts.log.5`.
pub const ALERTS_FILES_KEPT: u32 = 5;

/// A place in some `alerts.log`: which file, and how long it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    inode: Inode,
    len: u64,
}

/// The open file.
#[derive(Debug)]
pub struct AlertsLog {
    path: PathBuf,
    file: File,
    mark: Mark,
    /// What a full disk left unwritten of the last append.
    unwritten: Vec<u8>,
    rotate_at: u64,
    rotation_fault: Option<io::Error>,
}

/// What became of the alerts that were journalled last.
#[derive(Debug, PartialEq, Eq)]
pub enum Completed {
    /// They stand in the file, or do now.
    Whole,
    /// The file they were appended to was cut or deleted by others: nothing is written again.
    Gone,
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
            match self.file.write(&self.unwritten) {
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

fn append_to(path: &Path) -> io::Result<(File, Mark)> {
    let file = File::options().read(true).append(true).create(true).mode(0o640).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, Mark { inode: Inode::from(&metadata), len: metadata.len() }))
}

/// Sees to it that `lines`, which were to be appended at `mark`, stand there once: a line that is
/// torn is completed, one that is missing is appended. The file is found by its inode, under
/// whatever name it has now.
///
/// # Errors
/// Those of the disk.
pub fn complete(path: &Path, mark: Mark, lines: &str) -> io::Result<Completed> {
    let Some((mut file, len)) = find(path, mark.inode)? else { return Ok(Completed::Gone) };
    if len < mark.len {
        return Ok(Completed::Gone);
    }
    let mut there = vec![0; usize::try_from(len - mark.len).map_err(io::Error::other)?];
    file.read_exact_at(&mut there, mark.len)?;
    // What was written by us is a beginning of `lines`; whatever follows that is a stranger's.
    let written = lines.bytes().zip(&there).take_while(|(line, there)| line == *there).count();
    if written < lines.len() {
        let missing = lines.as_bytes().get(written..).unwrap_or_default();
        if written == there.len() {
            file.write_all(missing)?;
        } else {
            let from =
                lines.get(..written).and_then(|whole| whole.rfind('\n')).map_or(0, |end| end + 1);
            let separator = if there.ends_with(b"\n") { &b""[..] } else { b"\n" };
            file.write_all(
                &[separator, lines.as_bytes().get(from..).unwrap_or_default()].concat(),
            )?;
        }
    }
    Ok(Completed::Whole)
}

fn find(path: &Path, inode: Inode) -> io::Result<Option<(File, u64)>> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let siblings = fs::read_dir(dir.unwrap_or_else(|| Path::new(".")))?;
    let siblings = siblings.filter_map(|entry| Some(entry.ok()?.path()));
    for candidate in std::iter::once(path.to_owned()).chain(siblings) {
        match fs::metadata(&candidate) {
            Ok(found) if Inode::from(&found) == inode => {
                let file = File::options().read(true).append(true).open(&candidate)?;
                return Ok(Some((file, found.len())));
            }
            _ => {}
        }
    }
    Ok(None)
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

    /// What stands in the file after `there` of `a\nb\n` had been appended to `old\n`.
    #[track_caller]
    fn check(there: &str, expected: &str) {
        let dir = Dir::new();
        let path = dir.path("alerts.log");
        fs::write(&path, "old\n").unwrap();
        let mark = AlertsLog::open(&path).unwrap().mark();
        fs::write(&path, format!("old\n{there}")).unwrap();
        for _ in 0..2 {
            assert_eq!(complete(&path, mark, "aa\nbb\n").unwrap(), Completed::Whole);
            assert_eq!(dir.read("alerts.log"), expected);
        }
    }

    #[test]
    fn what_a_crash_left_out_is_appended_once() {
        check("", "old\naa\nbb\n");
        check("a", "old\naa\nbb\n");
        check("aa\nb", "old\naa\nbb\n");
        check("aa\nbb\n", "old\naa\nbb\n");
    }

    #[test]
    fn a_file_renamed_by_others_is_completed_where_it_is() {
        let dir = Dir::new();
        let path = dir.path("alerts.log");
        let mark = AlertsLog::open(&path).unwrap().mark();
        fs::rename(&path, dir.path("alerts.log.1")).unwrap();
        fs::write(&path, "newer\n").unwrap();
        assert_eq!(complete(&path, mark, "a\n").unwrap(), Completed::Whole);
        assert_eq!(
            (dir.read("alerts.log.1"), dir.read("alerts.log")),
            ("a\n".into(), "newer\n".into())
        );
    }

    #[test]
    fn a_file_cut_or_deleted_by_others_is_not_written_again() {
        let dir = Dir::new();
        let path = dir.path("alerts.log");
        fs::write(&path, "old\n").unwrap();
        let mark = AlertsLog::open(&path).unwrap().mark();
        fs::write(&path, "").unwrap();
        assert_eq!(complete(&path, mark, "a\n").unwrap(), Completed::Gone);
        fs::remove_file(&path).unwrap();
        fs::write(dir.path("other.log"), "").unwrap();
        assert_eq!(complete(&path, mark, "a\n").unwrap(), Completed::Gone);
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
