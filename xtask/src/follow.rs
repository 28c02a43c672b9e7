//! Lines appended to alerts.log in, a readable line for each out.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde_json::Value;

/// Longest unfinished line that is kept, in bytes; a longer one is not shown.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The reading end of an alerts.log that grows, and now and then is renamed and begun anew.
pub(crate) struct Follow {
    path: PathBuf,
    file: Option<File>,
    partial: Vec<u8>,
}

impl Follow {
    /// Begins at the end: what was raised before is no news.
    pub(crate) fn from_end(path: PathBuf) -> Self {
        let mut file = File::open(&path).ok();
        if let Some(file) = &mut file {
            file.seek(SeekFrom::End(0)).ok();
        }
        Self { path, file, partial: Vec::new() }
    }

    /// Hands on what was appended since the last call, a whole line at a time.
    pub(crate) fn read(&mut self, mut line: impl FnMut(&str)) {
        // Looked at before the old file is read: nothing is appended to that one any more then.
        let renamed = self.is_renamed();
        self.drain(&mut line);
        if renamed && let Ok(file) = File::open(&self.path) {
            self.file = Some(file);
            self.partial.clear();
            self.drain(&mut line);
        }
    }

    fn is_renamed(&self) -> bool {
        let at_path = std::fs::metadata(&self.path).ok().map(|at| (at.dev(), at.ino()));
        let held = self.file.as_ref().and_then(|file| file.metadata().ok());
        at_path.is_some() && at_path != held.map(|held| (held.dev(), held.ino()))
    }

    fn drain(&mut self, line: &mut impl FnMut(&str)) {
        let Some(file) = &mut self.file else { return };
        // Errors are no end of the world here: the next call tries again.
        file.read_to_end(&mut self.partial).ok();
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            if self.partial.len() > LINE_BYTES_MAX {
                self.partial.clear();
            }
            return;
        };
        for bytes in self.partial.drain(..=end).as_slice().split(|byte| *byte == b'\n') {
            if !bytes.is_empty() {
                line(&String::from_utf8_lossy(bytes));
            }
        }
    }
}

/// An alert for a person: `10:05:00 medium rate-limit-storm  20 throttled requests from …`.
///
/// A line that is no alert is shown as it is, less what a terminal would obey.
pub(crate) fn readable(line: &str, in_colour: bool) -> String {
    let alert: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |at: &str| alert.pointer(at).and_then(Value::as_str);
    let (Some(level), Some(rule), Some(message)) =
        (text("/level"), text("/rule/id"), text("/message"))
    else {
        return harmless(line);
    };
    let time = text("/@timestamp").and_then(|time| time.get(11..19)).unwrap_or("--:--:--");
    let status = match text("/status") {
        None | Some("firing") => String::new(),
        Some(status) => format!(" ({status})"),
    };
    let (on, off) = match level {
        _ if !in_colour => ("", ""),
        "critical" | "high" => ("\x1b[1;31m", "\x1b[0m"),
        "medium" => ("\x1b[33m", "\x1b[0m"),
        _ => ("\x1b[36m", "\x1b[0m"),
    };
    let [time, level, rule, status, message] = [time, level, rule, &status, message].map(harmless);
    format!("{time} {on}{level:<8}{off} {rule}{status}  {message}")
}

/// The text without what a terminal would obey: control characters, and those that turn the
/// direction of writing (<https://trojansource.codes>), lest an attacker's words be shown as ours.
fn harmless(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::OpenOptions;
    use std::io::Write as _;

    #[track_caller]
    fn check(line: &str, in_colour: bool, expected: &str) {
        assert_eq!(readable(line, in_colour), expected);
    }

    #[test]
    fn an_alert_is_one_readable_line() {
        let alert = r#"{"@timestamp":"2026-01-20T10:05:00.120Z","status":"firing","level":"high","rule":{"id":"xss"},"message":"script from 192.0.2.1"}"#;
        check(alert, false, "10:05:00 high     xss  script from 192.0.2.1");
        check(alert, true, "10:05:00 \x1b[1;31mhigh    \x1b[0m xss  script from 192.0.2.1");
        let resolved = alert.replace("firing", "resolved");
        check(&resolved, false, "10:05:00 high     xss (resolved)  script from 192.0.2.1");
        check(
            r#"{"level":"low","rule":{"id":"a"},"message":"b"}"#,
            false,
            "--:--:-- low      a  b",
        );
        check(
            r#"{"@timestamp":"é","level":"low","rule":{"id":"a"},"message":"b"}"#,
            false,
            "--:--:-- low      a  b",
        );
    }

    #[test]
    fn nothing_in_an_alert_speaks_to_the_terminal() {
        let alert =
            r#"{"level":"low","rule":{"id":"a"},"message":"\u001b[2Jx\u009b1m\r\n\u202ey"}"#;
        check(alert, false, "--:--:-- low      a  \u{fffd}[2Jx\u{fffd}1m\u{fffd}\u{fffd}\u{fffd}y");
        check("no alert \x1b[2J", false, "no alert \u{fffd}[2J");
        check("null", false, "null");
    }

    #[test]
    fn whole_lines_are_followed_through_a_rotation() {
        let dir = std::env::temp_dir().join(format!("xtask-follow-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("alerts.log");
        let append = |text: &str| {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let mut follow = Follow::from_end(path.clone());
        let mut news = move || {
            let mut lines = Vec::new();
            follow.read(|line| lines.push(line.to_owned()));
            lines
        };
        assert!(news().is_empty()); // No file yet.
        append("one\ntw");
        assert_eq!(news(), ["one"]);
        append("o\nthree\n");
        assert_eq!(news(), ["two", "three"]);
        append("four\n");
        std::fs::rename(&path, dir.join("alerts.log.1")).unwrap();
        assert_eq!(news(), ["four"]);
        append("five\n");
        assert_eq!(news(), ["five"]);
        let mut late = Follow::from_end(path);
        late.read(|line| panic!("old news: {line}"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
