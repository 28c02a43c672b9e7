//! A line of an nginx or Apache access log, combined or common → ECS fields.
//!
//! `host ident user [time] "request" status bytes "referrer" "user agent"`, where the last two may
//! be missing and anything may follow.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::fixed;
use crate::record::{FieldId, Names, Record};

/// The slots of what an access log holds; none for what no rule names.
#[derive(Debug, Default)]
pub(super) struct Slots {
    client: Option<FieldId>,
    user: Option<FieldId>,
    timestamp: Option<FieldId>,
    method: Option<FieldId>,
    original: Option<FieldId>,
    path: Option<FieldId>,
    query: Option<FieldId>,
    version: Option<FieldId>,
    status: Option<FieldId>,
    bytes: Option<FieldId>,
    referrer: Option<FieldId>,
    agent: Option<FieldId>,
}

impl Slots {
    pub(super) fn new(names: &Names) -> Self {
        Self {
            client: names.find("client.ip"),
            user: names.find("user.name"),
            timestamp: names.find("@timestamp"),
            method: names.find("http.request.method"),
            original: names.find("url.original"),
            path: names.find("url.path"),
            query: names.find("url.query"),
            version: names.find("http.version"),
            status: names.find("http.response.status_code"),
            bytes: names.find("http.response.body.bytes"),
            referrer: names.find("http.request.referrer"),
            agent: names.find("user_agent.original"),
        }
    }
}

/// Where an access log's line has its parts.
struct Parts<'l> {
    client: &'l str,
    user: &'l str,
    time: &'l str,
    request: &'l str,
    rest: &'l str,
}

/// Where the time of an access log begins and ends, and the quote after it; none if the line has
/// no such shape.
///
/// The user's name comes from the client and may hold blanks and brackets, but no bare quote:
/// both servers escape those. So the time is what stands right before the first bare quote, and a
/// name that looks like a time moves nothing.
pub(super) fn time(line: &[u8]) -> Option<(&[u8], usize)> {
    let mut from = 0;
    let quote = loop {
        let at = from + memchr(b'"', line.get(from..)?)?;
        if at.checked_sub(1).and_then(|before| line.get(before)) != Some(&b'\\') {
            break at;
        }
        from = at + 1;
    };
    let close = quote.checked_sub(2)?;
    let open = close.checked_sub(fixed::CLF_LEN + 1)?;
    if line.get(close..quote)? != b"] " || line.get(open)? != &b'[' {
        return None;
    }
    Some((line.get(open + 1..close)?, quote))
}

fn parts(line: &str) -> Option<Parts<'_>> {
    let (time, quote) = time(line.as_bytes())?;
    let time = std::str::from_utf8(time).ok()?;
    let head = line.get(..quote.checked_sub(time.len() + 3)?)?.strip_suffix(' ')?;
    let (client, names) = head.split_once(' ')?;
    let (_ident, user) = names.split_once(' ')?;
    let (request, rest) = quoted(line.get(quote..)?)?;
    Some(Parts { client, user, time, request, rest })
}

/// A quoted text at the beginning, quotes taken off, and what follows; a backslash keeps the
/// character after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', inner.as_bytes().get(at..)?)?;
        if inner.as_bytes().get(at) == Some(&b'"') {
            return Some((inner.get(..at)?, inner.get(at + 1..)?));
        }
        at += 2;
    }
}

