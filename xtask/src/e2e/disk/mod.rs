//! Small disks that fill and are emptied again, under a webapp and under a sentinel. Each disk is a
//! tmpfs, so root is needed.

mod webapp;
mod sentinel;

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustix::fs::statvfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::scratch::Scratch;

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    webapp::run(scratch)?;
    sentinel::run(scratch)
}

/// A small disk that goes away with its owner.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Result<Self> {
        mount("tmpfs", &path, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, c"size=4m")
            .context("mounting a tmpfs, which only root may")?;
        Ok(Self(path))
    }

    fn free(&self) -> Result<u64> {
        let disk = statvfs(&self.0)?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Somebody else's file, which leaves no more than that many bytes.
    fn fill(&self, left: u64) -> Result<()> {
        let mut filler = File::create(self.filler())?;
        let piece = [b'x'; 4 << 10];
        while self.free()? > left {
            match filler.write_all(&piece) {
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                written => written?,
            }
        }
        Ok(())
    }

    /// Deletes it.
    fn empty(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("deleting what fills the disk")
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still holds a file there keeps it to its end.
        unmount(&self.0, UnmountFlags::DETACH).ok();
    }
}
