//! A pattern → literals of which every match holds one: what the prefilter looks for.
//!
//! Only ASCII counts, in lower case: the prefilter runs on ASCII lines and ignores case.

use std::cmp::Reverse;

use memchr::memmem;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Literals of one rule; more would make the automaton of all rules too large.
const LITERALS_MAX: usize = 2_048;

/// Texts of one piece of an expression that are told apart.
const ALTERNATIVES_MAX: usize = 256;

/// Longer literals tell no more and cost memory.
pub(super) const LITERAL_BYTES_MAX: usize = 24;

/// Characters of a class that are tried one by one: white space and a few quotes.
const CLASS_MAX: usize = 16;

/// Blanks of a literal that are tried as `+` too.
const BLANKS_MAX: usize = 2;

/// Literals that weigh less stand in nearly every line.
const WEIGHT_MIN: usize = 3;

/// Alternatives of which one stands, in any case, wherever there is a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literals(pub(super) Vec<String>);

impl Literals {
    /// None where no literal is needed, or where they are too many or too common to help.
    fn new(alternatives: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut alternatives: Vec<_> = alternatives.into_iter().collect();
        alternatives.sort();
        alternatives.dedup();
        let lightest = alternatives.iter().map(|literal| weight(literal)).min()?;
        let helps = lightest >= WEIGHT_MIN && alternatives.len() <= LITERALS_MAX;
        helps.then_some(Self(alternatives))
    }

    /// The weightiest part of each text that the line must hold as it is.
    pub(super) fn of_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Self> {
        Self::new(texts.map(|text| {
            let part = weightiest(text.split(|c: char| !c.is_ascii()));
            part.get(..LITERAL_BYTES_MAX).unwrap_or(part).to_ascii_lowercase()
        }))
    }

    /// Of a pattern.
    pub(super) fn of_pattern(hir: &Hir) -> Option<Self> {
        analyse(hir).best()
    }

    /// Of these or those.
    pub(super) fn union(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        Self::new(all.into_iter().flat_map(|literals| literals.0))
    }

    /// Where the text is compared with a decoded line, a blank may stand in the raw line as `+`.
    pub(super) fn encoded(self) -> Option<Self> {
        Self::new(self.0.into_iter().flat_map(|literal| {
            let words: Vec<_> = literal.split(' ').collect();
            let few = words.windows(words.len().min(BLANKS_MAX + 1));
            let few = few.max_by_key(|words| weight(&words.concat())).unwrap_or_default();
            let mut encoded = vec![String::new()];
            for (place, word) in few.iter().enumerate() {
                if place > 0 {
                    let plus = encoded.iter().map(|head| format!("{head}+"));
                    let blank = encoded.iter().map(|head| format!("{head} "));
                    encoded = blank.chain(plus).collect();
                }
                encoded.iter_mut().for_each(|head| head.push_str(word));
            }
            encoded
        }))
    }

    /// How good they are: by the weight of the lightest, then fewer.
    pub(super) fn rank(&self) -> (usize, Reverse<usize>) {
        let lightest = self.0.iter().map(|literal| weight(literal)).min().unwrap_or(0);
        (lightest, Reverse(self.0.len()))
    }
}

/// How much it tells that a literal stands in a line. What no quiet log is full of counts as much
/// as three letters.
fn weight(literal: &str) -> usize {
    literal.bytes().map(|byte| if b"'`<>$|\n".contains(&byte) { WEIGHT_MIN } else { 1 }).sum()
}

fn weightiest<'t>(parts: impl Iterator<Item = &'t str>) -> &'t str {
    parts.max_by_key(|part| weight(part)).unwrap_or_default()
}

pub(super) fn better(a: Option<Literals>, b: Option<Literals>) -> Option<Literals> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.rank() > a.rank() { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// What is known of the texts that an expression matches.
#[derive(Default)]
struct Known {
    /// All of them, in lower case.
    all: Option<Vec<String>>,
    /// Each begins with one of these.
    first: Option<Vec<String>>,
    /// Each ends with one of these.
    last: Option<Vec<String>>,
    /// Each holds one of these.
    some: Option<Literals>,
}

impl Known {
    fn all(all: Vec<String>) -> Self {
        Self { all: (all.len() <= ALTERNATIVES_MAX).then_some(all), ..Self::default() }
    }

    fn best(&self) -> Option<Literals> {
        let known = [&self.all, &self.first, &self.last].into_iter().flatten();
        known.map(|texts| Literals::new(texts.iter().cloned())).fold(self.some.clone(), better)
    }
}

/// Recursion is bounded: the parser refuses expressions nested deeper than its limit.
fn analyse(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::all(vec![String::new()]),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) if text.is_ascii() && text.len() <= LITERAL_BYTES_MAX => {
                Known::all(vec![text.to_ascii_lowercase()])
            }
            Ok(text) => Known { some: Literals::of_texts([text].into_iter()), ..Known::default() },
            Err(_) => Known::default(),
        },
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => analyse(&capture.sub),
        HirKind::Repetition(repetition) => {
            let known = analyse(&repetition.sub);
            match (repetition.min, repetition.max) {
                (1, Some(1)) => known,
                (0, Some(1)) => match known.all {
                    Some(mut all) => {
                        all.push(String::new());
                        Known::all(all)
                    }
                    None => Known::default(),
                },
                (0, _) => Known::default(),
                _ => Known {
                    some: known.best(),
                    first: known.all.clone().or(known.first),
                    last: known.all.or(known.last),
                    all: None,
                },
            }
        }
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(parts) => {
            let parts: Vec<_> = parts.iter().map(analyse).collect();
            let best: Option<Vec<_>> = parts.iter().map(Known::best).collect();
            Known {
                all: together(&parts, |known| known.all.as_ref()),
                first: together(&parts, |known| known.all.as_ref().or(known.first.as_ref())),
                last: together(&parts, |known| known.all.as_ref().or(known.last.as_ref())),
                some: best.and_then(Literals::union),
            }
        }
    }
}

