//! A webapp of its own for each test: a fresh directory, a free port, nothing from our environment.
//! When a test fails, its logs are printed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use shared::Record;

use crate::http::{self, Answer};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Sandbox {
    pub(crate) dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

pub(crate) struct Webapp {
    pub(crate) sandbox: Sandbox,
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        let value = value.as_ref().to_str().unwrap().to_owned();
        self.env.push((name.to_owned(), value));
        self
    }

    /// Room for as many requests as a test likes.
    pub(crate) fn unlimited(self) -> Self {
        self.env("RATE_LIMIT_REQUESTS", "10000")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webapp"));
        command
            .env_clear()
            .env("PORT", "0")
            .env("LOG_DIR", self.path("logs"))
            .envs(self.env.iter().cloned())
            .current_dir(self.dir.path());
        command
    }

    /// Runs it to its end, for what ends by itself.
    pub(crate) fn output(&self) -> Output {
        self.command().output().unwrap()
    }

    pub(crate) fn start(self) -> Webapp {
        let (child, line) = self.spawn();
        let address = line.split("http://").nth(1).unwrap().parse().unwrap();
        Webapp { sandbox: self, address, child }
    }

    /// Starts it; what it said when it was ready.
    pub(crate) fn spawn(&self) -> (Child, String) {
        let stderr = fs::File::create(self.path("stderr")).unwrap();
        let mut child = self.command().stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                tell.send(line).ok();
            }
        });
        let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("webapp said nothing: {}", fs::read_to_string(self.path("stderr")).unwrap())
        });
        (child, line)
    }
}

impl Webapp {
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        http::send(self.address, bytes.as_ref()).expect("an answer")
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[])
    }

    pub(crate) fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(http::head(method, target, headers))
    }

    /// A token as a client without a browser gets it.
    pub(crate) fn token(&self) -> String {
        let token = self.get("/csrf-token").json()["csrf_token"].clone();
        token.as_str().unwrap().to_owned()
    }

    /// Lines of a log that are whole, as records.
    pub(crate) fn records(&self, log: &str) -> Vec<Record> {
        let text = self.sandbox.log(log);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| {
                assert!(line.len() < shared::record::LINE_BYTES_MAX);
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The first record that fits, as soon as it is there.
    #[track_caller]
    pub(crate) fn record(&self, log: &str, fits: impl Fn(&Record) -> bool) -> Record {
        until(|| self.records(log).into_iter().find(|record| fits(record)))
            .unwrap_or_else(|| panic!("no such record in {log}.log"))
    }

    /// As many records as that, as soon as they are there.
    #[track_caller]
    pub(crate) fn counts(&self, log: &str, records: usize) {
        let found = || self.records(log).len();
        let enough = until(|| (found() >= records).then_some(()));
        assert!(enough.is_some() && found() == records, "{} records in {log}.log", found());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until(|| self.child.try_wait().unwrap()).expect("webapp did not end")
    }

    /// Ends it and returns its sandbox.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0));
    }
}

impl Sandbox {
    pub(crate) fn log(&self, log: &str) -> String {
        let path = self.path("logs").join(format!("{log}.log"));
        let mut text = String::new();
        // `/dev/full` has no end.
        if path.is_file()
            && let Ok(mut file) = fs::File::open(path)
        {
            file.read_to_string(&mut text).unwrap();
        }
        text
    }
}

#[expect(clippy::print_stderr, reason = "a failed test explains itself")]
impl Drop for Webapp {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            for log in ["requests", "suspicious", "errors"] {
                let text = self.sandbox.log(log);
                let tail: Vec<_> = text.lines().rev().take(20).collect();
                eprintln!("== {log}.log, its last lines, newest first\n{}", tail.join("\n"));
            }
            let stderr = fs::read_to_string(self.sandbox.path("stderr"));
            eprintln!("== stderr\n{}", stderr.unwrap_or_default());
        }
    }
}

/// Asks until there is an outcome, or patience ends.
#[expect(clippy::disallowed_methods, reason = "a deadline against a real process")]
pub(crate) fn until<T>(mut outcome: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(outcome) = outcome() {
            return Some(outcome);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}
