//! inotify as a hint: something changed, look now. What it misses (network file systems, a full
//! queue) the next poll sees.

use std::{io, path::Path};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::{failure::Failure, settings::Watch};

/// Watches a directory for as long as it is kept.
#[derive(Debug)]
pub struct Hint(#[expect(dead_code, reason = "kept for its drop")] Option<RecommendedWatcher>);

/// Calls `wake` whenever something changes in `dir`, if `watch` asks for that and the system can.
///
/// # Errors
/// inotify was asked for by name and does not work here.
pub fn hint(dir: &Path, watch: Watch, wake: impl Fn() + Send + 'static) -> Result<Hint, Failure> {
    if watch == Watch::Poll {
        return Ok(Hint(None));
    }
    let changed = move |event: notify::Result<notify::Event>| {
        // Looking is an access too, and must not call for the next look. An error is a queue that
        // ran over.
        if event.map_or(true, |event| !event.kind.is_access()) {
            wake();
        }
    };
    let watcher = notify::recommended_watcher(changed).and_then(|mut watcher| {
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => Ok(Hint(Some(watcher))),
        Err(_) if watch == Watch::Auto => Ok(Hint(None)),
        Err(error) => Err(Failure::at("watch (with inotify)", dir, &io::Error::other(error))),
    }
}
