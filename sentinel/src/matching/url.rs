//! Text → what a server makes of it: percent-decoded, once and twice.
//!
//! Attackers encode what they send so that it reads like nothing, and encode it again for whatever
//! decodes twice (<https://capec.mitre.org/data/definitions/120.html>).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// As written, decoded once, decoded twice; fewer where nothing is left to decode.
pub(super) fn variants(text: Cow<'_, str>) -> Vec<Cow<'_, str>> {
    let once = decoded(&text);
    let twice = once.as_deref().and_then(decoded);
    [Some(text), once.map(Cow::Owned), twice.map(Cow::Owned)].into_iter().flatten().collect()
}

/// `%HH` to its byte, `+` to a blank, what is no UTF-8 then to U+FFFD; none if that changes nothing.
fn decoded(text: &str) -> Option<String> {
    let spaced =
        if text.contains('+') { text.replace('+', " ").into() } else { Cow::Borrowed(text) };
    let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
    (decoded != text).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(variants(Cow::Borrowed(text)), expected, "{text}");
    }

    #[test]
    fn decoded_as_often_as_it_is_encoded_but_twice_at_most() {
        check("plain", &["plain"]);
        check("a+b", &["a+b", "a b"]);
        check("%2e%2E/", &["%2e%2E/", "../"]);
        check("%252e", &["%252e", "%2e", "."]);
        check("%25252e", &["%25252e", "%252e", "%2e"]);
        check("%2B", &["%2B", "+", " "]);
    }

    #[test]
    fn what_encodes_nothing_stays() {
        check("100%", &["100%"]);
        check("%zz%2", &["%zz%2"]);
        check("%%41", &["%%41", "%A"]);
        check("%ff", &["%ff", "\u{fffd}"]);
        check("%C3%A9", &["%C3%A9", "é"]);
    }
}
