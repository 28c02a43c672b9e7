//! A directory of logs and a real sentinel over it. When an expectation fails, the message holds
//! everything that is needed to see why.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod marked;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use shared::Alert;
use tempfile::TempDir;

/// The flags of a sentinel over `logs`.
pub(crate) const RUN: [&str; 2] = ["--rules", "rules.toml"];

/// How long an outcome may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A rule that makes an alert of each [`admin`] line.
pub(crate) const ADMIN: &str = r#"
[[rule]]
id = "admin"
title = "Admin page"
level = "low"
match = { "url.path" = "/admin" }
group_by = ["n"]
message = "{n}"
cooldown = "0s"
"#;

/// A line that asks for the admin page; its alert says which.
pub(crate) fn admin(n: u32) -> String {
    format!(r#"{{"@timestamp":"2026-01-20T10:05:00.000Z","url.path":"/admin","n":{n}}}"#)
}

/// A fresh log directory `logs` beside a rule file `rules.toml`.
pub(crate) struct Sandbox {
    dir: TempDir,
}

/// A sentinel that is killed when it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// SIGTERM, its end, and its exit code.
    pub(crate) fn terminate(&mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut status = None;
        wait("the end of sentinel", String::new, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code().unwrap_or(-1)
    }
}

/// `SEED`, or another one each time: a failure tells it.
#[expect(clippy::disallowed_methods, reason = "another seed each time; a failure prints it")]
pub(crate) fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| u64::from(since.subsec_nanos())),
    }
}

/// Asks again until it is so.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a deadline is measured by the clock")]
pub(crate) fn wait(what: &str, explain: impl Fn() -> String, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "{what} did not come\n{}", explain());
        thread::park_timeout(Duration::from_millis(5));
    }
}

impl Sandbox {
    pub(crate) fn new(rules: &str) -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(sandbox.path("logs")).unwrap();
        sandbox.rules(rules);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Leaves the directory behind, for whoever wants to see why.
    pub(crate) fn keep(&mut self) {
        self.dir.disable_cleanup(true);
    }

    pub(crate) fn rules(&self, text: &str) {
        fs::write(self.path("rules.toml"), format!("version = 1\n{text}")).unwrap();
    }

    /// Appends lines to a log file, in one write.
    pub(crate) fn log(&self, name: &str, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.append(name, &text);
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        let path = self.path("logs").join(name);
        File::options()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SENTINEL_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts a sentinel over `logs` and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&self) -> Running {
        self.start_with(&RUN)
    }

    #[track_caller]
    pub(crate) fn start_with(&self, args: &[&str]) -> Running {
        self.ready(self.command(args))
    }

    /// Starts one and waits until it is ready.
    #[track_caller]
    pub(crate) fn ready(&self, command: Command) -> Running {
        let running = self.spawn(command);
        wait(
            "readiness",
            || self.explain(),
            || self.try_get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")),
        );
        running
    }

    /// Starts one and does not wait.
    pub(crate) fn spawn(&self, mut command: Command) -> Running {
        let said = File::options().append(true).create(true).open(self.path("stderr")).unwrap();
        Running { child: command.stderr(said).spawn().unwrap() }
    }

    /// What the socket answers, head and body.
    pub(crate) fn try_get(&self, target: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.path("logs/.sentinel/sentinel.sock")).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The JSON body of an answer.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> serde_json::Value {
        let answer =
            self.try_get(target).unwrap_or_else(|| panic!("no answer\n{}", self.explain()));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"))
    }

    /// Every alert in alerts.log and in the rotated files that tests make of it, by number.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        let mut paths: Vec<_> = fs::read_dir(self.path("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("alerts.log"))
            .collect();
        paths.sort();
        let mut alerts: Vec<Alert> = paths.iter().flat_map(|path| self.alerts_in(path)).collect();
        alerts.sort_by_key(|alert| alert.seq);
        alerts
    }

    fn alerts_in(&self, path: &Path) -> Vec<Alert> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        whole.lines().map(parse).collect()
    }

    /// Waits until so many alerts stand in alerts.log.
    #[track_caller]
    pub(crate) fn expect_alerts(&self, count: usize) -> Vec<Alert> {
        let mut alerts = Vec::new();
        wait(
            &format!("{count} alerts"),
            || self.explain(),
            || {
                alerts = self.alerts();
                alerts.len() >= count
            },
        );
        assert_eq!(alerts.len(), count, "{}", self.explain());
        alerts
    }

    /// Waits until every byte that is in the logs now is evaluated.
    #[track_caller]
    pub(crate) fn expect_at_end(&self) {
        wait("the end of the logs", || self.explain(), || self.is_at_end());
    }

    /// Every byte that is in the logs now is evaluated.
    pub(crate) fn is_at_end(&self) -> bool {
        let status = self.get("/v1/status");
        let read: u64 = status["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["offset"].as_u64().unwrap())
            .sum();
        read >= self.bytes_logged()
    }

    fn bytes_logged(&self) -> u64 {
        let logs = fs::read_dir(self.path("logs")).unwrap().map(|entry| entry.unwrap());
        logs.filter(|entry| !entry.file_name().to_string_lossy().starts_with("alerts"))
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"))
            .map(|entry| entry.metadata().unwrap().len())
            .sum()
    }

    /// The whole scene.
    pub(crate) fn explain(&self) -> String {
        let mut scene = format!("in {}\n", self.dir.path().display());
        for name in ["logs", "logs/.sentinel", "."] {
            for entry in fs::read_dir(self.path(name)).into_iter().flatten().flatten() {
                let len = entry.metadata().map_or(0, |metadata| metadata.len());
                writeln!(scene, "  {} {len}", entry.path().display()).unwrap();
            }
        }
        for name in ["rules.toml", "stderr", "logs/alerts.log"] {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            let shown: String = text.chars().take(4_000).collect();
            writeln!(scene, "--- {name}\n{shown}").unwrap();
        }
        let status = self.try_get("/v1/status").unwrap_or_else(|| "no answer".into());
        writeln!(scene, "--- status\n{status}").unwrap();
        scene
    }
}