/// Whether a line has the shape; its fields are set if so.
pub(super) fn read<'l>(line: &'l str, slots: &Slots, record: &mut Record<'l>) -> bool {
    let Some(parts) = parts(line) else { return false };
    let mut put = |slot: Option<FieldId>, text: &'l str| {
        if let (Some(id), false) = (slot, text.is_empty() || text == "-") {
            record.set(id, unescaped(text));
        }
    };
    put(slots.client, parts.client);
    put(slots.user, parts.user);
    if let Some(request) = Request::read(parts.request) {
        put(slots.original, request.target);
        put(slots.method, request.method);
        put(slots.version, request.version);
        if let Some((path, query)) = path_and_query(request.target) {
            put(slots.path, path);
            put(slots.query, query);
        }
    } else {
        put(slots.original, parts.request);
    }
    let rest = parts.rest.trim_ascii_start();
    let (status, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (bytes, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Some((referrer, rest)) = quoted(rest) {
        put(slots.referrer, referrer);
        if let Some((agent, _)) = quoted(rest.trim_ascii_start()) {
            put(slots.agent, agent);
        }
    }
    for (slot, number) in [(slots.status, status), (slots.bytes, bytes)] {
        let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        if let (Some(id), true) = (slot, digits) {
            record.set(id, number);
        }
    }
    if let (Some(id), Some(read)) = (slots.timestamp, fixed::clf(parts.time.as_bytes())) {
        record.set(id, read.rfc3339());
    }
    true
}

/// A request line. What is none (a TLS greeting sent to a plain port, a broken probe) is kept as
/// `url.original`, so that rules can look at it.
struct Request<'l> {
    method: &'l str,
    target: &'l str,
    /// Empty in HTTP/0.9.
    version: &'l str,
}

impl<'l> Request<'l> {
    fn read(line: &'l str) -> Option<Self> {
        let (method, rest) = line.split_once(' ')?;
        let (target, version) = match rest.rsplit_once(" HTTP/") {
            Some((target, version)) => (target, version),
            None => (rest, ""),
        };
        let token = !method.is_empty() && method.bytes().all(is_token);
        (token && !target.is_empty()).then_some(Self { method, target, version })
    }
}

/// RFC 9110 §5.6.2 `tchar`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Path and query of a request target; none of `host:port`, which CONNECT asks for.
fn path_and_query(target: &str) -> Option<(&str, &str)> {
    let local = match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|c| c.is_ascii_alphanumeric()) => {
            rest.get(rest.find(['/', '?']).unwrap_or(rest.len())..)?
        }
        _ => target,
    };
    if !local.starts_with(['/', '?', '*']) {
        return None;
    }
    Some(local.split_once('?').unwrap_or((local, "")))
}

