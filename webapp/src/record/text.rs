//! Text of a stranger in; text that fits into a record and shows itself as it is out.

use std::fmt::Write as _;

/// Most characters of a path, a header or an error's text.
const CHARS_MAX: usize = 1_024;

/// Most bytes of them in JSON, so that with the longest query a record keeps its 40 KiB.
const JSON_BYTES_MAX: usize = 1_536;

/// Characters that JSON leaves as they are and that hide or turn around what stands beside them.
fn hides(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// ASCII that nothing here changes: nearly all text that comes. No early end: so the compiler looks at
/// 16 bytes at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, b| plain & matches!(b, b' '..=b'~' if b != b'"' && b != b'\\'))
}

/// Spells out what hides.
pub(super) fn sanitise(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut clean, c);
    }
    clean
}

/// Spells out what hides, and cuts to the limit; whether something was cut.
pub(super) fn cut(text: &str) -> (String, bool) {
    cut_to(text, CHARS_MAX, JSON_BYTES_MAX)
}

/// The same to limits of its own.
pub(super) fn cut_to(text: &str, chars_max: usize, json_bytes_max: usize) -> (String, bool) {
    if text.len() <= CHARS_MAX && is_plain(text) {
        return (text.to_owned(), false);
    }
    let mut clean = String::with_capacity(text.len().min(chars_max));
    let mut json_bytes = 0;
    for (chars, c) in text.chars().enumerate() {
        json_bytes += match c {
            '"' | '\\' => 2,
            c if hides(c) => 10,
            c if c.is_ascii_control() => 6,
            c => c.len_utf8(),
        };
        if chars == chars_max || json_bytes > json_bytes_max {
            return (clean, true);
        }
        push(&mut clean, c);
    }
    (clean, false)
}

fn push(clean: &mut String, c: char) {
    if hides(c) {
        // Writing to a String does not fail.
        let _infallible = write!(clean, "\\u{{{:x}}}", u32::from(c));
    } else {
        clean.push(c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hides_is_spelled_out() {
        for (text, clean) in [
            ("plain é ü", "plain é ü"),
            ("a\u{7f}b", "a\\u{7f}b"),
            ("a\u{200f}b\u{feff}", "a\\u{200f}b\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{2028}b\u{2069}", "a\\u{2028}b\\u{2069}"),
        ] {
            assert_eq!(sanitise(text), clean);
            assert_eq!(cut(text), (clean.to_owned(), false));
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut(&"x".repeat(1_024)), ("x".repeat(1_024), false));
        assert_eq!(cut(&"x".repeat(1_025)), ("x".repeat(1_024), true));
    }

    proptest! {
        #[test]
        fn json_stays_within_its_bytes(text in "(?s).{0,2000}") {
            let json = serde_json::to_string(&cut(&text).0).unwrap();
            prop_assert!(json.len() <= JSON_BYTES_MAX + 2);
        }
    }
}
