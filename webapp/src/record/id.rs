//! Headers in; the names under which a request is found in every log out.

use hyper::{HeaderMap, header::HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// 128 random bits in hexadecimal.
pub(super) fn random() -> String {
    let digit = |n: u8| b"0123456789abcdef"[usize::from(n)];
    let digits = rand::random::<[u8; 16]>().map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    String::from_utf8(digits.as_flattened().to_vec()).expect("digits are ASCII")
}

/// Whether a proxy of ours may name a request so.
pub(super) fn is_request_id(id: &str) -> bool {
    (8..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The trace of a valid `traceparent` (W3C Trace Context, version 00).
pub(super) fn trace(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let mut parts = line.to_str().ok()?.split('-');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    let [Some("00"), Some(trace), Some(span), Some(flags), None] = parts else { return None };
    let hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let valid = hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !zero(trace) && !zero(span);
    valid.then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_a_strict_traceparent_counts() {
        let expected = "0af7651916cd43dd8448eb211c80319c";
        for (lines, valid) in [
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] as &[_], true),
            (&[], false),
            (&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], false),
            (&["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"], false),
            (&["00-00000000000000000000000000000000-b7ad6b7169203331-01"], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("traceparent", HeaderValue::from_static(line));
            }
            assert_eq!(trace(&headers).as_deref(), valid.then_some(expected), "{lines:?}");
        }
    }

    #[test]
    fn ids_are_short_and_plain() {
        assert_eq!(random().len(), 32);
        assert_ne!(random(), random());
        for (id, fits) in [
            (random().as_str(), true),
            ("from-nginx_1.2", true),
            ("short", false),
            ("with a blank", false),
            ("line\nfeed", false),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(is_request_id(id), fits, "{id}");
        }
    }
}