/// Takes back what the servers escape: `\xHH` (both), `\"`, `\\` and C's letters (Apache).
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (read, taken) = match rest {
            [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                (u8::from_str_radix(digits, 16).unwrap_or(b'?'), 3)
            }
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'r', ..] => (b'\r', 1),
            [b'v', ..] => (0x0b, 1),
            [b'b', ..] => (0x08, 1),
            [b'f', ..] => (0x0c, 1),
            [quoted @ (b'"' | b'\\'), ..] => (*quoted, 1),
            _ => (b'\\', 0),
        };
        bytes.push(read);
        rest = rest.get(taken..).unwrap_or_default();
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS: [&str; 12] = [
        "client.ip",
        "user.name",
        "@timestamp",
        "http.request.method",
        "url.original",
        "url.path",
        "url.query",
        "http.version",
        "http.response.status_code",
        "http.response.body.bytes",
        "http.request.referrer",
        "user_agent.original",
    ];

    fn fields(line: &str) -> Option<Vec<String>> {
        let mut names = Names::default();
        let ids = FIELDS.map(|name| names.intern(name).unwrap());
        let mut record = Record::new(line, &names);
        read(line, &Slots::new(&names), &mut record).then(|| {
            let text =
                |id| record.value(id).map_or_else(|| "-".into(), |value| value.text().into_owned());
            ids.map(text).to_vec()
        })
    }

    /// What stands between the client and the time, the request, what follows it → the fields.
    #[track_caller]
    fn check(user: &str, request: &str, rest: &str, expected: [&str; 11]) {
        let line = format!("192.0.2.1 - {user} [20/Jan/2026:10:05:00 +0100] \"{request}\" {rest}");
        let mut wanted = vec!["192.0.2.1"];
        wanted.extend(expected);
        wanted[2] = "2026-01-20T09:05:00.000Z";
        assert_eq!(fields(&line).unwrap_or_default(), wanted, "{line}");
    }

    /// Only the request: method, original, path, query, version.
    #[track_caller]
    fn check_request(request: &str, [method, original, path, query, version]: [&str; 5]) {
        let rest = "200 5 \"-\" \"curl/8\"";
        let expected = ["-", "", method, original, path, query, version, "200", "5", "-", "curl/8"];
        check("-", request, rest, expected);
    }

    #[test]
    fn a_combined_line_is_read_whole() {
        check(
            "alice",
            "GET /a?b=1 HTTP/1.1",
            r#"404 153 "http://x.test/" "Mozilla/5.0 (X11; Linux)" "extra""#,
            [
                "alice",
                "",
                "GET",
                "/a?b=1",
                "/a",
                "b=1",
                "1.1",
                "404",
                "153",
                "http://x.test/",
                "Mozilla/5.0 (X11; Linux)",
            ],
        );
    }

    #[test]
    fn a_common_line_lacks_the_last_two() {
        let expected = ["-", "", "GET", "/", "/", "-", "1.0", "200", "-", "-", "-"];
        check("-", "GET / HTTP/1.0", "200 -", expected);
    }

    #[test]
    fn every_request_keeps_what_it_was() {
        check_request("GET / HTTP/1.1", ["GET", "/", "/", "-", "1.1"]);
        check_request("GET /a b?c d HTTP/1.1", ["GET", "/a b?c d", "/a b", "c d", "1.1"]);
        check_request("GET /", ["GET", "/", "/", "-", "-"]);
        check_request("GET /? HTTP/1.1", ["GET", "/?", "/", "-", "1.1"]);
        check_request("OPTIONS * HTTP/1.1", ["OPTIONS", "*", "*", "-", "1.1"]);
        check_request("CONNECT a.test:443 HTTP/1.1", ["CONNECT", "a.test:443", "-", "-", "1.1"]);
        check_request(
            "GET http://a.test/b?c HTTP/1.1",
            ["GET", "http://a.test/b?c", "/b", "c", "1.1"],
        );
        check_request("GET http://a.test HTTP/1.1", ["GET", "http://a.test", "-", "-", "1.1"]);
        check_request("", ["-"; 5]);
        check_request("-", ["-"; 5]);
    }

    #[test]
    fn a_request_that_is_none_costs_no_field_around_it() {
        check_request(r"\x16\x03\x01", ["-", "\u{16}\u{3}\u{1}", "-", "-", "-"]);
        check_request(r#"GET /\"x HTTP/1.1"#, ["GET", "/\"x", "/\"x", "-", "1.1"]);
        check_request(
            r"GET /?q=\x22\xE2\x82\xAC HTTP/1.1",
            ["GET", "/?q=\"€", "/", "q=\"€", "1.1"],
        );
        check_request(r"\xFF\\ \n\q", ["-", "\u{fffd}\\ \n\\q", "-", "-", "-"]);
        check_request("<a> b", ["-", "<a> b", "-", "-", "-"]);
    }

    #[test]
    fn a_users_name_moves_nothing() {
        let name = r"x [01/Jan/2020:00:00:00 +0000] \x22GET / HTTP/1.1\x22 200";
        let read = "x [01/Jan/2020:00:00:00 +0000] \"GET / HTTP/1.1\" 200";
        let expected = [read, "", "GET", "/", "/", "-", "1.1", "200", "5", "-", "-"];
        check(name, "GET / HTTP/1.1", "200 5", expected);
        let apache = r#"x [01/Jan/2020:00:00:00 +0000] \"GET / HTTP/1.1\" 200"#;
        check(apache, "GET / HTTP/1.1", "200 5", expected);
    }

    #[test]
    fn other_lines_have_another_shape() {
        for line in [
            "",
            "plain text",
            "{\"a\":1}",
            "a [20/Jan/2026:10:05:00 +0000] \"GET /\" 200 1",
            "1.2.3.4 - - [20/Jan/2026:10:05:00] \"GET / HTTP/1.1\" 200 1",
            "1.2.3.4 - - [20/Jan/2026:10:05:00 +0000] \"GET / HTTP/1.1",
        ] {
            assert_eq!(fields(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(line in r#"[0-9 \[\]"\\x/:a+é-]{0,80}"#, any in any::<String>()) {
            let _read = fields(&line);
            let _read = fields(&format!("h - - [20/Jan/2026:10:05:00 +0000] \"{any}"));
            let _read = fields(&any);
        }
    }
}
