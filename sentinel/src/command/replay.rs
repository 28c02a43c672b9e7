//! `sentinel replay`: log files in, the alerts they would have raised out, as JSON lines.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use shared::Alert;

use super::run;
use crate::{
    alert,
    engine::{Engine, Now, Origin, State},
    failure::Failure,
    line::Buffer,
    merge::{self, Ready},
    regular,
    rule::load,
    tail::{content::Content, discover},
};

/// A file of the past.
struct Past {
    path: PathBuf,
    content: Content,
    buffer: Buffer,
    origin: Origin,
}

/// Evaluates the files, merged by time, and writes the alerts. Windows run on event time alone, so
/// the same files give the same alerts on any day.
///
/// # Errors
/// Bad rules, a file that cannot be read, or nobody to write to.
pub fn replay(rules: &Path, files: &[PathBuf], out: &mut dyn Write) -> Result<(), Failure> {
    let rules = Arc::new(load::load(rules)?.set);
    let mut engine = Engine::new(rules, State::default(), run::observer());
    let mut past = Vec::new();
    for (number, path) in (1..).zip(files) {
        past.push(open(path, number, &mut engine)?);
    }
    let mut broken = None;
    while broken.is_none() {
        for one in &mut past {
            let filled = one.buffer.fill(u64::MAX, |into, from| one.content.read_at(into, from));
            filled.map_err(|error| Failure::at("read", &one.path, &error))?;
            if one.buffer.whole().is_empty() {
                // The last line need not be ended.
                one.buffer.finish();
            }
        }
        if past.iter().all(|one| one.buffer.whole().is_empty()) {
            break;
        }
        let mut emit = |alert: Alert| {
            if broken.is_none() {
                broken = out.write_all(alert::line(&alert).as_bytes()).err();
            }
        };
        for (index, len) in runs(&past, &engine) {
            let Some(Past { buffer, origin, .. }) = past.get_mut(index) else { continue };
            buffer.take(len, |line| engine.line(origin, &line, Now::Replay, &mut emit));
        }
    }
    match broken.or_else(|| out.flush().err()) {
        // Whoever reads has seen enough.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(Failure::Io(format!("cannot write alerts: {error}"))),
        None => Ok(()),
    }
}

fn runs(past: &[Past], engine: &Engine) -> Vec<(usize, usize)> {
    let ready: Vec<Ready<'_>> = past
        .iter()
        .map(|one| Ready { bytes: one.buffer.whole(), more: one.buffer.more() })
        .collect();
    let mut runs = Vec::new();
    let time = |index: usize, line: &[u8]| engine.rules().time(&past.get(index)?.origin.view, line);
    merge::merge(&ready, time, |index, range| runs.push((index, range.len())));
    runs
}

fn open(path: &Path, number: u32, engine: &mut Engine) -> Result<Past, Failure> {
    let failed = |error: io::Error| Failure::at("read", path, &error);
    let (file, _) = regular::open(path).map_err(failed)?;
    let content = Content::of(file).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let source = discover::source_of(path, engine.rules());
    let origin = engine.origin(number, &source, &name);
    Ok(Past { path: path.to_owned(), content, buffer: Buffer::default(), origin })
}
