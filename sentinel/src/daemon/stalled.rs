//! What a look showed of the sources → those that should be read and have not been for too long.
//! A source that is merely quiet is not among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::Daemon;
use crate::{
    notice::Notice,
    tail::{discover, follow::AtPath},
};

/// A source that cannot be read, or whose file is gone and has no successor, is told after this long.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sources that are remembered though nothing is left of them.
const SOURCES_MAX: usize = 1_000;

/// What there is at a path of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sign {
    /// A file that is read.
    Read,
    /// Something that cannot be read, and why.
    Unreadable(String),
    /// Another file than the one that is still read, and no reason not to read it.
    Successor,
    /// Nothing; the file that stood there may be read on.
    Nothing,
}

#[derive(Debug, Clone)]
struct Sight {
    /// Empty for the log directory itself.
    source: String,
    path: PathBuf,
    sign: Sign,
    /// Grows when the file does, or is evaluated.
    progress: u64,
}

/// The sources, and since when they are not what they should be.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    sources: BTreeMap<String, Source>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Source {
    /// When it was last read, or grew.
    well: Instant,
    progress: u64,
    /// Where its file was last seen, if one was ever opened.
    opened: Option<PathBuf>,
    /// This stall was told.
    told: bool,
}

impl Daemon {
    /// Looks after the sources. While a full disk keeps lines from being evaluated nothing is to be
    /// learned of them: who writes them may wait for the same disk.
    pub(super) fn look_after(&mut self, now: Instant) {
        if self.stalled.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY) {
            return;
        }
        self.stalled.looked = Some(now);
        if self.retry_at.is_some() {
            self.stalled.hold(now);
        } else {
            let stalled = self.stalled.look(&self.sights(), now);
            self.notices.extend(stalled);
        }
    }

    fn sights(&self) -> Vec<Sight> {
        let mut sights = Vec::new();
        for tailed in self.tail.files() {
            let sign = match (&tailed.fault, tailed.at_path) {
                (Some(fault), _) => Sign::Unreadable(fault.clone()),
                (None, AtPath::Same) => Sign::Read,
                (None, AtPath::Other) => Sign::Successor,
                (None, AtPath::Nothing) => Sign::Nothing,
            };
            let (source, path) = (tailed.record.source.clone(), tailed.record.path());
            let progress = tailed.size.saturating_add(tailed.record.offset);
            sights.push(Sight { source, path, sign, progress });
        }
        for (path, fault) in self.tail.faults() {
            let source = match *path == self.settings.log_dir {
                true => String::new(),
                false => discover::source_of(path, self.engine.rules()),
            };
            let sign = Sign::Unreadable(fault.clone());
            sights.push(Sight { source, path: path.clone(), sign, progress: 0 });
        }
        let seen: BTreeSet<String> = sights.iter().map(|sight| sight.source.clone()).collect();
        for (source, path) in self.stalled.opened() {
            if !seen.contains(source) {
                // What is there and not tailed is no log: a copy, or a file of alerts.
                let sign = if path.exists() { Sign::Successor } else { Sign::Nothing };
                let (source, path) = (source.to_owned(), path.to_owned());
                sights.push(Sight { source, path, sign, progress: 0 });
            }
        }
        sights
    }
}

impl Stalled {
    /// Files that were opened once, and their sources.
    fn opened(&self) -> impl Iterator<Item = (&str, &Path)> {
        let sources = self.sources.iter();
        sources.filter_map(|(name, source)| Some((name.as_str(), source.opened.as_deref()?)))
    }

    /// Begins to wait anew.
    fn hold(&mut self, now: Instant) {
        for source in self.sources.values_mut() {
            source.well = now;
        }
    }

    fn look(&mut self, sights: &[Sight], now: Instant) -> Vec<Notice> {
        let mut by_source: BTreeMap<&str, Vec<&Sight>> = BTreeMap::new();
        for sight in sights {
            by_source.entry(&sight.source).or_default().push(sight);
        }
        self.sources.retain(|name, _| by_source.contains_key(name.as_str()));
        // Without its directory nothing can be said of a source.
        let directory = by_source.get("").is_some_and(|sights| trouble(sights).is_some());
        let mut stalled = Vec::new();
        for (name, sights) in by_source {
            if !self.sources.contains_key(name) && self.sources.len() >= SOURCES_MAX {
                // Of those nothing more is to be said.
                self.sources.retain(|_, known| !known.told);
                if self.sources.len() >= SOURCES_MAX {
                    continue;
                }
            }
            let fresh = Source { well: now, progress: 0, opened: None, told: false };
            let source = self.sources.entry(name.to_owned()).or_insert(fresh);
            let progress = sights.iter().fold(0, |sum: u64, one| sum.saturating_add(one.progress));
            let grew = progress > source.progress;
            source.progress = progress;
            if let Some(sight) = sights.iter().find(|sight| sight.progress > 0) {
                source.opened = Some(sight.path.clone());
            }
            match trouble(&sights) {
                Some((path, why)) if !grew => {
                    if directory && !name.is_empty() {
                        source.well = now;
                    } else if !source.told && now.duration_since(source.well) >= STALLED_AFTER {
                        source.told = true;
                        stalled.push(notice(name, path, why));
                    }
                }
                _ => (source.well, source.told) = (now, false),
            }
        }
        stalled
    }
}