/// The texts of every branch; none where one has none, or where they are too many.
fn together(
    parts: &[Known],
    texts: impl Fn(&Known) -> Option<&Vec<String>>,
) -> Option<Vec<String>> {
    let all: Option<Vec<_>> = parts.iter().map(texts).collect();
    let all: Vec<_> = all?.into_iter().flatten().cloned().collect();
    (all.len() <= ALTERNATIVES_MAX).then_some(all)
}

/// A class of few characters once case is gone: `[Ss]`, of which `(?i)s` consists; `\s`.
fn of_class(class: &Class) -> Known {
    let Class::Unicode(class) = class else { return Known::default() };
    // What is not ASCII cannot match in an ASCII line, where alone this is used.
    let ascii = class.ranges().iter().filter(|range| range.start().is_ascii());
    let mut characters = std::collections::BTreeSet::new();
    for range in ascii {
        for character in range.start()..=range.end().min('\x7f') {
            characters.insert(character.to_ascii_lowercase());
            if characters.len() > CLASS_MAX {
                return Known::default();
            }
        }
    }
    if characters.is_empty() {
        return Known::default();
    }
    Known::all(characters.into_iter().map(String::from).collect())
}

fn of_concat(parts: &[Hir]) -> Known {
    let mut first = None;
    let mut some = None;
    // What is sure to stand in one piece, up to here.
    let mut run = vec![String::new()];
    for known in parts.iter().map(analyse) {
        if let Some(joined) = known.all.as_ref().and_then(|all| product(&run, all)) {
            run = joined;
            continue;
        }
        // The piece ends in this part, and the next begins in it.
        if let Some(joined) = known.first.as_ref().and_then(|first| product(&run, first)) {
            run = joined;
        }
        some = better(better(some, Literals::new(run.iter().cloned())), known.best());
        first = first.or(Some(run));
        run = known.all.or(known.last).unwrap_or_else(|| vec![String::new()]);
    }
    match first {
        None => Known::all(run),
        Some(first) => Known { all: None, first: Some(first), last: Some(run), some },
    }
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

/// Whether ignoring case makes ASCII of nothing that is none: the signs of the kelvin and of the
/// long s, and the dotted I (Unicode's CaseFolding.txt and SpecialCasing.txt).
pub(super) fn folds_to_itself(text: &[u8]) -> bool {
    let special = ["\u{212a}", "\u{17f}", "\u{130}"];
    text.is_ascii() || special.iter().all(|c| memmem::find(text, c.as_bytes()).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let hir = regex_syntax::ParserBuilder::new().case_insensitive(true).build().parse(pattern);
        let found = Literals::of_pattern(&hir.unwrap()).map(|literals| literals.0);
        assert_eq!(found.unwrap_or_default(), expected, "{pattern}");
    }

    #[test]
    fn every_match_holds_one() {
        check("<script", &["<script"]);
        check("SELECT", &["select"]);
        check(r"union[ \t]+select", &["\tselect", " select"]);
        check(r"union(?: |/\*.*?\*/)+(?:all +)?select", &["select"]);
        check("(?:foo|barbaz)x?", &["barbaz", "barbazx", "foo", "foox"]);
        check(r"\b(foo|bar)[ =]*[0-9]", &["bar", "foo"]);
        check("(?:abc)+", &["abc"]);
        check("x(?:ab)+y", &["xab"]);
        check("ab[cd]e", &["abce", "abde"]);
        check(r"/etc/(?:passwd|shadow)", &["/etc/passwd", "/etc/shadow"]);
        check("a{3}b{2}c{1}xyz", &["bcxyz"]);
        check("grün", &[]);
        check("grünland", &["nland"]);
        check("a b c", &["a b c"]);
        check(r"'.*\d", &["'"]);
        check("[^x]or[ (]", &["or ", "or("]);
        check(r"(?:ab(?:c+|d)){2}", &["abc", "abd"]);
    }

    #[test]
    fn where_none_is_needed_or_none_helps_there_is_none() {
        for pattern in
            ["", ".*", "(?:abc)?", "(?:abc)*", "ab", r"\d+", "abc|", "abc|de", "abc|.*", "[a-z]+"]
        {
            check(pattern, &[]);
        }
    }

    #[test]
    fn a_blank_may_be_a_plus() {
        let encoded = |literal: &str| Literals(vec![literal.to_owned()]).encoded().map(|l| l.0);
        assert_eq!(encoded("abc"), Some(vec!["abc".to_owned()]));
        assert_eq!(encoded("or 1"), Some(vec!["or 1".to_owned(), "or+1".to_owned()]));
        assert_eq!(encoded("a b c").map(|all| all.len()), Some(4));
        let few = ["b c def", "b c+def", "b+c def", "b+c+def"].map(str::to_owned);
        assert_eq!(encoded("a b c def"), Some(few.into()));
    }
}
