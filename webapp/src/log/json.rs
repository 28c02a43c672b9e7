//! The keys and values of a record in; one line of JSON out.
//!
//! It writes the bytes that slog-json writes, and the tests hold it against that. slog-json looks for
//! what JSON escapes one byte at a time, in keys too; here what holds nothing of that is copied.

use std::{fmt::Arguments, io::Write as _};

use serde::Serialize;
use slog::{KV as _, Key, OwnedKVList, Record, Serializer};

/// Appends the record as a line.
pub(super) fn append(lines: &mut Vec<u8>, record: &Record<'_>, values: &OwnedKVList) {
    let mut object = Object { bytes: lines, before: b'{' };
    // Writing to memory does not fail.
    values
        .serialize(record, &mut object)
        .and_then(|()| record.kv().serialize(record, &mut object))
        .ok();
    object.bytes.extend_from_slice(b"}\n");
}

struct Object<'a> {
    bytes: &'a mut Vec<u8>,
    /// What stands before the next key.
    before: u8,
}

impl Object<'_> {
    fn key(&mut self, key: Key) {
        // Keys are constants of ours.
        debug_assert!(is_plain(key.as_bytes()), "{key:?}");
        self.bytes.reserve(key.len() + 4);
        self.bytes.extend_from_slice(&[std::mem::replace(&mut self.before, b','), b'"']);
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn text(&mut self, text: &str) {
        if is_plain(text.as_bytes()) {
            self.bytes.reserve(text.len() + 2);
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b'"');
        } else {
            self.value(text);
        }
    }

    fn value(&mut self, value: impl Serialize) {
        // Writing text and numbers to memory does not fail.
        serde_json::to_writer(&mut *self.bytes, &value).ok();
    }
}

/// Whether JSON takes these bytes as they are. No early end: so the compiler looks at 16 at a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, b| plain & (*b >= b' ') & (*b != b'"') & (*b != b'\\'))
}

/// All that records hold; slog hands other kinds to `emit_arguments`.
impl Serializer for Object<'_> {
    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.key(key);
        self.text(value);
        Ok(())
    }

    fn emit_u16(&mut self, key: Key, value: u16) -> slog::Result {
        self.key(key);
        self.value(value);
        Ok(())
    }

    fn emit_u64(&mut self, key: Key, value: u64) -> slog::Result {
        self.key(key);
        self.value(value);
        Ok(())
    }

    fn emit_bool(&mut self, key: Key, value: bool) -> slog::Result {
        self.key(key);
        self.value(value);
        Ok(())
    }

    fn emit_arguments(&mut self, key: Key, value: &Arguments<'_>) -> slog::Result {
        self.key(key);
        self.bytes.push(b'"');
        let begin = self.bytes.len();
        self.bytes.write_fmt(*value)?;
        if is_plain(self.bytes.get(begin..).unwrap_or_default()) {
            self.bytes.push(b'"');
        } else {
            let text = self.bytes.split_off(begin);
            self.bytes.pop();
            self.value(String::from_utf8_lossy(&text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slog::{Drain as _, Level, o};

    use super::*;

    struct Values<'a> {
        text: &'a str,
        number: u64,
    }

    impl slog::KV for Values<'_> {
        fn serialize(&self, _: &Record<'_>, out: &mut dyn Serializer) -> slog::Result {
            out.emit_str("text", self.text)?;
            out.emit_arguments("arguments", &format_args!("{}-{}", self.text, self.number))?;
            out.emit_u64("u64", self.number)?;
            out.emit_u16("u16", self.number as u16)?;
            out.emit_bool("bool", self.number.is_multiple_of(2))
        }
    }

    #[track_caller]
    fn check(text: &str, number: u64) {
        let values = Values { text, number };
        let place = slog::record_static!(Level::Info, "");
        let message = format_args!("");
        let record = Record::new(&place, &message, slog::BorrowedKV(&values));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        append(&mut ours, &record, &o!("a" => "b").into());
        slog_json::Json::new(&mut theirs).build().log(&record, &o!("a" => "b").into()).unwrap();
        assert_eq!(String::from_utf8(ours), String::from_utf8(theirs));
    }

    #[test]
    fn what_json_escapes() {
        for text in ["", "plain é ü", "a\"b", "a\\", "\n", "\u{0}\u{1f}", "\u{7f}\u{2028}"] {
            check(text, 0);
        }
        check("", u64::MAX);
    }

    proptest! {
        #[test]
        fn slog_json_writes_the_same(text in "(?s).{0,40}", number: u64) {
            check(&text, number);
        }
    }
}
