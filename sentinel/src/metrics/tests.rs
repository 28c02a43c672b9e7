//! The exposition, held to its format: what is read here is read as strictly as it is specified
//! (Prometheus, "Exposition formats", text format 0.0.4).

use std::time::Duration;

use super::*;
use crate::{
    board::{File, Raised},
    engine::counts::GapCounts,
};

/// Of a family: its type, and its series as (labels, value).
type Family = (String, Vec<(Labels, f64)>);
type Labels = Vec<(String, String)>;

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain) && !name.as_bytes()[0].is_ascii_digit()
}

/// `name="value",…}` up to its end; gives what follows.
fn labels(mut text: &str) -> (Labels, &str) {
    let mut read = Labels::new();
    loop {
        let (name, rest) = text.split_once("=\"").expect("a label");
        assert!(is_name(name), "{name}");
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next().expect("a value ends") {
                (at, '"') => break at + 1,
                (_, '\\') => match chars.next().expect("something is escaped").1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    other => panic!("\\{other} is no escape"),
                },
                (_, char) => value.push(char),
            }
        };
        assert!(read.iter().all(|(known, _)| known != name), "{name} twice");
        read.push((name.to_owned(), value));
        let (next, rest) = rest.split_at(end).1.split_at(1);
        match next {
            "," => text = rest,
            "}" => return (read, rest),
            other => panic!("{other} after a label"),
        }
    }
}

/// Reads an exposition, and refuses all that the format does.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut helped = String::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help has words");
            assert!(is_name(name) && !help.is_empty() && !families.contains_key(name), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped, "the type follows the help");
            assert!(kind == "counter" || kind == "gauge", "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            families.insert(name.to_owned(), (kind.to_owned(), Vec::new()));
            name.clone_into(&mut current);
        } else {
            let at = line.find(['{', ' ']).expect("a name ends");
            let (name, rest) = line.split_at(at);
            assert_eq!(name, current, "a sample follows the type of its family");
            let (labels, rest) = match rest.strip_prefix('{') {
                Some(rest) => labels(rest),
                None => (Labels::new(), rest),
            };
            let value: f64 = rest.strip_prefix(' ').expect("a space").parse().expect("a number");
            assert!(value.is_finite() && value >= 0.0, "{line}");
            let series = &mut families.get_mut(name).expect("it has a type").1;
            assert!(series.iter().all(|(known, _)| *known != labels), "twice: {line}");
            series.push((labels, value));
        }
    }
    families
}

fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let labels: Labels = labels.iter().map(owned).collect();
    let (_, series) = families.get(name).unwrap_or_else(|| panic!("no {name}"));
    let found = series.iter().find(|(known, _)| *known == labels);
    found.unwrap_or_else(|| panic!("no {labels:?} of {name}: {series:?}")).1
}

