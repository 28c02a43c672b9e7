//! Which paths are sources now: by the rules' `[[source]]`, or every `*.log` of the directory.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{engine::Engine, rule::RuleSet};

/// The files that sources name now, each with the name of its source, by path. A path that two
/// sources name belongs to the first.
///
/// # Errors
/// The directory cannot be listed; globs that match nothing are none.
pub fn paths(log_dir: &Path, rules: &RuleSet) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = BTreeMap::new();
    if rules.sources.is_empty() {
        for entry in fs::read_dir(log_dir)? {
            let path = entry?.path();
            let (Some(stem), Some("log")) =
                (path.file_stem(), path.extension().and_then(|extension| extension.to_str()))
            else {
                continue;
            };
            let source = stem.to_string_lossy().into_owned();
            found.insert(path, source);
        }
    }
    for source in &rules.sources {
        for pattern in &source.path {
            // The directory's own name is no pattern, whatever characters it holds.
            let pattern = if Path::new(pattern).is_absolute() {
                pattern.clone()
            } else {
                let dir = log_dir.to_string_lossy();
                format!("{}/{pattern}", glob::Pattern::escape(&dir))
            };
            let paths = glob::glob(&pattern).map_err(io::Error::other)?;
            for path in paths.filter_map(Result::ok) {
                found.entry(path).or_insert_with(|| source.name.clone());
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Whether a source names that path.
pub fn is_source(path: &Path, log_dir: &Path, engine: &Engine) -> bool {
    paths(log_dir, engine.rules()).is_ok_and(|named| named.iter().any(|(known, _)| known == path))
}

/// The source that a file of that name belongs to: of a declared one by the last part of its globs,
/// else the name up to `.log`. `access.log`, `access.log.1` and `access.log-20260120.gz` are one.
pub fn source_of(path: &Path, rules: &RuleSet) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = name.split_once(".log").map_or(name, |(stem, _)| stem);
    let declared = rules.sources.iter().find(|source| {
        source.path.iter().any(|pattern| {
            let last = pattern.rsplit('/').next().unwrap_or(pattern);
            let last = glob::Pattern::new(last).ok();
            last.is_some_and(|last| last.matches(name) || last.matches(&format!("{stem}.log")))
        })
    });
    declared.map_or_else(|| stem.to_owned(), |source| source.name.clone())
}
