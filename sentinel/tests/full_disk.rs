//! A disk that fills at random places while a real sentinel writes: in the journal, in a snapshot, in
//! the middle of a line of alerts.log. It says so and waits; with space again, or killed and started
//! again, every alert stands in alerts.log once.
//!
//! A limit on the size of files stands in for the disk: writes come short and then fail just as on a
//! full one, and nobody has to be root. `SEED` repeats a run.

mod support;

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use support::{
    Running, Sandbox,
    marked::{Marked, RULES},
    seed, wait,
};

/// No snapshot is that small.
const SMALL: &str = "ulimit -S -f 1;";

/// Which file hits the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Alerts,
    Journal,
    Snapshot,
}

struct Load {
    sandbox: Sandbox,
    sentinel: Running,
    random: StdRng,
    seed: u64,
    written: Marked,
    renamed: u32,
    edited: u32,
}

impl Load {
    fn new(seed: u64) -> Self {
        let sandbox = Sandbox::new(RULES);
        let sentinel = start(&sandbox);
        let random = StdRng::seed_from_u64(seed);
        Self { sandbox, sentinel, random, seed, written: Marked::default(), renamed: 0, edited: 0 }
    }

    fn write(&mut self) {
        let file = if self.random.random_range(0..2) == 0 { "a.log" } else { "b.log" };
        let count = self.random.random_range(3..12);
        let lines: Vec<String> = (0..count).map(|_| self.line()).collect();
        self.sandbox.log(file, &lines);
    }

    fn line(&mut self) -> String {
        let is_marked = self.random.random_range(0..3) == 0;
        self.written.line(is_marked)
    }

    fn restart(&mut self) {
        self.sentinel.kill();
        self.sentinel = start(&self.sandbox);
    }

    fn rename(&mut self) {
        self.renamed += 1;
        let to = self.sandbox.path(&format!("logs/alerts.log.{}", self.renamed));
        fs::rename(self.sandbox.path("logs/alerts.log"), to).unwrap();
    }

    fn limit(&self, bytes: Option<u64>) {
        let maximum = getrlimit(Resource::Fsize).maximum;
        let pid = Pid::from_child(&self.sentinel.child);
        let limit = Rlimit { current: bytes.or(maximum), maximum };
        prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    fn len(&self, name: &str) -> u64 {
        fs::metadata(self.sandbox.path("logs").join(name)).map_or(0, |found| found.len())
    }

    fn journal_len(&self) -> u64 {
        let state = fs::read_dir(self.sandbox.path("logs/.sentinel")).unwrap();
        let names = state.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let journal = names.filter(|name| name.starts_with("journal.")).max().unwrap();
        self.len(&format!(".sentinel/{journal}"))
    }

    /// Writes until a file hits a limit. Gives what is said of it.
    fn fill(&mut self, full: Full) -> String {
        assert_eq!(self.settled(), None, "seed {}", self.seed);
        let more = self.random.random_range(0..900);
        match full {
            Full::Alerts => {
                // A journal without frames is far behind it.
                while self.len("alerts.log") < 16 << 10 {
                    self.write();
                    self.settled();
                }
                self.restart();
                self.limit(Some(self.len("alerts.log") + more));
            }
            Full::Journal => {
                self.rename();
                self.limit(Some(self.journal_len() + more));
            }
            Full::Snapshot => {
                self.rename();
                self.restart();
                let snapshot = self.len(".sentinel/snapshot");
                let fits = self.random.random_range(100..snapshot);
                self.limit(Some(fits));
                self.edited += 1;
                self.sandbox.rules(&format!("# {}\n{RULES}", self.edited));
                return self.wait("a snapshot that does not fit", Self::stopped_by);
            }
        }
        loop {
            self.write();
            if let Some(said) = self.settled() {
                return said;
            }
        }
    }

    /// Memory that it really has, in bytes.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.sentinel.child.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kilobytes << 10
    }

    /// Waits for the end of the logs, or for what is said to be in the way.
    fn settled(&self) -> Option<String> {
        self.wait("the end of the logs", |load| match load.stopped_by() {
            Some(said) => Some(Some(said)),
            None => load.sandbox.is_at_end().then_some(None),
        })
    }