fn file(source: &str, path: &str, lag_bytes: u64, lag_seconds: f64, state: &'static str) -> File {
    File {
        path: path.into(),
        source: source.into(),
        offset: 0,
        size: lag_bytes,
        lag_bytes,
        lag_seconds,
        last_line_at: None,
        state,
    }
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
fn read(change: impl FnOnce(&mut Status, Instant)) -> BTreeMap<String, Family> {
    let (mut status, now) = (Status { version: "1.2.3", ..Status::default() }, Instant::now());
    change(&mut status, now);
    parse(&text(status, 3, now + Duration::from_millis(2_500)))
}

#[test]
fn nothing_at_all_is_well_formed() {
    let families = read(|_, _| {});
    assert_eq!(value(&families, "sentinel_build_info", &[("version", "1.2.3")]), 1.0);
    assert_eq!(value(&families, "sentinel_stream_readers", &[]), 3.0);
    assert_eq!(value(&families, "sentinel_evaluation_stopped", &[]), 0.0);
    assert_eq!(value(&families, "sentinel_files", &[("state", "reading")]), 0.0);
    assert!(families["sentinel_checkpoint_age_seconds"].1.is_empty(), "there is none yet");
}

#[test]
fn what_is_counted_is_told() {
    let families = read(|status, now| {
        let source = SourceCounts {
            lines: 7,
            bytes: 700,
            parse_errors: 1,
            encoding_errors: 2,
            long_lines: 3,
        };
        status.counts.sources.insert("requests".into(), source);
        let rule = RuleCounts { id: "admin".into(), matches: 5, evictions: 4, groups: 2 };
        status.counts.rules.push(rule);
        status.counts.gaps.insert("truncated", GapCounts { gaps: 1, bytes: 99 });
        (status.counts.late_lines, status.counts.clock_skew_lines) = (8, 9);
        (status.rotations.renamed, status.rotations.truncated) = (10, 11);
        let raised = Raised { rule: "admin".into(), level: "high", status: "firing" };
        status.raised.insert(raised, 6);
        status.rules.digest = "abc".into();
        status.rules.last_reload_error = Some("broken".into());
        status.stopped_by = Some("no space".into());
        (status.journal_bytes, status.snapshot_at) = (1_234, Some(now));
    });
    let requests = [("source", "requests")];
    for (name, labels, expected) in [
        ("sentinel_lines_total", &requests[..], 7.0),
        ("sentinel_bytes_total", &requests, 700.0),
        ("sentinel_parse_errors_total", &requests, 1.0),
        ("sentinel_encoding_errors_total", &requests, 2.0),
        ("sentinel_long_lines_total", &requests, 3.0),
        ("sentinel_gaps_total", &[("reason", "truncated")], 1.0),
        ("sentinel_gap_bytes_total", &[("reason", "truncated")], 99.0),
        ("sentinel_late_lines_total", &[], 8.0),
        ("sentinel_clock_skew_lines_total", &[], 9.0),
        ("sentinel_rotations_total", &[("kind", "rename")], 10.0),
        ("sentinel_rotations_total", &[("kind", "truncate")], 11.0),
        ("sentinel_rule_matches_total", &[("rule", "admin")], 5.0),
        ("sentinel_group_evictions_total", &[("rule", "admin")], 4.0),
        ("sentinel_groups", &[("rule", "admin")], 2.0),
        (
            "sentinel_alerts_total",
            &[("rule", "admin"), ("level", "high"), ("status", "firing")],
            6.0,
        ),
        ("sentinel_rules_info", &[("digest", "abc")], 1.0),
        ("sentinel_reload_success", &[], 0.0),
        ("sentinel_evaluation_stopped", &[], 1.0),
        ("sentinel_journal_bytes", &[], 1_234.0),
        ("sentinel_checkpoint_age_seconds", &[], 2.5),
    ] {
        assert_eq!(value(&families, name, labels), expected, "{name} {labels:?}");
    }
}

#[test]
fn a_rotated_file_and_the_one_at_its_path_are_one_series() {
    let families = read(|status, _| {
        status.files = vec![
            file("a", "logs/a.log", 10, 3.5, "rotated"),
            file("a", "logs/a.log", 5, 1.0, "reading"),
            file("b", "logs/b.log", 0, 0.0, UNREADABLE),
        ];
        status.unreadable.insert("logs/b.log".into(), "permission denied".into());
        status.unreadable.insert("logs/c.log".into(), "permission denied".into());
    });
    let a = [("source", "a"), ("file", "logs/a.log")];
    assert_eq!(value(&families, "sentinel_lag_bytes", &a), 15.0);
    assert_eq!(value(&families, "sentinel_lag_seconds", &a), 3.5);
    let states = [("reading", 1.0), ("rotated", 1.0), ("moved", 0.0), ("unreadable", 2.0)];
    for (state, expected) in states {
        assert_eq!(value(&families, "sentinel_files", &[("state", state)]), expected, "{state}");
    }
}

#[test]
fn names_are_data_whatever_they_hold() {
    let name = "a\"} 1\nsentinel_lines_total{source=\"\\n\u{1b}[2J\u{202e}";
    let families = read(|status, _| {
        status.counts.sources.insert(name.into(), SourceCounts::default());
        status.files.push(file(name, name, 1, 0.0, "reading"));
    });
    assert_eq!(value(&families, "sentinel_lines_total", &[("source", name)]), 0.0);
    assert_eq!(value(&families, "sentinel_lag_bytes", &[("source", name), ("file", name)]), 1.0);
}

#[test]
fn of_many_files_those_that_are_furthest_behind_are_told() {
    let families = read(|status, _| {
        let one = |n: u64| file("a", &format!("{n}.log"), n, 0.0, "reading");
        status.files = (0..1_000).map(one).collect();
    });
    assert_eq!(families["sentinel_lag_bytes"].1.len(), FILES_MAX);
    assert_eq!(families["sentinel_lag_seconds"].1.len(), FILES_MAX);
    let last = [("source", "a"), ("file", "999.log")];
    assert_eq!(value(&families, "sentinel_lag_bytes", &last), 999.0);
    assert_eq!(value(&families, "sentinel_files", &[("state", "reading")]), 1_000.0);
}
