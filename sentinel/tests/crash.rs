//! SIGKILL at random moments under load: every alert stands in alerts.log exactly once, also those
//! of a rule that counts over two files.

mod support;

use std::{collections::HashSet, fs};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{Running, Sandbox};

const RULES: &str = r#"
[[rule]]
id = "marked"
title = "A marked line"
level = "low"
match = { "event.action" = "marked" }
group_by = ["n"]
message = "{n}"
cooldown = "0s"
[[rule]]
id = "five"
title = "Five lines of either file"
level = "high"
match = { "event.action" = ["plain", "marked"] }
cooldown = "0s"
[rule.correlation]
type = "event_count"
timespan = "30d"
gte = 5
"#;

/// Lines written to two files while a sentinel reads them, at moments that a printed seed brings back.
struct Load {
    sandbox: Sandbox,
    random: StdRng,
    lines: usize,
    marked: Vec<String>,
}

impl Load {
    fn new(seed: u64) -> Self {
        let sandbox = Sandbox::new(RULES);
        Self { sandbox, random: StdRng::seed_from_u64(seed), lines: 0, marked: Vec::new() }
    }

    /// Writes some lines, now and then a torn one, and rotates now and then.
    fn write(&mut self) {
        for _ in 0..self.random.random_range(0..8) {
            let file = if self.random.random_range(0..2) == 0 { "a.log" } else { "b.log" };
            let count = self.random.random_range(0..20);
            let lines: Vec<String> = (0..count).map(|_| self.line()).collect();
            self.sandbox.log(file, &lines);
            if self.random.random_range(0..10) == 0 {
                let line = self.line();
                let (start, end) = line.split_at(line.len() / 2);
                self.sandbox.append(file, start);
                self.sandbox.append(file, &format!("{end}\n"));
            }
        }
    }

    fn line(&mut self) -> String {
        self.lines += 1;
        let n = self.lines;
        let action = if self.random.random_range(0..7) == 0 {
            self.marked.push(n.to_string());
            "marked"
        } else {
            "plain"
        };
        format!(r#"{{"@timestamp":"2026-01-20T10:05:00Z","event.action":"{action}","n":{n}}}"#)
    }

    fn check(&self, seed: u64) {
        let expected = self.lines / 5 + self.marked.len();
        let alerts = self.sandbox.expect_alerts(expected);
        let seqs: Vec<u64> = alerts.iter().map(|alert| alert.seq).collect();
        assert_eq!(seqs, (1..=expected as u64).collect::<Vec<_>>(), "seed {seed}");
        let ids: HashSet<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
        assert_eq!(ids.len(), expected, "seed {seed}");
        let mut told: Vec<&str> = alerts
            .iter()
            .filter(|alert| alert.rule.id == "marked")
            .map(|alert| alert.message.as_str())
            .collect();
        told.sort_unstable();
        let mut marked: Vec<&str> = self.marked.iter().map(String::as_str).collect();
        marked.sort_unstable();
        assert_eq!(told, marked, "seed {seed}");
    }
}

#[expect(clippy::disallowed_methods, reason = "another seed each time; a failure prints it")]
fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| u64::from(since.subsec_nanos())),
    }
}

fn kill_often(kills: u32, rotate: bool) {
    let seed = seed();
    let mut load = Load::new(seed);
    let mut running: Option<Running> = None;
    for kill in 0..kills {
        load.write();
        let mut sentinel = running.take().unwrap_or_else(|| load.sandbox.start());
        load.write();
        if rotate && kill % 3 == 2 {
            let logs = load.sandbox.path("logs");
            fs::rename(logs.join("a.log"), logs.join(format!("a.log.{kill}"))).unwrap_or_default();
            let alerts = logs.join("alerts.log");
            fs::rename(&alerts, logs.join(format!("alerts.log.{kill}"))).unwrap_or_default();
            load.write();
        }
        sentinel.kill();
    }
    load.write();
    let mut last = load.sandbox.start();
    load.sandbox.expect_at_end();
    load.check(seed);
    assert_eq!(last.terminate(), 0);
    load.check(seed);
}

#[test]
fn kill_9_loses_no_alert_and_repeats_none() {
    kill_often(25, false);
}

#[test]
fn neither_does_it_while_others_rotate_the_logs_and_the_alerts() {
    kill_often(25, true);
}

#[test]
fn alerts_that_were_journalled_and_not_yet_appended_are_appended_and_shown() {
    let load = Load::new(1);
    let line = |n: u32| format!(r#"{{"event.action":"marked","n":{n}}}"#);
    let mut sentinel = load.sandbox.start();
    load.sandbox.log("a.log", &[line(1)]);
    load.sandbox.expect_alerts(1);
    sentinel.kill();
    let path = load.sandbox.path("logs/alerts.log");
    let whole = fs::read_to_string(&path).unwrap();
    let state = load.sandbox.path("logs/.sentinel");
    let kept: Vec<_> = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_stem().is_some_and(|name| name == "snapshot" || name == "journal"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    for left in [0, 1, whole.len() / 2, whole.len()] {
        fs::File::options().write(true).open(&path).unwrap().set_len(left as u64).unwrap();
        let mut sentinel = load.sandbox.start();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "{left} bytes had been written");
        assert_eq!(load.sandbox.get("/v1/alerts")["alerts"][0]["seq"], 1);
        sentinel.kill();
        for (name, bytes) in &kept {
            fs::write(name, bytes).unwrap();
        }
    }
}

#[test]
fn a_rule_edited_while_down_leaves_the_others_as_they_were() {
    let mut load = Load::new(1);
    let line = |load: &mut Load| {
        let n = load.lines + 1;
        load.lines = n;
        format!(r#"{{"@timestamp":"2026-01-20T10:05:00Z","event.action":"plain","n":{n}}}"#)
    };
    let lines: Vec<_> = (0..14).map(|_| line(&mut load)).collect();
    let mut sentinel = load.sandbox.start();
    load.sandbox.log("a.log", &lines);
    load.sandbox.expect_alerts(2);
    load.sandbox.expect_at_end();
    sentinel.kill();
    load.sandbox.rules(&RULES.replace("A marked line", "A line with a mark"));
    let last = line(&mut load);
    load.sandbox.log("b.log", &[last]);
    let sentinel = load.sandbox.start();
    load.sandbox.expect_alerts(3);
    drop(sentinel);
}