/// What is wrong with a source, and where.
fn trouble<'a>(sights: &[&'a Sight]) -> Option<(&'a Path, &'a str)> {
    let any = |sign: Sign| sights.iter().any(|sight| sight.sign == sign);
    if any(Sign::Read) {
        return None;
    }
    let unreadable = sights.iter().find_map(|sight| match &sight.sign {
        Sign::Unreadable(why) => Some((&*sight.path, why.as_str())),
        _ => None,
    });
    if unreadable.is_some() || any(Sign::Successor) {
        return unreadable;
    }
    Some((&sights.first()?.path, "it is gone and no other file stands in its place"))
}

fn notice(source: &str, path: &Path, why: &str) -> Notice {
    let file = match path.file_name() {
        Some(name) if !source.is_empty() => name.to_string_lossy().into_owned(),
        _ => path.display().to_string(),
    };
    Notice::SourceStalled { source: source.to_owned(), file, why: why.to_owned() }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;

    const READ: Sign = Sign::Read;
    const NOTHING: Sign = Sign::Nothing;
    const SUCCESSOR: Sign = Sign::Successor;

    fn unreadable() -> Sign {
        Sign::Unreadable("permission denied".into())
    }

    fn sight(source: &str, sign: Sign, progress: u64) -> Sight {
        let path = match source {
            "" => "logs".into(),
            source => format!("logs/{source}.log").into(),
        };
        Sight { source: source.into(), path, sign, progress }
    }

    type Looks<'a> = &'a [(u64, Vec<Sight>)];

    /// Whose stall is told, and when: (second, source).
    #[track_caller]
    fn check(looks: Looks<'_>, expected: &[(u64, &str)]) {
        let (mut stalled, start) = (Stalled::default(), Instant::now());
        let mut told = Vec::new();
        for (second, sights) in looks {
            for notice in stalled.look(sights, start + Duration::from_secs(*second)) {
                let Notice::SourceStalled { source, .. } = notice else { unreachable!() };
                told.push((*second, source));
            }
        }
        let told: Vec<_> = told.iter().map(|(second, source)| (*second, source.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_source_that_is_quiet_is_no_stall() {
        check(&[(0, vec![sight("a", READ, 9)]), (9_999, vec![sight("a", READ, 9)])], &[]);
        check(&[(0, vec![]), (9_999, vec![])], &[]);
    }

    #[test]
    fn a_source_that_cannot_be_read_is_told_once() {
        let bad = || vec![sight("a", unreadable(), 0)];
        check(&[(0, bad()), (59, bad()), (60, bad()), (61, bad()), (999, bad())], &[(60, "a")]);
    }

    #[test]
    fn a_file_without_a_successor_is_told_unless_it_grows() {
        let read = || vec![sight("a", READ, 9)];
        let gone = |progress| vec![sight("a", NOTHING, progress)];
        check(&[(0, read()), (1, gone(9)), (59, gone(9)), (60, gone(9))], &[(60, "a")]);
        check(&[(0, read()), (50, gone(10)), (109, gone(10)), (110, gone(10))], &[(110, "a")]);
        // It is closed when its last name is gone: the daemon still says that nothing is there.
        check(&[(0, read()), (5, gone(0)), (61, gone(0))], &[(61, "a")]);
    }

    #[test]
    fn a_stall_that_ended_may_be_told_again() {
        let (read, gone) = (|| vec![sight("a", READ, 9)], || vec![sight("a", NOTHING, 9)]);
        check(
            &[(0, read()), (60, gone()), (61, read()), (120, gone()), (121, gone())],
            &[(60, "a"), (121, "a")],
        );
    }

    #[test]
    fn another_file_of_the_source_is_enough() {
        let two = |one, other| vec![sight("a", one, 9), sight("a", other, 9)];
        check(&[(0, two(READ, unreadable())), (99, two(READ, unreadable()))], &[]);
        check(&[(0, two(READ, NOTHING)), (99, two(NOTHING, READ))], &[]);
        check(&[(0, two(READ, READ)), (99, two(NOTHING, SUCCESSOR))], &[]);
        check(&[(0, two(READ, READ)), (99, two(SUCCESSOR, unreadable()))], &[(99, "a")]);
    }

    #[test]
    fn a_directory_that_is_gone_is_told_in_place_of_its_sources() {
        let read = || vec![sight("a", READ, 9), sight("b", READ, 9)];
        let gone =
            || vec![sight("", unreadable(), 0), sight("a", NOTHING, 9), sight("b", NOTHING, 9)];
        let back = || vec![sight("a", NOTHING, 9), sight("b", READ, 9)];
        check(
            &[(0, read()), (1, gone()), (61, gone()), (99, gone()), (100, back()), (159, back())],
            &[(61, ""), (159, "a")],
        );
    }

    #[test]
    fn what_passes_while_evaluation_is_stopped_does_not_count() {
        let (mut stalled, start) = (Stalled::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let gone = [sight("a", NOTHING, 9)];
        assert!(stalled.look(&gone, at(0)).is_empty());
        stalled.hold(at(500));
        assert!(stalled.look(&gone, at(559)).is_empty());
        assert_eq!(stalled.look(&gone, at(560)).len(), 1);
    }

    #[test]
    fn sources_are_remembered_up_to_a_limit() {
        let (mut stalled, now) = (Stalled::default(), Instant::now());
        let many: Vec<_> = (0..2_000).map(|n| sight(&n.to_string(), NOTHING, 1)).collect();
        stalled.look(&many, now);
        assert_eq!(stalled.sources.len(), SOURCES_MAX);
        stalled.look(&[], now);
        assert!(stalled.sources.is_empty());
    }
}
