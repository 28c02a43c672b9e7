//! Which paths are sources now: by the rules' `[[source]]`, or every `*.log` of the directory.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::rule::RuleSet;

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
