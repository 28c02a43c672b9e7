//! A pattern → literals of which every match holds one: what the prefilter looks for.
//!
//! Only ASCII counts, in lower case: the prefilter runs on ASCII lines and ignores case.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Literals of which one must stand in every line that matches; more would slow every line.
const ALTERNATIVES_MAX: usize = 64;

/// Longer literals tell no more and cost memory.
const LITERAL_BYTES_MAX: usize = 24;

/// Shorter literals stand in nearly every line.
pub(crate) const LITERAL_BYTES_MIN: usize = 3;

/// Alternatives of which one stands, in any case, wherever there is a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literals(pub(super) Vec<String>);

impl Literals {
    /// None where no literal is needed, or where they are too many or too short to help.
    pub(super) fn new(alternatives: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut alternatives: Vec<_> = alternatives.into_iter().collect();
        alternatives.sort();
        alternatives.dedup();
        let short = alternatives.iter().map(String::len).min()? < LITERAL_BYTES_MIN;
        (!short && alternatives.len() <= ALTERNATIVES_MAX).then_some(Self(alternatives))
    }

    /// The longest run of each text that the raw line must hold as it is. Where the text is
    /// compared with a decoded line, a blank may stand there as `+`.
    pub(super) fn of_texts<'t>(texts: impl Iterator<Item = &'t str>, url: bool) -> Option<Self> {
        Self::new(texts.map(|text| {
            let runs = text.split(|c: char| !c.is_ascii() || (url && c == ' '));
            longest(runs).to_ascii_lowercase()
        }))
    }

    /// Of a pattern.
    pub(super) fn of_pattern(hir: &Hir, url: bool) -> Option<Self> {
        analyse(hir, url).best()
    }

    /// The better of two: longer in its shortest literal, then fewer.
    pub(super) fn better(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    pub(super) fn rank(&self) -> (usize, std::cmp::Reverse<usize>) {
        let shortest = self.0.iter().map(String::len).min().unwrap_or(0);
        (shortest, std::cmp::Reverse(self.0.len()))
    }
}

fn longest<'t>(runs: impl Iterator<Item = &'t str>) -> &'t str {
    let run = runs.max_by_key(|run| run.len()).unwrap_or_default();
    run.get(..LITERAL_BYTES_MAX).unwrap_or(run)
}

/// What is known of the texts that an expression matches.
struct Known {
    /// All of them, in lower case.
    all: Option<Vec<String>>,
    /// Each of them holds one of these.
    some: Option<Literals>,
}

impl Known {
    const NOTHING: Self = Self { all: None, some: None };

    fn all(all: Vec<String>) -> Self {
        Self { all: (all.len() <= ALTERNATIVES_MAX).then_some(all), some: None }
    }

    fn best(self) -> Option<Literals> {
        better(self.all.and_then(Literals::new), self.some)
    }
}

fn better(a: Option<Literals>, b: Option<Literals>) -> Option<Literals> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.better(b)),
        (a, b) => a.or(b),
    }
}

/// Recursion is bounded: the parser refuses expressions nested deeper than its limit.
fn analyse(hir: &Hir, url: bool) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::all(vec![String::new()]),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) if text.is_ascii() && !(url && text.contains(' ')) => {
                Known::all(vec![text.to_ascii_lowercase()])
            }
            Ok(text) => Known { all: None, some: Literals::of_texts([text].into_iter(), url) },
            Err(_) => Known::NOTHING,
        },
        HirKind::Class(class) => of_class(class, url),
        HirKind::Capture(capture) => analyse(&capture.sub, url),
        HirKind::Repetition(repetition) => {
            let known = analyse(&repetition.sub, url);
            match (repetition.min, repetition.max) {
                (1, Some(1)) => known,
                (0, Some(1)) => match known.all {
                    Some(mut all) => {
                        all.push(String::new());
                        Known::all(all)
                    }
                    None => Known::NOTHING,
                },
                (0, _) => Known::NOTHING,
                _ => Known { all: None, some: known.best() },
            }
        }
        HirKind::Concat(parts) => of_concat(parts, url),
        HirKind::Alternation(parts) => {
            let mut all = Some(Vec::new());
            let mut some = Some(Vec::new());
            for known in parts.iter().map(|part| analyse(part, url)) {
                match (&mut all, &known.all) {
                    (Some(all), Some(more)) => all.extend(more.iter().cloned()),
                    (all, _) => *all = None,
                }
                match (&mut some, known.best()) {
                    (Some(some), Some(more)) => some.extend(more.0),
                    (some, _) => *some = None,
                }
            }
            let all = all.filter(|all| all.len() <= ALTERNATIVES_MAX);
            Known { all, some: some.and_then(Literals::new) }
        }
    }
}

