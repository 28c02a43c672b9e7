//! What to do with a tailed file: facts in, the next step out. Every case is a row of its table
//! instead of a race.

use std::time::Duration;

/// A rotated file is left once it has not grown for this long: its writer may hold it open until it
/// is told to reopen.
pub const SETTLE_ROTATED: Duration = Duration::from_secs(10);

/// The same for a file whose last name is gone, which keeps its disk space until it is closed.
pub const SETTLE_DELETED: Duration = Duration::from_secs(5);

/// What is at the path a file was opened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtPath {
    /// The file itself.
    Same,
    /// Another file.
    Other,
    /// Nothing: the file was moved away and may come back, or its writer has not made a new one yet.
    Nothing,
}

/// What a look at a file and its path showed.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Its size now.
    pub size: u64,
    /// Its head and the bytes before the read position are what they were.
    pub holds: bool,
    /// Something was not read or not evaluated yet, an unfinished line apart.
    pub unread: bool,
    /// What stands at its path.
    pub at_path: AtPath,
    /// How many names it has.
    pub links: u64,
    /// How long it has not grown.
    pub quiet: Duration,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read on.
    Read,
    /// Its content was replaced: say so and begin at its start.
    Anew,
    /// It is read to its end and will not grow: close it.
    Leave,
}

/// Decides from the position up to which a file was evaluated and what was seen of it.
pub fn next(offset: u64, seen: Seen) -> Step {
    if seen.size < offset || !seen.holds {
        return Step::Anew;
    }
    let settled = match (seen.links, seen.at_path) {
        (0, _) => seen.quiet >= SETTLE_DELETED,
        (_, AtPath::Other) => seen.quiet >= SETTLE_ROTATED,
        (_, AtPath::Same | AtPath::Nothing) => false,
    };
    if settled && !seen.unread { Step::Leave } else { Step::Read }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Seen = Seen {
        size: 100,
        holds: true,
        unread: false,
        at_path: AtPath::Same,
        links: 1,
        quiet: Duration::from_secs(3_600),
    };

    #[track_caller]
    fn check(seen: Seen, expected: Step) {
        assert_eq!(next(100, seen), expected, "{seen:?}");
    }

    #[test]
    fn a_file_at_its_path_is_read_however_quiet() {
        check(QUIET, Step::Read);
        check(Seen { size: 150, ..QUIET }, Step::Read);
    }

    #[test]
    fn a_file_that_shrank_or_changed_begins_anew() {
        check(Seen { size: 99, ..QUIET }, Step::Anew);
        check(Seen { size: 0, ..QUIET }, Step::Anew);
        check(Seen { holds: false, size: 500, ..QUIET }, Step::Anew);
        check(Seen { holds: false, at_path: AtPath::Other, ..QUIET }, Step::Anew);
    }

    #[test]
    fn a_file_that_was_moved_away_is_waited_for() {
        check(Seen { at_path: AtPath::Nothing, ..QUIET }, Step::Read);
    }

    #[test]
    fn a_rotated_file_is_read_until_it_has_settled() {
        let rotated = Seen { at_path: AtPath::Other, ..QUIET };
        check(rotated, Step::Leave);
        check(Seen { quiet: Duration::from_millis(9_999), ..rotated }, Step::Read);
        check(Seen { unread: true, size: 150, ..rotated }, Step::Read);
        check(Seen { quiet: Duration::from_secs(10), ..rotated }, Step::Leave);
        check(Seen { quiet: Duration::from_secs(5), links: 0, ..rotated }, Step::Leave);
        check(Seen { links: 0, at_path: AtPath::Nothing, ..rotated }, Step::Leave);
        check(Seen { quiet: Duration::from_millis(4_999), links: 0, ..rotated }, Step::Read);
    }
}
