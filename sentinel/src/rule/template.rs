//! A rule's `message` → the text of an alert, its `{fields}` filled in.

use std::ops::Range;

use crate::record::{FieldId, Fields, Names, TooManyFields};

/// Longest that one value may be in a message, in characters. The evidence holds the whole.
pub const VALUE_CHARS_MAX: usize = 256;

/// A text with places to fill in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(FieldId),
    Count,
    Timespan,
}

/// Why a text is no template, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadTemplate {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// A placeholder, and where it stands.
pub(super) type Placeholder<'t> = (&'t str, Range<usize>);

/// The names between braces, in their order; `{{` and `}}` are braces.
pub(super) fn placeholders(text: &str) -> Result<Vec<Placeholder<'_>>, BadTemplate> {
    let mut found = Vec::new();
    pieces(text, |piece| {
        if let Piece::Name(name, span) = piece {
            found.push((name, span));
        }
    })?;
    Ok(found)
}

impl Template {
    /// A text that has passed [`placeholders`]; of another, what comes before the fault.
    pub(super) fn new(text: &str, names: &mut Names) -> Result<Self, TooManyFields> {
        let mut parts = Vec::new();
        let mut outcome = Ok(());
        let _checked = pieces(text, |piece| match piece {
            Piece::Text(text) => parts.push(Part::Text(text.to_owned())),
            Piece::Name("count", _) => parts.push(Part::Count),
            Piece::Name("timespan", _) => parts.push(Part::Timespan),
            Piece::Name(name, _) => match names.intern(name) {
                Ok(id) => parts.push(Part::Field(id)),
                Err(error) => outcome = Err(error),
            },
        });
        outcome.map(|()| Self(parts))
    }

    /// A text without places.
    pub(super) fn plain(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    pub(super) fn fill(&self, fields: &dyn Fields, count: u64, timespan: &str) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Count => filled.push_str(&count.to_string()),
                Part::Timespan => filled.push_str(timespan),
                Part::Field(id) => match fields.field(*id) {
                    Some(value) => push_data(&mut filled, &value),
                    None => filled.push('-'),
                },
            }
        }
        filled
    }
}

/// Appends what a stranger wrote: bounded, and unable to move a cursor or turn a line around.
fn push_data(filled: &mut String, value: &str) {
    for (place, character) in value.chars().enumerate() {
        if place == VALUE_CHARS_MAX {
            filled.push('…');
            return;
        }
        if acts(character) {
            filled.extend(character.escape_unicode());
        } else {
            filled.push(character);
        }
    }
}

/// Control characters, line separators, and what changes the direction of text
/// (<https://trojansource.codes>).
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str, Range<usize>),
}

fn pieces<'t>(text: &'t str, mut take: impl FnMut(Piece<'t>)) -> Result<(), BadTemplate> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let bad = |length: usize, message: &str| BadTemplate {
            span: at..at + length,
            message: message.to_owned(),
        };
        let plain = rest.find(['{', '}']).unwrap_or(rest.len());
        if plain > 0 {
            take(Piece::Text(rest.get(..plain).unwrap_or_default()));
            at += plain;
        } else if rest.starts_with("{{") || rest.starts_with("}}") {
            take(Piece::Text(rest.get(..1).unwrap_or_default()));
            at += 2;
        } else if rest.starts_with('}') {
            return Err(bad(1, "`}` closes nothing: write `}}` for a brace"));
        } else {
            let name = rest.get(1..).and_then(|inner| inner.split_once('}')).map(|(name, _)| name);
            let Some(name) = name else {
                return Err(bad(1, "`{` is not closed: write `{{` for a brace"));
            };
            if name.is_empty() || name.contains(['{', ' ']) {
                return Err(bad(name.len() + 2, "no field is named between these braces"));
            }
            take(Piece::Name(name, at..at + name.len() + 2));
            at += name.len() + 2;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    struct Two(FieldId, &'static str);

    impl Fields for Two {
        fn field(&self, id: FieldId) -> Option<Cow<'_, str>> {
            (id == self.0).then_some(Cow::Borrowed(self.1))
        }
    }

    #[track_caller]
    fn check(template: &str, value: &'static str, expected: &str) {
        let mut names = Names::default();
        let id = names.intern("a.b").unwrap();
        assert!(placeholders(template).is_ok());
        let template = Template::new(template, &mut names).unwrap();
        assert_eq!(template.fill(&Two(id, value), 20, "5m"), expected);
    }

    #[test]
    fn places_are_filled() {
        check("{count} from {a.b} in {timespan}", "x", "20 from x in 5m");
        check("{a.b}{a.b}", "x", "xx");
        check("{missing}", "x", "-");
        check("{{a.b}} {{{a.b}}}", "x", "{a.b} {x}");
        check("", "x", "");
    }

    #[test]
    fn values_are_data() {
        check("{a.b}", "{count}", "{count}");
        check("{a.b}", "a\r\n\u{1b}[31m\u{7f}\u{9b}", "a\\u{d}\\u{a}\\u{1b}[31m\\u{7f}\\u{9b}");
        check("{a.b}", "\u{2028}\u{202e}\u{2066}\u{200f}", "\\u{2028}\\u{202e}\\u{2066}\\u{200f}");
        check("{a.b}", "é漢\"\\", "é漢\"\\");
    }

    #[test]
    fn a_long_value_is_cut() {
        const LONG: &str = match std::str::from_utf8(&[b'a'; VALUE_CHARS_MAX + 1]) {
            Ok(text) => text,
            Err(_) => "",
        };
        check("<{a.b}>", LONG, &format!("<{}…>", "a".repeat(VALUE_CHARS_MAX)));
    }

    #[test]
    fn faults_have_a_place() {
        for (text, start, end) in [
            ("a {", 2, 3),
            ("{a.b", 0, 1),
            ("a } b", 2, 3),
            ("{}", 0, 2),
            ("{a b}", 0, 5),
            ("{a{b}", 0, 5),
        ] {
            let span = placeholders(text).map_err(|bad| bad.span);
            assert_eq!(span, Err(start..end), "{text}");
        }
    }
}
