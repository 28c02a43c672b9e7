//! A JSON object → the fields that rules name, by their dotted paths.
//!
//! Written for lines of which most fields are of no interest: what no rule names is stepped over
//! and never copied. A general parser builds every value and gives nothing back of a broken line.

use std::borrow::Cow;

use memchr::memchr2;

use crate::record::{FieldId, Names, Record};

/// Deepest nesting that is read: beyond it a line counts as broken, so that no line, however made,
/// exhausts the stack.
pub(super) const DEPTH_MAX: usize = 64;

/// The line is not a JSON object, or not only one. Fields before the fault are set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Reads the object that `text` is. Nested objects and dotted keys answer to the same path;
/// objects in a list are read as if each field were a list.
pub(super) fn read<'l>(
    text: &'l str,
    names: &Names,
    record: &mut Record<'l>,
) -> Result<(), Broken> {
    let mut reader =
        Reader { text, at: 0, names, record, path: String::new(), in_list: 0, flawed: false };
    reader.blank();
    reader.object(0)?;
    reader.blank();
    if reader.flawed || reader.at < text.len() { Err(Broken) } else { Ok(()) }
}

struct Reader<'l, 'r> {
    text: &'l str,
    at: usize,
    names: &'r Names,
    record: &'r mut Record<'l>,
    /// Of the object being read; empty at the top.
    path: String,
    /// How many lists the value being read stands in.
    in_list: usize,
    /// Something was wrong that could be read over.
    flawed: bool,
}

impl<'l> Reader<'l, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Steps over `byte`, or says that something else stands there.
    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() != Some(byte) {
            return Err(Broken);
        }
        self.at += 1;
        Ok(())
    }

    /// The object that begins here, of which `self.path` is the path.
    fn object(&mut self, depth: usize) -> Result<(), Broken> {
        self.take(b'{')?;
        self.blank();
        if self.peek() == Some(b'}') {
            return self.take(b'}');
        }
        let parent = self.path.len();
        loop {
            self.blank();
            let key = self.string()?;
            self.blank();
            self.take(b':')?;
            self.blank();
            if depth > 0 {
                self.path.push('.');
                self.path.push_str(&key);
                self.value(self.names.find(&self.path), depth)?;
            } else {
                if matches!(self.peek(), Some(b'{' | b'[')) {
                    self.path.push_str(&key);
                }
                self.value(self.names.find(&key), depth)?;
            }
            self.path.truncate(parent);
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }

    fn list(&mut self, id: Option<FieldId>, depth: usize) -> Result<(), Broken> {
        self.take(b'[')?;
        if let (Some(id), 0) = (id, self.in_list) {
            self.record.set_list(id);
        }
        self.blank();
        if self.peek() == Some(b']') {
            return self.take(b']');
        }
        self.in_list += 1;
        loop {
            self.blank();
            self.value(id, depth)?;
            if !self.another(b']')? {
                self.in_list -= 1;
                return Ok(());
            }
        }
    }

    /// Steps over a comma, which promises another member, or over the end.
    fn another(&mut self, end: u8) -> Result<bool, Broken> {
        self.blank();
        let more = self.peek() == Some(b',');
        self.take(if more { b',' } else { end })?;
        Ok(more)
    }

    fn value(&mut self, id: Option<FieldId>, depth: usize) -> Result<(), Broken> {
        let value = match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => return Err(Broken),
            Some(b'{') => return self.object(depth + 1),
            Some(b'[') => return self.list(id, depth + 1),
            Some(b'"') if id.is_none() => return self.raw_string().map(|_| ()),
            Some(b'"') => self.string()?,
            Some(b't') => self.word("true").map(|()| Cow::Borrowed("true"))?,
            Some(b'f') => self.word("false").map(|()| Cow::Borrowed("false"))?,
            Some(b'n') => return self.word("null"),
            _ => Cow::Borrowed(self.number()?),
        };
        match id {
            Some(id) if self.in_list > 0 => self.record.push(id, value),
            Some(id) => self.record.set(id, value),
            None => {}
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Broken> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Broken);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<&'l str, Broken> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(Broken);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.text.get(from..self.at).ok_or(Broken)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<&'l str, Broken> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.text.get(from..self.at).filter(|digits| !digits.is_empty()).ok_or(Broken)
    }

    /// What stands between the quotes, as written, and whether it holds escapes.
    ///
    /// Bare control characters pass, though JSON forbids them: there is nothing to gain from
    /// losing a line over a tab.
    fn raw_string(&mut self) -> Result<(&'l str, bool), Broken> {
        self.take(b'"')?;
        let from = self.at;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let stop = memchr2(b'"', b'\\', rest).ok_or(Broken)?;
            self.at += stop;
            if self.peek() == Some(b'"') {
                let raw = self.text.get(from..self.at).ok_or(Broken)?;
                self.at += 1;
                return Ok((raw, escaped));
            }
            escaped = true;
            self.at += 2;
        }
    }

    fn string(&mut self) -> Result<Cow<'l, str>, Broken> {
        let (raw, escaped) = self.raw_string()?;
        Ok(if escaped { Cow::Owned(self.unescaped(raw)) } else { Cow::Borrowed(raw) })
    }

    /// Resolves escapes. One that JSON does not know stays as written and flaws the line; `\xHH`,
    /// which nginx writes into JSON unless told `escape=json`, is resolved all the same.
    fn unescaped(&mut self, raw: &str) -> String {
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            text.push_str(plain);
            let mut chars = escape.chars();
            let named = chars.next();
            rest = chars.as_str();
            match named {
                Some(named @ ('"' | '\\' | '/')) => text.push(named),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('u') if hex(rest, 4).is_some() => {
                    let (read, after) = utf16(rest);
                    text.push(read);
                    rest = after;
                }
                other => {
                    self.flawed = true;
                    if let (Some('x'), Some((byte, after))) = (other, hex(rest, 2)) {
                        text.extend(char::from_u32(byte));
                        rest = after;
                    } else {
                        text.push('\\');
                        text.extend(other);
                    }
                }
            }
        }
        text.push_str(rest);
        text
    }
}

