//! A raw line → the event time it gives itself, without a full parse: it is asked of every line.

use jiff::{fmt::strtime::BrokenDownTime, tz::Offset};
use memchr::{memchr, memmem::Finder};

use super::{Format, clf, fixed, json};
use crate::{
    record::{Names, Record},
    time::Timestamp,
};

/// The field of a JSON line's time unless its source names another.
const FIELD: &str = "@timestamp";

/// Where the lines of one source carry their time.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    /// The field, for JSON; the only name there.
    names: std::sync::Arc<Names>,
    /// Finds the field with its quotes.
    key: Finder<'static>,
    /// A strptime pattern, for text.
    pattern: Option<Box<str>>,
}

impl Stamp {
    /// `timestamp` as the source has it: a pattern holds `%`, a field does not.
    pub(crate) fn new(timestamp: Option<&str>) -> Self {
        let (pattern, field) = match timestamp {
            Some(pattern) if pattern.contains('%') => (Some(pattern.into()), FIELD),
            field => (None, field.unwrap_or(FIELD)),
        };
        let mut names = Names::default();
        // One name always finds a slot.
        let _slot = names.intern(field);
        let key = Finder::new(format!("\"{field}\"").as_bytes()).into_owned();
        Self { names: names.into(), key, pattern }
    }

    /// The time of a line.
    pub(crate) fn read(&self, format: Format, line: &[u8]) -> Option<Timestamp> {
        match format {
            Format::Json => self.json(line),
            Format::Combined | Format::Common => {
                clf::time(line).and_then(|(time, _)| fixed::clf(time))
            }
            Format::Text => self.text(line),
            Format::Auto if super::looks_like_json(line) => self.json(line),
            Format::Auto => match clf::time(line).and_then(|(time, _)| fixed::clf(time)) {
                Some(time) => Some(time),
                None => self.text(line),
            },
        }
    }

    /// The first value of the field. Between bare quotes the name is a whole string, never a part
    /// of one; a colon after it makes it a key; and no second brace before it, a key of the top.
    /// Only where such a brace stands is the line walked.
    fn json(&self, line: &[u8]) -> Option<Timestamp> {
        let mut from = 0;
        while let Some(found) = self.key.find(line.get(from..)?) {
            let at = from + found;
            let after = line.get(at + self.key.needle().len()..)?.trim_ascii_start();
            // A backslash before it: what looks like an opening quote stands in a string.
            let escaped = at.checked_sub(1).and_then(|before| line.get(before)) == Some(&b'\\');
            if let (Some(value), false) = (after.strip_prefix(b":"), escaped) {
                let top = line.get(..at)?.trim_ascii_start().get(1..)?;
                return match memchr(b'{', top) {
                    None => value_time(value.trim_ascii_start()),
                    Some(_) => self.walk(line),
                };
            }
            from = at + self.key.needle().len();
        }
        // A name with a dot may stand for objects in objects, and any may be written in escapes.
        let nested = self.key.needle().contains(&b'.') || memchr(b'\\', line).is_some();
        if nested { self.walk(line) } else { None }
    }

    fn walk(&self, line: &[u8]) -> Option<Timestamp> {
        let text = String::from_utf8_lossy(line);
        let mut record = Record::new(&text, &self.names);
        // Of a broken line what was read counts.
        let _whole = json::read(&text, &self.names, &mut record);
        let id = self.names.find(self.field())?;
        from_text(&record.value(id)?.text())
    }

    fn field(&self) -> &str {
        let quoted = std::str::from_utf8(self.key.needle()).unwrap_or_default();
        quoted.trim_matches('"')
    }

    /// A time that the line begins with: by the pattern, without an offset in UTC; else RFC 3339.
    fn text(&self, line: &[u8]) -> Option<Timestamp> {
        let Some(pattern) = self.pattern.as_deref() else {
            let end = line.iter().position(|byte| b" \t]|,".contains(byte)).unwrap_or(line.len());
            let word = line.get(..end)?;
            return if word.get(10) == Some(&b'T') { rfc3339(word) } else { None };
        };
        let (time, _) = BrokenDownTime::parse_prefix(pattern, line).ok()?;
        let read = match time.to_timestamp() {
            Ok(read) => read,
            Err(_) => Offset::UTC.to_timestamp(time.to_datetime().ok()?).ok()?,
        };
        Some(Timestamp(read.as_microsecond()))
    }
}

/// The time that begins here as a JSON value.
fn value_time(value: &[u8]) -> Option<Timestamp> {
    if let Some(text) = value.strip_prefix(b"\"") {
        let text = text.get(..memchr(b'"', text)?)?;
        return fixed::rfc3339(text).or_else(|| from_text(std::str::from_utf8(text).ok()?));
    }
    let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let end = value.iter().position(|byte| !digits(byte)).unwrap_or(value.len());
    from_text(std::str::from_utf8(value.get(..end)?).ok()?)
}

/// RFC 3339, or time since the epoch: in seconds, or where that would be after the year 5138, in
/// milli-, micro- or nanoseconds. A log of the years 1973 to 5138 is never misread.
fn from_text(text: &str) -> Option<Timestamp> {
    if text.contains(['-', ':']) {
        return rfc3339(text.as_bytes());
    }
    let number: f64 = text.parse().ok().filter(|number| (0.0..1e20).contains(number))?;
    let microseconds = match number {
        seconds if seconds < 1e11 => seconds * 1e6,
        milliseconds if milliseconds < 1e14 => milliseconds * 1e3,
        microseconds if microseconds < 1e17 => microseconds,
        nanoseconds => nanoseconds / 1e3,
    };
    // In range: the filter and the bounds above hold it under 1e17.
    Some(Timestamp(microseconds as i64))
}

