//! A path of rules → the texts of its files, and the rule set that they are.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{RuleSet, Severity};
use crate::{failure::Failure, regular};

/// Size of one rule file.
pub const RULE_BYTES_MAX: u64 = 4 << 20;

/// Why there are no rules to read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing there.
    #[error("{}: no such file or directory: --rules takes a rule file or a directory of them", .0.display())]
    Missing(PathBuf),
    /// A directory without rule files.
    #[error("{}: no rule files: put at least one *.toml there", .0.display())]
    Empty(PathBuf),
    /// Something else.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

/// A rule set, and the files it was read from.
#[derive(Debug)]
pub struct Loaded {
    /// (path, text), as they were read.
    pub files: Vec<(String, String)>,
    /// What they say.
    pub set: RuleSet,
}

/// Loads a rule set.
///
/// # Errors
/// Every fault of its files.
pub fn load(path: &Path) -> Result<Loaded, Failure> {
    let files = read(path).map_err(|unreadable| Failure::Usage(unreadable.to_string()))?;
    let (rules, faults) = RuleSet::parse(&files);
    match rules {
        Some(set) => Ok(Loaded { files, set }),
        None => {
            let errors = faults.iter().filter(|fault| fault.severity == Severity::Error);
            Err(Failure::Usage(errors.map(ToString::to_string).collect::<Vec<_>>().join("\n\n")))
        }
    }
}

/// Reads a rule file, or each `*.toml` of a directory in the order of their names, hidden ones
/// left out: (path, text) pairs for [`RuleSet::parse`](super::RuleSet::parse).
///
/// # Errors
/// Nothing there, nothing in it, or a file that cannot be read or is not UTF-8.
pub fn read(path: &Path) -> Result<Vec<(String, String)>, Unreadable> {
    let failed = |path: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing(path.to_owned()),
        _ => Unreadable::Io(path.to_owned(), error),
    };
    let mut paths = vec![path.to_owned()];
    if fs::metadata(path).map_err(|error| failed(path, error))?.is_dir() {
        paths = toml_files(path).map_err(|error| failed(path, error))?;
        if paths.is_empty() {
            return Err(Unreadable::Empty(path.to_owned()));
        }
    }
    paths
        .into_iter()
        .map(|path| match read_file(&path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(error) => Err(failed(&path, error)),
        })
        .collect()
}

fn read_file(path: &Path) -> io::Result<String> {
    let (file, _) = regular::open(path)?;
    let mut text = String::new();
    file.take(RULE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > RULE_BYTES_MAX {
        return Err(io::Error::other(format!("more than {RULE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn toml_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
