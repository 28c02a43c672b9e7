//! SIGKILL at random moments under load: every alert stands in alerts.log exactly once, also those
//! of a rule that counts over two files.

mod support;

use std::fs;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{
    Running, Sandbox,
    marked::{Marked, RULES},
    seed,
};

/// Lines written to two files while a sentinel reads them, at moments that a printed seed brings back.
struct Load {
    sandbox: Sandbox,
    random: StdRng,
    written: Marked,
}

impl Load {
    fn new(seed: u64) -> Self {
        let sandbox = Sandbox::new(RULES);
        Self { sandbox, random: StdRng::seed_from_u64(seed), written: Marked::default() }
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
        let is_marked = self.random.random_range(0..7) == 0;
        self.written.line(is_marked)
    }

    #[track_caller]
    fn check(&self, seed: u64) {
        let alerts = self.sandbox.expect_alerts(self.written.alerts());
        self.written.check(&alerts, &format!("seed {seed}"));
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
    let lines: Vec<_> = (0..14).map(|_| load.written.line(false)).collect();
    let mut sentinel = load.sandbox.start();
    load.sandbox.log("a.log", &lines);
    load.sandbox.expect_alerts(2);
    load.sandbox.expect_at_end();
    sentinel.kill();
    load.sandbox.rules(&RULES.replace("A marked line", "A line with a mark"));
    let last = load.written.line(false);
    load.sandbox.log("b.log", &[last]);
    let sentinel = load.sandbox.start();
    load.sandbox.expect_alerts(3);
    drop(sentinel);
}
