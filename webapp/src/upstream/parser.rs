//! Bytes of an event stream in; the events that sentinel may send, written anew, out. Pure.
//!
//! The grammar is narrower than the standard's (WHATWG HTML §9.2.5): lines end with a line feed, each
//! field comes once, `data` is a JSON object. What is outside of it is not passed on to a client.

use std::str;

use serde_json::value::RawValue;

/// Bytes of a line, and of an event's data with it. An alert of a rule with eight group fields full of
/// control characters has 120 KiB: nobody may end everybody's stream with one.
const EVENT_BYTES_MAX: usize = 256 << 10;

/// Bytes of an event's name.
const NAME_BYTES_MAX: usize = 32;

/// Between two pushes: the event as far as it came.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    id: Option<u64>,
    name: Option<String>,
    data: Option<String>,
}

impl Parser {
    /// The events that end in these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<String, &'static str> {
        let mut told = String::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > EVENT_BYTES_MAX {
                return Err("a line of an event is over 256 KiB");
            }
            self.line.extend_from_slice(piece);
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
                let line = std::mem::take(&mut self.line);
                self.read(&line, &mut told)?;
            }
        }
        Ok(told)
    }

    fn read(&mut self, line: &[u8], told: &mut String) -> Result<(), &'static str> {
        let Ok(line) = str::from_utf8(line) else { return Err("an event is not UTF-8") };
        if line.is_empty() {
            return self.end(told);
        }
        // A comment is sentinel's sign of life; ours has its own time.
        if line.starts_with(':') {
            return Ok(());
        }
        match line.split_once(": ") {
            Some(("id", id)) if self.id.is_none() => self.id = Some(number(id)?),
            Some(("event", name)) if self.name.is_none() && is_name(name) => {
                self.name = Some(name.to_owned());
            }
            Some(("data", data)) if self.data.is_none() && is_object(data) => {
                self.data = Some(data.to_owned());
            }
            _ => return Err("a line is no field of an event"),
        }
        Ok(())
    }

    fn end(&mut self, told: &mut String) -> Result<(), &'static str> {
        let (id, name, data) = (self.id.take(), self.name.take(), self.data.take());
        if name.is_some() && data.is_none() {
            return Err("an event has no data");
        }
        let id = id.map(|id| id.to_string());
        let fields = [("id", id), ("event", name), ("data", data)];
        let any = fields.iter().any(|(_, value)| value.is_some());
        for (field, value) in fields {
            if let Some(value) = value {
                told.extend([field, ": ", &value, "\n"]);
            }
        }
        if any {
            told.push('\n');
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or("an event's id is no number")
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A carriage return is white space to JSON, and the end of a line to a client.
fn is_object(text: &str) -> bool {
    text.starts_with('{') && !text.contains('\r') && serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// However the bytes are split.
    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        for size in 1..=bytes.len() {
            let mut parser = Parser::default();
            let told: Result<String, _> =
                bytes.chunks(size).map(|chunk| parser.push(chunk)).collect();
            assert_eq!(told.as_deref().map_err(|why| *why), expected, "by {size} bytes");
        }
    }

    #[test]
    fn events_of_sentinel_are_passed_on_and_comments_are_not() {
        check(b":\nid: 7\n\n", Ok("id: 7\n\n"));
        check(b"id: 8\ndata: {\"seq\":8}\n\n", Ok("id: 8\ndata: {\"seq\":8}\n\n"));
        let reset = "id: 4\nevent: reset\ndata: {\"next_seq\":5}\n\n";
        check(reset.as_bytes(), Ok(reset));
        check(b"data: {}\nid: 1\n\ndata: {}\n\n", Ok("id: 1\ndata: {}\n\ndata: {}\n\n"));
        check(b":\n\n: alive\n\n\n", Ok(""));
        check(b"id: 1\ndata: {\"half", Ok(""));
        check("data: {\"é\":\"\u{2028}\"}\n\n".as_bytes(), Ok("data: {\"é\":\"\u{2028}\"}\n\n"));
    }

    #[test]
    fn what_is_no_event_of_sentinel_ends_it() {
        let no_field = Err("a line is no field of an event");
        for line in [
            "data: 1",
            "data: [1]",
            "data: {",
            "data: {} {}",
            "data: {\"a\":\r1}",
            "data: {}\r",
            "data:{}",
            "data",
            "data: ",
            "event: ",
            "event: a b",
            "event: Reset",
            "retry: 1",
            "<script>",
            " ",
            "\u{feff}data: {}",
            "id:7",
            "data: {}\ndata: {}",
            "id: 1\nid: 1",
            "event: a\nevent: a",
        ] {
            check(format!("{line}\n\n").as_bytes(), no_field);
        }
        check(b"id: x\n", Err("an event's id is no number"));
        check(b"id: +1\n", Err("an event's id is no number"));
        check(b"id: \n", Err("an event's id is no number"));
        check(b"id: 18446744073709551616\n", Err("an event's id is no number"));
        check(b"event: reset\n\n", Err("an event has no data"));
        check(b": \xff\n", Err("an event is not UTF-8"));
        let deep = format!("data: {}\n\n", "{\"a\":".repeat(200));
        check(deep.as_bytes(), no_field);
    }

    #[test]
    fn a_line_has_a_limit_whether_or_not_it_ends() {
        let whole = |bytes: usize| format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(bytes));
        let frame = whole(0).len() - 1;
        let longest = whole(EVENT_BYTES_MAX - frame);
        assert_eq!(Parser::default().push(longest.as_bytes()).unwrap(), longest);
        let over = Err("a line of an event is over 256 KiB");
        assert_eq!(Parser::default().push(whole(EVENT_BYTES_MAX - frame + 1).as_bytes()), over);
        let mut parser = Parser::default();
        let mut pushed = Ok(String::new());
        for _ in 0..=EVENT_BYTES_MAX / 1_024 {
            pushed = parser.push(&[b'x'; 1_024]);
        }
        assert_eq!(pushed, over);
    }

    const PIECES: [&[u8]; 14] = [
        b"id: ",
        b"event: ",
        b"data: ",
        b":",
        b"7",
        b"reset",
        b"{}",
        b"{\"a\":\"b\"}",
        b"\n",
        b"\n\n",
        b"\r",
        b" ",
        b"\xff",
        b"x",
    ];

    proptest! {
        #[test]
        fn whatever_comes_what_goes_on_reads_the_same_again(
            pieces in vec(prop_oneof![6 => select(&PIECES[..3]), 4 => select(&PIECES[3..])], 0..24),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = pieces.concat();
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut parser = Parser::default();
            let split = parser.push(first).and_then(|told| Ok(told + &parser.push(second)?));
            let whole = Parser::default().push(&bytes);
            prop_assert_eq!(&split, &whole);
            if let Ok(told) = whole {
                prop_assert!(told.is_empty() || told.ends_with("\n\n"));
                prop_assert!(!told.contains('\r'));
                prop_assert_eq!(Parser::default().push(told.as_bytes()), Ok(told));
            }
        }
    }
}
