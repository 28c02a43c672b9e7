//! A log file in; a program that watches it, and where it tells what it saw, out.

use std::{
    fmt,
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    clock, lines,
    process::{self, Process},
    sight::Sight,
};

/// Longest wait until one is ready.
const READY_MAX: Duration = Duration::from_secs(10);

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watcher {
    /// GNU tail, which writes what comes to a pipe.
    Tail,
    /// sentinel with its shipped rules and one for the probes, and that `--watch`.
    Sentinel(&'static str),
}

impl fmt::Display for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tail => f.write_str("tail -F"),
            Self::Sentinel(watch) => write!(f, "sentinel --watch {watch}"),
        }
    }
}

impl Watcher {
    /// Starts it over `logs/requests.log` in `dir`; ready to see so many probes.
    pub(crate) fn start(self, dir: &Path, probes: usize) -> Result<(Process, Vec<Sight>)> {
        match self {
            Self::Tail => tail(dir, probes),
            Self::Sentinel(watch) => sentinel(dir, watch, probes),
        }
    }
}

fn tail(dir: &Path, probes: usize) -> Result<(Process, Vec<Sight>)> {
    let mut command = Command::new("tail");
    // What stands there already is told first: then it is ready.
    command.args(["-F", "-n", "1"]).arg(dir.join("logs/requests.log"));
    let (process, mut stdout) = Process::start("tail (GNU coreutils)", &mut command)?;
    ensure!(stdout.read(&mut [0; 4 << 10])? > 0, "tail -F does not tell the last line");
    rustix::io::ioctl_fionbio(&stdout, true)?;
    Ok((process, vec![Sight::of("stdout", stdout, probes)]))
}

fn sentinel(dir: &Path, watch: &str, probes: usize) -> Result<(Process, Vec<Sight>)> {
    let rules = dir.join("rules");
    fs::create_dir(&rules)?;
    fs::write(rules.join("default.toml"), include_str!("../../rules/default.toml"))?;
    fs::write(rules.join("probe.toml"), lines::RULE)?;
    let mut command = process::built("sentinel")?;
    command.current_dir(dir).args(["--rules", "rules", "--watch", watch]);
    command.stderr(File::create(dir.join("stderr"))?);
    let (mut process, _) = Process::start("sentinel", &mut command)?;
    let began = clock::now();
    let socket = dir.join("logs/.sentinel/sentinel.sock");
    let stream = loop {
        process.check_alive()?;
        if let Some(stream) = subscribe(&socket) {
            break stream;
        }
        ensure!(began.elapsed() < READY_MAX, "sentinel is not ready");
        thread::park_timeout(Duration::from_millis(5));
    };
    stream.set_nonblocking(true)?;
    let alerts = File::open(dir.join("logs/alerts.log")).context("alerts.log")?;
    let sights = vec![Sight::of("alerts.log", alerts, probes), Sight::of("stream", stream, probes)];
    Ok((process, sights))
}

/// The stream of alerts, once sentinel opens it. None of ours is in what is read here.
fn subscribe(socket: &Path) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"GET /v1/alerts/stream HTTP/1.1\r\nHost: sentinel\r\n\r\n").ok()?;
    let mut answer = [0; 4 << 10];
    let read = stream.read(&mut answer).ok()?;
    answer.get(..read)?.starts_with(b"HTTP/1.1 200").then_some(stream)
}