/// The number that so many hexadecimal digits make, and what follows them.
fn hex(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let plain = number.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(number, 16).ok())?.map(|number| (number, rest))
}

/// The character of `HHHH`, or of `HHHH\uHHHH` where the two are a surrogate pair; U+FFFD for half
/// a pair.
fn utf16(text: &str) -> (char, &str) {
    let Some((first, rest)) = hex(text, 4) else { return (char::REPLACEMENT_CHARACTER, text) };
    if let Some(read) = char::from_u32(first) {
        return (read, rest);
    }
    let low = rest.strip_prefix("\\u").and_then(|low| hex(low, 4));
    if let Some((second @ 0xdc00..=0xdfff, after)) = low
        && let Some(high @ 0..0x400) = first.checked_sub(0xd800)
        && let Some(read) = char::from_u32(0x1_0000 + (high << 10) + (second - 0xdc00))
    {
        return (read, after);
    }
    (char::REPLACEMENT_CHARACTER, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value of field `f` as printed (`-` if absent), and whether the line was whole.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        check_field("f", line, expected, true);
    }

    #[track_caller]
    fn broken(line: &str, expected: &str) {
        check_field("f", line, expected, false);
    }

    #[track_caller]
    fn check_field(field: &str, line: &str, expected: &str, whole: bool) {
        let mut names = Names::default();
        let id = names.intern(field).unwrap();
        let mut record = Record::new(line, &names);
        let read = read(line, &names, &mut record);
        let value = record.value(id).map_or_else(|| "-".into(), |value| value.text());
        assert_eq!((&*value, read.is_ok()), (expected, whole), "{line}");
    }

    #[test]
    fn every_kind_of_value_is_read() {
        check(r#"{"f":"text"}"#, "text");
        check(r#" { "a" : 1 , "f" : "x" } "#, "x");
        check(r#"{"f":-12.50e+3}"#, "-12.50e+3");
        check(r#"{"f":true}"#, "true");
        check(r#"{"f":false}"#, "false");
        check(r#"{"f":null}"#, "-");
        check(r#"{"f":[1,"b",null,[true]]}"#, "1,b,true");
        check(r#"{"f":[]}"#, "");
        check("{}", "-");
        check(r#"{"f":1,"f":2}"#, "2");
    }

    #[test]
    fn escapes_are_resolved() {
        check(r#"{"f":"a\"b\\c\/d\n\t\r\b\f"}"#, "a\"b\\c/d\n\t\r\u{8}\u{c}");
        check(r#"{"f":"\u003cscript\u003E"}"#, "<script>");
        check(r#"{"f":"\ud83d\ude00!"}"#, "😀!");
        check(r#"{"f":"\ud83d!"}"#, "\u{fffd}!");
        check(r#"{"f":"\ude00\ud83d"}"#, "\u{fffd}\u{fffd}");
        check(r#"{"\u0066":"key"}"#, "key");
        check(r#"{"a":"\"f\":1","b":"\\"}"#, "-");
    }

    #[test]
    fn dotted_and_nested_names_are_one() {
        let field = "http.response.status_code";
        check_field(field, r#"{"http.response.status_code":404}"#, "404", true);
        check_field(field, r#"{"http":{"response":{"status_code":404}}}"#, "404", true);
        check_field(field, r#"{"http.response":{"x":{},"status_code":404}}"#, "404", true);
        check_field(
            field,
            r#"{"http":{"a":{"b":1},"response.status_code":404},"z":1}"#,
            "404",
            true,
        );
        check_field(field, r#"{"response":{"status_code":404}}"#, "-", true);
        check_field(field, r#"{"":{"http":{"response":{"status_code":404}}}}"#, "-", true);
        check_field("a.b", r#"{"a":[{"b":1},{"b":[2,3]},{"c":4}]}"#, "1,2,3", true);
        check_field("a", r#"{"a":{"b":1}}"#, "-", true);
    }

    #[test]
    fn fields_before_a_fault_stay() {
        broken(r#"{"f":"x","b":"#, "x");
        broken(r#"{"f":"x"} trailing"#, "x");
        broken(r#"{"f":"x","b":01}"#, "x");
        broken(r#"{"f":"x","b":tru}"#, "x");
        broken(r#"{"f":"x",}"#, "x");
        broken(r#"{"f":"x""#, "x");
        broken(r#"{"f":"x\"#, "-");
        broken(r#"{"b":"unclosed,"f":"x"}"#, "-");
        broken(r#"["f"]"#, "-");
        broken("text", "-");
        broken("", "-");
    }

    #[test]
    fn a_flawed_escape_loses_nothing() {
        broken(r#"{"a":"\x22\q","f":"\x27 or\q \u12"}"#, "' or\\q \\u12");
    }

    #[test]
    fn nesting_has_an_end() {
        let nested =
            |depth: usize| format!("{{\"f\":1,\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        check(&nested(DEPTH_MAX), "1");
        broken(&nested(DEPTH_MAX + 1), "1");
        broken(&nested(1_000_000), "1");
        broken(&"{\"a\":".repeat(1_000_000), "-");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        let key = prop_oneof!["[a-c]", Just("a.b".to_owned()), any::<String>()];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(key.clone(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_general_parser_reads_the_same(json in any_json()) {
            let line = serde_json::json!({ "f": json }).to_string();
            let expected = match &json {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(bool) => bool.to_string(),
                serde_json::Value::Null | serde_json::Value::Object(_) => "-".to_owned(),
                serde_json::Value::Array(_) => return Ok(()),
            };
            check(&line, &expected);
        }

        #[test]
        fn broken_is_what_a_general_parser_refuses(line in r#"[{}\[\]",:a\\u0-9.eE+-]{0,24}"#) {
            let mut names = Names::default();
            names.intern("a").unwrap();
            let whole = read(&line, &names, &mut Record::new(&line, &names)).is_ok();
            let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
                serde_json::from_str(&line);
            prop_assert_eq!(whole, parsed.is_ok());
        }

        #[test]
        fn nothing_panics(line in any::<String>()) {
            let names = Names::default();
            let _read = read(&line, &names, &mut Record::new(&line, &names));
            let line = format!("{{\"f\":{line}");
            let _read = read(&line, &names, &mut Record::new(&line, &names));
        }
    }
}