/// A class of few characters once case is gone: `[Ss]`, of which `(?i)s` consists.
fn of_class(class: &Class, url: bool) -> Known {
    const CHARACTERS_MAX: usize = 4;
    let Class::Unicode(class) = class else { return Known::NOTHING };
    // What is not ASCII cannot match in an ASCII line, where alone this is used.
    let ascii = class.ranges().iter().filter(|range| range.start().is_ascii());
    let mut characters = std::collections::BTreeSet::new();
    for range in ascii {
        for character in range.start()..=range.end().min('\x7f') {
            characters.insert(character.to_ascii_lowercase());
            if characters.len() > CHARACTERS_MAX {
                return Known::NOTHING;
            }
        }
    }
    if characters.is_empty() || (url && characters.contains(&' ')) {
        return Known::NOTHING;
    }
    Known::all(characters.into_iter().map(String::from).collect())
}

fn of_concat(parts: &[Hir], url: bool) -> Known {
    let mut run = vec![String::new()];
    let mut whole = true;
    let mut some = None;
    for known in parts.iter().map(|part| analyse(part, url)) {
        let joined = known.all.as_ref().and_then(|all| product(&run, all));
        if let Some(joined) = joined {
            run = joined;
            continue;
        }
        // The run ends here; the part may begin the next one.
        whole = false;
        some = better(some, Literals::new(std::mem::take(&mut run)));
        run = known.all.clone().unwrap_or_else(|| vec![String::new()]);
        some = better(some, known.best());
    }
    if whole {
        return Known::all(run);
    }
    Known { all: None, some: better(some, Literals::new(run)) }
}

fn product(heads: &[String], tails: &[String]) -> Option<Vec<String>> {
    if heads.len().saturating_mul(tails.len()) > ALTERNATIVES_MAX {
        return None;
    }
    let mut joined = Vec::with_capacity(heads.len() * tails.len());
    for head in heads {
        for tail in tails {
            if head.len() + tail.len() > LITERAL_BYTES_MAX {
                return None;
            }
            joined.push(format!("{head}{tail}"));
        }
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let hir = regex_syntax::ParserBuilder::new().case_insensitive(true).build().parse(pattern);
        let found = Literals::of_pattern(&hir.unwrap(), true).map(|literals| literals.0);
        assert_eq!(found.unwrap_or_default(), expected, "{pattern}");
    }

    #[test]
    fn every_match_holds_one() {
        check("<script", &["<script"]);
        check("SELECT", &["select"]);
        check(r"union\s+select", &["select"]);
        check(r"union(?:\s|/\*.*?\*/)+(?:all\s+)?select", &["select"]);
        check("(?:foo|barbaz)x?", &["barbaz", "barbazx", "foo", "foox"]);
        check(r"\b(foo|bar)\s*=\s*[0-9]", &["bar", "foo"]);
        check("(?:abc)+", &["abc"]);
        check("ab[cd]e", &["abce", "abde"]);
        check(r"/etc/(?:passwd|shadow)", &["/etc/passwd", "/etc/shadow"]);
        check("a{3}b{2}c{1}xyz", &["cxyz"]);
        check("grün", &[]);
        check("grünland", &["nland"]);
        check("(?:a|b|c|d){2}fgh", &["fgh"]);
    }

    #[test]
    fn where_none_is_needed_or_none_helps_there_is_none() {
        for pattern in [
            "", ".*", "(?:abc)?", "(?:abc)*", "ab", r"\d+", "abc|", "abc|de", "abc|.*", "[a-z]+",
            "a b c",
        ] {
            check(pattern, &[]);
        }
    }
}