/// The layout that logs are written in, at fixed places; whatever differs goes the long way.
fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    fixed::rfc3339(text).or_else(|| Timestamp::parse(std::str::from_utf8(text).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_with(timestamp: Option<&str>, line: &str, expected: Option<&str>) {
        let read = Stamp::new(timestamp).read(Format::Auto, line.as_bytes());
        assert_eq!(read.map(Timestamp::rfc3339).as_deref(), expected, "{line}");
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        check_with(None, line, Some(expected));
    }

    #[track_caller]
    fn none(line: &str) {
        check_with(None, line, None);
    }

    const T: &str = "2026-01-20T10:05:00.120Z";

    #[test]
    fn json_says_its_time_in_a_field() {
        check(r#"{"@timestamp":"2026-01-20T10:05:00.120Z"}"#, T);
        check(r#"{"@timestamp":"2026-01-20T10:05:00.12Z"}"#, T);
        check(r#"{"@timestamp":"2026-01-20T10:05:00.120000Z"}"#, T);
        check(r#"{"@timestamp":"2026-01-20T12:05:00.120999999+02:00"}"#, T);
        check(r#"  {"a":1, "@timestamp" : "2026-01-20T10:05:00.120Z"}"#, T);
        check(r#"{"@timestamp":1768903500.120}"#, T);
        check(r#"{"@timestamp":1768903500120}"#, T);
        check(r#"{"@timestamp":1768903500120000}"#, T);
        check(r#"{"@timestamp":1768903500120000000,"a":1}"#, T);
        check(r#"{"@timestamp":"1768903500120","a":{}}"#.replace("{}", "1").as_str(), T);
        check_with(Some("time"), r#"{"time":"2026-01-20T10:05:00.120Z"}"#, Some(T));
        check_with(Some("a.time"), r#"{"a":{"time":"2026-01-20T10:05:00.120Z"}}"#, Some(T));
        check_with(Some("a.time"), r#"{"a.time":"2026-01-20T10:05:00.120Z"}"#, Some(T));
        none(r#"{"time":"2026-01-20T10:05:00.120Z"}"#);
        none(r#"{"@timestamp":"yesterday"}"#);
        none(r#"{"@timestamp":"2026-13-20T10:05:00.120Z"}"#);
        none(r#"{"@timestamp":null}"#);
        none(r#"{"@timestamp""#);
        none("{");
    }

    #[test]
    fn only_the_lines_own_field_counts() {
        let real = r#""@timestamp":"2026-01-20T10:05:00.120Z""#;
        let lie = r#"\"@timestamp\":\"2020-01-01T00:00:00Z\""#;
        check(&format!(r#"{{"q":"{lie}",{real}}}"#), T);
        check(&format!(r#"{{"q":"@timestamp",{real}}}"#), T);
        check(&format!(r#"{{"q":"\"@timestamp","a":1,{real}}}"#), T);
        check(&format!(r#"{{"q":{{"@timestamp":"2020-01-01T00:00:00Z"}},{real}}}"#), T);
        check(&format!(r#"{{"q":"{{","a":1,{real}}}"#), T);
        check(&format!(r#"{{{real},"q":{{"@timestamp":"2020-01-01T00:00:00Z"}}}}"#), T);
        check(r#"{"\u0040timestamp":"2026-01-20T10:05:00.120Z"}"#, T);
        none(&format!(r#"{{"q":{{"b":1,{real}}}}}"#));
    }

    #[test]
    fn access_logs_say_it_in_brackets() {
        let line = |time: &str| format!("192.0.2.1 - - [{time}] \"GET / HTTP/1.1\" 200 1");
        check(&line("20/Jan/2026:10:05:00 +0000"), "2026-01-20T10:05:00.000Z");
        check(&line("20/Jan/2026:10:05:00 -0230"), "2026-01-20T12:35:00.000Z");
        check(&line("31/Dec/2025:23:30:60 +0100"), "2025-12-31T22:30:59.000Z");
        none(&line("30/Feb/2026:10:05:00 +0000"));
        none(&line("20/jan/2026:10:05:00 +0000"));
        none(&line("20/Jan/2026:10:05:00 +9900"));
    }

    #[test]
    fn text_says_it_first() {
        check("2026-01-20T10:05:00.120Z hello", T);
        check("2026-01-20T11:05:00.12+01:00 hello", T);
        none("2026-01-20 10:05:00 hello");
        none("at 2026-01-20T10:05:00.120Z");
        none("");
        let pattern = Some("%Y/%m/%d %H:%M:%S");
        check_with(pattern, "2026/01/20 10:05:00 [error] x", Some("2026-01-20T10:05:00.000Z"));
        check_with(pattern, "20/01/2026 10:05:00 [error] x", None);
        let pattern = Some("[%d.%m.%Y %H:%M:%S%.f %z]");
        check_with(pattern, "[20.01.2026 11:05:00.12 +0100] x", Some(T));
    }

    proptest! {
        #[test]
        fn nothing_panics(line in prop::collection::vec(any::<u8>(), 0..64), field in "[a-z.]{1,4}") {
            let stamp = Stamp::new(Some(&field));
            let _read = stamp.read(Format::Auto, &line);
            let json = [format!("{{\"{field}\":").as_bytes(), &line].concat();
            let _read = stamp.read(Format::Auto, &json);
        }
    }
}
