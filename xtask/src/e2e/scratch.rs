//! A directory for one step, gone when the step has passed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::say::say;

/// Lines shown of what each program said.
const LINES_SHOWN: usize = 30;

pub(super) struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Short, as a unix socket's path ends in it; new, as somebody else may write where it stands.
    pub(super) fn new(step: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("e2e-{step}-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        Ok(Self { dir })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new directory in it.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Where a program's words go, one file for each name.
    pub(super) fn output(&self, name: &str) -> Result<(Stdio, Stdio)> {
        let path = self.path(&format!("{name}.out"));
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok((file.try_clone()?.into(), file.into()))
    }

    /// What a program said so far.
    pub(super) fn said(&self, name: &str) -> String {
        read(&self.path(&format!("{name}.out")))
    }

    /// Leaves it in place and shows the end of what each program said.
    pub(super) fn keep(self) {
        let mut files: Vec<_> = fs::read_dir(&self.dir)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.retain(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "out"));
        files.sort();
        for path in files {
            let text = read(&path);
            let lines: Vec<_> = text.lines().collect();
            say!("--- {}", path.display());
            for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
                say!("{line}");
            }
        }
        say!("--- kept: {}", self.dir.display());
        std::mem::forget(self);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// The file's text; none while it is not there.
pub(super) fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
