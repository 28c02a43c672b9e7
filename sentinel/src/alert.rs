//! Alerts as they are written: the parts that every alert has, and its line.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use shared::alert::{Alert, Evidence};

/// Longest piece of a line that is kept as evidence, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 1024;

/// Names what fires: the same for each alert of one rule and group, on any machine.
pub fn fingerprint<'a>(rule: &str, group: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    part(rule);
    for (field, value) in group {
        part(field);
        part(value);
    }
    hex(&hash.finalize())
}

/// Names one emission of one installation.
pub fn id(install: u128, seq: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(install.to_le_bytes());
    hash.update(seq.to_le_bytes());
    hex(&hash.finalize())
}

/// 128 bits are enough to tell alerts apart and short enough to read.
fn hex(hash: &[u8]) -> String {
    hash.iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes what it is given");
        hex
    })
}

/// The beginning of a line as evidence, and whether something is missing.
pub fn excerpt(line: &[u8]) -> (Box<str>, bool) {
    let cut = line.len().min(EVIDENCE_BYTES_MAX);
    let mut text = String::from_utf8_lossy(line.get(..cut).unwrap_or_default()).into_owned();
    if cut < line.len() && text.ends_with('\u{fffd}') {
        // The cut went through a character.
        text.pop();
    }
    // Replacing what is not UTF-8 makes it longer.
    let end = text.floor_char_boundary(EVIDENCE_BYTES_MAX);
    let truncated = cut < line.len() || end < text.len();
    text.truncate(end);
    (text.into_boxed_str(), truncated)
}

/// A value of a group as it is shown: what is very long is cut, and the fingerprint tells the rest.
pub fn shown(mut value: String) -> String {
    value.truncate(value.floor_char_boundary(EVIDENCE_BYTES_MAX));
    value
}

/// The line of an alert, with its line feed.
///
/// Everything in it that came from a log is data: what a terminal or an editor would obey (C0, DEL,
/// C1, line and paragraph separators, bidirectional controls) is escaped.
pub fn line(alert: &Alert) -> String {
    let json = serde_json::to_string(alert).expect("an alert has only string keys");
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{61c}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                write!(line, "\\u{:04x}", u32::from(character))
                    .expect("a string takes what it is given");
            }
            _ => line.push(character),
        }
    }
    line.push('\n');
    line
}

/// Evidence of a line that was kept.
pub fn evidence(source: &str, file: &str, place: &crate::window::Place) -> Evidence {
    Evidence {
        source: source.to_owned(),
        file: file.to_owned(),
        offset: place.offset,
        text: place.text.as_deref().unwrap_or_default().to_owned(),
        truncated: place.truncated || place.text.is_none(),
    }
}

/// An alert as the contract shows it, for tests to change.
#[cfg(test)]
pub(crate) fn golden() -> Alert {
    let lines = include_str!("../../shared/tests/golden/alerts.jsonl");
    serde_json::from_str(lines.lines().next().unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let mut alert = golden();
        alert.message = "\u{1b}[2J \u{7f}\u{9b} \u{2028} \u{202e} \u{2066} é \r\n".into();
        let line = line(&alert);
        assert!(line.contains(r#""\u001b[2J \u007f\u009b \u2028 \u202e \u2066 é \r\n""#));
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Alert>(&line).unwrap(), alert);
    }

    #[test]
    fn an_excerpt_is_cut_between_characters_and_says_so() {
        let (text, truncated) = excerpt("é".repeat(600).as_bytes());
        assert_eq!((text.len(), truncated), (1024, true));
        let (text, truncated) = excerpt(format!("a{}", "é".repeat(600)).as_bytes());
        assert_eq!((text.len(), truncated), (1023, true));
        assert_eq!(excerpt(b"short"), ("short".into(), false));
        let (text, truncated) = excerpt(&[0xff; 1024]);
        assert!(text.len() <= 1024 && truncated);
    }

    #[test]
    fn fingerprints_tell_rules_and_groups_apart() {
        let of = |rule: &str, group: &[(&str, &str)]| fingerprint(rule, group.iter().copied());
        assert_eq!(of("a", &[("x", "1")]), of("a", &[("x", "1")]));
        assert_ne!(of("a", &[("x", "1")]), of("a", &[("x", "2")]));
        assert_ne!(of("ab", &[]), of("a", &[("b", "")]));
        assert_ne!(id(1, 1), id(1, 2));
        assert_ne!(id(1, 1), id(2, 1));
    }
}