    fn stopped_by(&self) -> Option<String> {
        self.sandbox.get("/v1/status")["stopped_by"].as_str().map(str::to_owned)
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let mut answer = None;
        let what = format!("{what} (seed {})", self.seed);
        wait(
            &what,
            || self.sandbox.explain(),
            || {
                answer = ask(self);
                answer.is_some()
            },
        );
        answer.unwrap()
    }
}

fn start(sandbox: &Sandbox) -> Running {
    let running = Running { child: command(sandbox, "").spawn().unwrap() };
    wait(
        "readiness",
        || sandbox.explain(),
        || sandbox.try_get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")),
    );
    running
}

/// Sentinel as a shell starts it that has the signal ignored which a limit sends.
fn command(sandbox: &Sandbox, first: &str) -> Command {
    let sentinel = sandbox.command(&["--rules", "rules.toml", "--poll-interval", "20ms"]);
    let said = fs::File::options().append(true).create(true).open(sandbox.path("stderr")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap '' XFSZ; {first} exec \"$0\" \"$@\"")]);
    command.arg(sentinel.get_program()).args(sentinel.get_args());
    command.current_dir(sandbox.path("")).stdin(Stdio::null()).stderr(said);
    for (name, value) in sentinel.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Tells whoever runs the test, passed or not.
fn tell(what: &str) {
    writeln!(std::io::stderr(), "{what}").ok();
}

#[test]
fn a_disk_that_fills_anywhere_loses_no_alert_and_repeats_none() {
    let seed = seed();
    let mut load = Load::new(seed);
    let mut torn = 0;
    for round in 0..15 {
        let full = [Full::Alerts, Full::Journal, Full::Snapshot][round % 3];
        let said = load.fill(full);
        // What is written meanwhile waits in the logs.
        load.write();
        let place = if full == Full::Alerts { "alerts.log" } else { ".sentinel" };
        assert!(said.contains(place), "seed {seed}, {full:?}: {said}");
        let alerts = fs::read(load.sandbox.path("logs/alerts.log")).unwrap_or_default();
        torn += u32::from(alerts.last().is_some_and(|last| *last != b'\n'));
        if load.random.random_range(0..2) == 0 {
            load.sentinel.kill();
            let code = command(&load.sandbox, SMALL).status().unwrap().code();
            assert_eq!(code, Some(3), "seed {seed}: a start on a full disk");
            load.sentinel = start(&load.sandbox);
        } else {
            load.limit(None);
            load.wait("evaluation to go on", |load| load.stopped_by().is_none().then_some(()));
        }
    }
    assert_eq!(load.settled(), None, "seed {seed}");
    check(&load);
    assert_eq!(load.sentinel.terminate(), 0, "seed {seed}");
    check(&load);
    assert!(torn > 0, "seed {seed}: no line was torn");
    tell(&format!("15 full disks, {torn} torn lines, {} lines, seed {seed}", load.written.lines));
}

#[test]
fn what_waits_while_the_disk_is_full_waits_in_the_logs_and_not_in_memory() {
    let mut load = Load::new(seed());
    load.fill(Full::Alerts);
    let before = load.resident();
    let line = format!(r#"{{"pad":"{}"}}"#, "x".repeat(500 << 10));
    for _ in 0..64 {
        load.sandbox.log("a.log", std::slice::from_ref(&line));
    }
    load.wait("32 MiB to wait", |load| {
        let status = load.sandbox.get("/v1/status");
        let files = status["files"].as_array().unwrap().iter();
        let lag: u64 = files.map(|file| file["lag_bytes"].as_u64().unwrap()).sum();
        (lag > 30 << 20).then_some(())
    });
    let grown = load.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "seed {}: {grown} bytes", load.seed);
    load.limit(None);
    load.wait("evaluation to go on", |load| load.stopped_by().is_none().then_some(()));
    assert_eq!(load.settled(), None, "seed {}", load.seed);
    check(&load);
}

#[track_caller]
fn check(load: &Load) {
    let alerts = load.sandbox.expect_alerts(load.written.alerts());
    load.written.check(&alerts, &format!("seed {}", load.seed));
}
