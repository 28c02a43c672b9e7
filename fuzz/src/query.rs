//! A query, as the guard reads it and as it stands in the log: `webapp::guard::query` and
//! `webapp::record::redact`.

use std::{borrow::Cow, collections::HashSet, fmt::Write};

use webapp::{
    guard::query::{Limits, Query, Rejected, check},
    record::{redact, redact_referrer},
};

/// A flag byte, then a query.
///
/// # Panics
/// It is read otherwise than by the model, or the log hides something or shows a secret.
pub fn query(data: &[u8]) {
    let Some((flags, raw)) = data.split_first() else { return };
    let raw = String::from_utf8_lossy(raw);
    let limits = match flags % 3 {
        0 => Limits { params_max: 20, key_chars_max: 64, value_chars_max: 512, bytes_max: 16_384 },
        1 => Limits { params_max: 2, key_chars_max: 8, value_chars_max: 12, bytes_max: 64 },
        _ => Limits { params_max: 0, key_chars_max: 1, value_chars_max: 0, bytes_max: 0 },
    };
    let found = check(&raw, &limits);
    let expected = model(&raw, &limits);
    assert_eq!(found.as_ref().ok().map(|query| &query.params), expected.as_ref());

    match &found {
        Ok(query) => check_reencoded(query, &limits),
        Err(Rejected { parameter: Some(name), .. }) => {
            assert!(is_name(name) && name.chars().count() <= limits.key_chars_max);
        }
        Err(Rejected { parameter: None, .. }) => {}
    }
    check_logged(&raw, found.ok().as_ref());
    check_referrer(&raw);
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// One byte at a time.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.chars().any(char::is_control))
}

fn model(raw: &str, limits: &Limits) -> Option<Vec<(String, String)>> {
    let segments: Vec<&str> = raw.split('&').filter(|segment| !segment.is_empty()).collect();
    if raw.len() > limits.bytes_max || segments.len() > limits.params_max {
        return None;
    }
    let mut params = Vec::new();
    for segment in segments {
        let equals = segment.find('=').unwrap_or(segment.len());
        let (name, value) = segment.split_at(equals);
        let (name, value) = (decode(name)?, decode(value.strip_prefix('=').unwrap_or_default())?);
        let fits = name.chars().count() <= limits.key_chars_max
            && value.chars().count() <= limits.value_chars_max;
        if !is_name(&name) || !fits {
            return None;
        }
        params.push((name, value));
    }
    Some(params)
}

/// Whoever encodes the parameters again sends the same ones, and nothing in them is undecoded.
fn check_reencoded(query: &Query, limits: &Limits) {
    let mut raw = String::new();
    for (name, value) in &query.params {
        let value: String = value.bytes().fold(String::new(), |mut encoded, byte| {
            write!(encoded, "%{byte:02x}").expect("a String takes all");
            encoded
        });
        raw += &format!("{name}={value}&");
    }
    let again = check(&raw, &Limits { bytes_max: usize::MAX, ..limits.clone() });
    assert_eq!(again.as_ref(), Ok(query));
}

fn check_logged(raw: &str, accepted: Option<&Query>) {
    let logged = redact(raw);
    check_visible(&logged.text);
    assert_eq!(redact(&logged.text).text, logged.text, "not what it would be the second time");

    let (sent, kept): (Vec<_>, Vec<_>) =
        (raw.split('&').collect(), logged.text.split('&').collect());
    assert_eq!(sent.len(), kept.len());
    let mut names = HashSet::new();
    let (mut odd, mut duplicate) = (false, false);
    for (sent, kept) in sent.into_iter().zip(kept) {
        let (name, value) = sent.split_once('=').unwrap_or((sent, ""));
        let (plain, text) = (lossy(name), lossy(value));
        duplicate |= !name.is_empty() && !names.insert(plain.clone());
        let plain = plain.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| plain.contains(word));
        let password = has(&["pass", "pwd", "secret"]);
        let api_key = plain.match_indices("key").any(|(at, _)| {
            let before = plain.get(..at).unwrap_or_default();
            let mut one_less = before.chars();
            one_less.next_back();
            before.ends_with("api") || one_less.as_str().ends_with("api")
        });
        let token = has(&["token", "auth", "session", "code", "sig"]) || api_key;
        let shaped = is_token_shaped(&text);
        let hidden = !value.is_empty() && (password || (token && shaped));
        odd |= password && !value.is_empty() && !shaped;
        if hidden {
            assert_eq!(kept, format!("{}=[redacted]", spelled(name)));
        } else {
            assert_eq!(kept, spelled(sent), "the log hides what is no secret");
        }
    }
    assert_eq!((logged.odd_secret, logged.duplicate), (odd, duplicate));
    if let Some(query) = accepted {
        assert!(!logged.text.chars().any(char::is_control));
        let names: HashSet<_> = query.params.iter().map(|(name, _)| name).collect();
        assert_eq!(logged.duplicate, names.len() < query.params.len());
    }
}

/// A page with that query, and with that fragment.
fn check_referrer(raw: &str) {
    for before in
        ["https://a.example/page?", "https://a.example/#", "https://u:hunter2@a.example/?"]
    {
        let logged = redact_referrer(&format!("{before}{raw}"));
        check_visible(&logged.text);
        assert!(!logged.text.contains("hunter2") || raw.contains("hunter2"));
        assert_eq!(redact_referrer(&logged.text).text, logged.text);
        if !raw.contains(['?', '#']) {
            assert!(logged.text.ends_with(&redact(raw).text));
        }
    }
    check_visible(&redact_referrer(raw).text);
}

fn check_visible(text: &str) {
    assert!(!text.chars().any(hides), "{text:?}");
}

fn hides(c: char) -> bool {
    // C0 is left to JSON, which escapes it.
    let hiding = [
        '\u{7f}'..='\u{9f}',
        '\u{61c}'..='\u{61c}',
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2066}'..='\u{2069}',
        '\u{feff}'..='\u{feff}',
        '\u{e0000}'..='\u{e007f}',
    ];
    hiding.iter().any(|range| range.contains(&c))
}

fn spelled(text: &str) -> String {
    text.chars()
        .map(|c| if hides(c) { format!("\\u{{{:x}}}", u32::from(c)) } else { c.to_string() })
        .collect()
}

fn is_token_shaped(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let scheme = ["basic ", "bearer "].into_iter().find(|scheme| lower.starts_with(scheme));
    let text = text.get(scheme.map_or(0, str::len)..).unwrap_or_default();
    text.chars().all(|c| c.is_ascii_alphanumeric() || "._~+/=-".contains(c))
        && !["/", ".."].iter().any(|start| text.starts_with(start))
        && !["..", "//"].iter().any(|part| text.contains(part))
}

/// Decodes what is well escaped and leaves the rest.
fn lossy(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut decoded = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = digit(at + 1).zip(digit(at + 2)).filter(|_| *byte == b'%');
        decoded.push(escape.map_or(*byte, |(high, low)| (high * 16 + low) as u8));
        at += if escape.is_some() { 3 } else { 1 };
    }
    match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}
