//! A log's path in, the files that were rotated away from it out.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    iter,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Endings of files that hold something compressed which is not read here.
const OPAQUE: [&[u8]; 6] = [b".xz", b".bz2", b".zst", b".lz4", b".zip", b".Z"];

/// A file beside a log.
#[derive(Debug)]
pub struct Sibling {
    /// Where it is.
    pub path: PathBuf,
    /// What it is; of the target, where it is a link.
    pub metadata: Metadata,
}

/// The directory that a file stands in.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The directories in which a log's files may be: that of its path, and where its path is a link,
/// that of the target.
pub fn directories(path: &Path) -> Vec<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let target = is_link.then(|| fs::canonicalize(path).ok()).flatten();
    iter::once(path).chain(target.as_deref()).map(|path| directory(path).to_owned()).collect()
}

/// Every regular file of a directory, by name.
pub fn files(dir: &Path) -> Vec<Sibling> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    let sibling = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok().filter(Metadata::is_file)?;
        Some(Sibling { path, metadata })
    };
    paths.into_iter().filter_map(sibling).collect()
}

/// The files that stand beside `path`, or beside what it links to, under names that begin with its
/// own (`access.log.1`, `access.log-20260120.gz`), by name.
pub fn of(path: &Path) -> Vec<Sibling> {
    let names = Names::of(path);
    let rotated = |sibling: &Sibling| names.is_rotated(&sibling.path);
    let mut found: Vec<Sibling> =
        directories(path).iter().flat_map(|dir| files(dir)).filter(rotated).collect();
    // Link and target may stand in one directory under names that begin alike.
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

/// What a log is called: the name of its path, and that of what it links to.
#[derive(Debug)]
pub struct Names {
    names: Vec<OsString>,
    target: Option<PathBuf>,
}

impl Names {
    /// Those of the log at `path`.
    pub fn of(path: &Path) -> Self {
        let target = fs::canonicalize(path).ok();
        let paths = [Some(path), target.as_deref()].into_iter().flatten();
        let names = paths.filter_map(Path::file_name).map(OsStr::to_owned).collect();
        Self { names, target }
    }

    /// Whether a file is called as one that was rotated away from the log: the log's name and more.
    fn is_rotated(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().as_bytes();
        let mut names = self.names.iter().map(|of| of.as_bytes());
        names.any(|of| name.starts_with(of) && name != of)
            && !is_opaque(name)
            && self.target.as_deref() != Some(file)
    }

    /// Whether a file is called as the log, as one that was rotated away from it, or as a copy of it
    /// may be.
    pub fn are_of(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().as_bytes();
        let mut names = self.names.iter().map(|of| of.as_bytes());
        names.any(|of| name.starts_with(of) || is_dated(name, of)) && !is_opaque(name)
    }
}

/// The file of that name holds something compressed which is not read here.
fn is_opaque(name: &[u8]) -> bool {
    OPAQUE.iter().any(|ending| name.ends_with(ending))
}

/// Whether `name` is `of` with a date or a number before its ending (`access-20260120.log`,
/// `access.1.log`), as a copy of it may be called that is a source itself.
pub fn is_dated(name: &[u8], of: &[u8]) -> bool {
    let Some(dot) = memchr::memrchr(b'.', of) else { return false };
    let (stem, ending) = of.split_at(dot);
    let between = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending));
    between.is_some_and(
        |between| matches!(between, [b'-' | b'.' | b'_', digit, ..] if digit.is_ascii_digit()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let found = of(path);
        found.iter().map(|one| one.path.file_name().unwrap().to_string_lossy().into()).collect()
    }

    #[test]
    fn files_whose_names_begin_with_the_logs_are_its_siblings() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.log", "a.log.1", "a.log-20260120.gz", "a.log.2.xz", "b.log", "xa.log"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("a.log.d")).unwrap();
        assert_eq!(names(&dir.path().join("a.log")), ["a.log-20260120.gz", "a.log.1"]);
    }

    #[test]
    fn siblings_of_a_link_stand_beside_its_target_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pods")).unwrap();
        for name in ["pods/0.log", "pods/0.log.1", "a.log.2"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("pods/0.log", dir.path().join("a.log")).unwrap();
        assert_eq!(names(&dir.path().join("a.log")), ["a.log.2", "0.log.1"]);
    }

    #[test]
    fn a_dated_name_is_the_logs_with_a_date_in_it() {
        #[track_caller]
        fn check(name: &str, of: &str, expected: bool) {
            assert_eq!(is_dated(name.as_bytes(), of.as_bytes()), expected, "{name} of {of}");
        }
        check("a-20260120.log", "a.log", true);
        check("a.1.log", "a.log", true);
        check("a.log", "a.log", false);
        check("app.log", "a.log", false);
        check("a_ssl.log", "a.log", false);
        check("a-1.txt", "a.log", false);
        check("a", "a", false);
    }
}
