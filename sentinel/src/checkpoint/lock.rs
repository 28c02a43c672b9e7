//! One sentinel for one state.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
};

use crate::{failure::Failure, settings::Settings};

/// The state directory, created, and locked for as long as the returned file is open.
///
/// # Errors
/// It cannot be created, or another sentinel holds it.
pub fn lock(settings: &Settings) -> Result<File, Failure> {
    let dir = &settings.state_dir;
    let failed = |error: io::Error| {
        Failure::Io(format!(
            "cannot keep state in {}: {error}; where the log directory cannot be written, give \
             --state-dir (SENTINEL_STATE_DIR) and --alerts (SENTINEL_ALERTS) elsewhere",
            dir.display()
        ))
    };
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(failed)?;
    let lock = super::private_file().create(true).truncate(false).open(dir.join("lock"));
    let file = lock.map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::Io(format!(
            "another sentinel works with {}: stop it, or give this one a --state-dir \
             (SENTINEL_STATE_DIR) of its own",
            dir.display()
        ))),
        Err(error) => Err(failed(error.into())),
    }
}
