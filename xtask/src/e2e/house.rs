//! A running `cargo up`, over a directory and a port of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use super::scratch::{Scratch, read};
use crate::child::Child;
use crate::http::{self, Address, Answer};
use crate::wait::{self, Stopwatch};

/// Longest wait for a start or an end.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct House<'a> {
    scratch: &'a Scratch,
    xtask: Child,
    /// Under which its words are kept.
    name: &'static str,
    pub(super) webapp: Address,
    pub(super) sentinel: Address,
    pub(super) ready_after: Duration,
}

impl<'a> House<'a> {
    /// Starts it and waits until it says that it is ready.
    pub(super) fn open(scratch: &'a Scratch, name: &'static str, port: u16) -> Result<Self> {
        Self::open_with(scratch, name, port, &[])
    }

    /// The same with settings of its own.
    pub(super) fn open_with(
        scratch: &'a Scratch,
        name: &'static str,
        port: u16,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let watch = Stopwatch::start();
        let mut house = Self::start_with(scratch, name, port, settings)?;
        let ready = wait::until(PATIENCE, || {
            if let Some(status) = house.xtask.ended()? {
                bail!("cargo up ended before it was ready: {status}");
            }
            Ok(scratch.said(name).contains("ready in").then_some(()))
        })?;
        ready.context("cargo up was not ready in time")?;
        house.ready_after = watch.elapsed();
        Ok(house)
    }

    /// Starts it.
    pub(super) fn start(scratch: &'a Scratch, name: &'static str, port: u16) -> Result<Self> {
        Self::start_with(scratch, name, port, &[])
    }

    fn start_with(
        scratch: &'a Scratch,
        name: &'static str,
        port: u16,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let log_dir = scratch.path("logs");
        let us = std::env::current_exe()?;
        let (out, err) = scratch.output(name)?;
        let xtask = Child::start("cargo up", &us, |command| {
            command.arg("up").stdout(out).stderr(err);
            // What is set for this run must not lead it to somebody's real logs.
            for variable in
                ["HOST", "LISTEN_SOCKET", "SENTINEL_RULES", "SENTINEL_ALERTS", "SENTINEL_STATE_DIR"]
            {
                command.env_remove(variable);
            }
            command.env_remove("SENTINEL_SOCKET").env_remove("ALERTS_TOKEN_FILE");
            command.env("PORT", port.to_string()).env("LOG_DIR", &log_dir);
            // The checks send more than a client may.
            command.env("RATE_LIMIT_REQUESTS", "1000").envs(settings.iter().copied());
        })?;
        Ok(Self {
            scratch,
            xtask,
            name,
            webapp: Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            sentinel: Address::Unix(log_dir.join(".sentinel/sentinel.sock")),
            ready_after: Duration::ZERO,
        })
    }

    pub(super) fn get(&self, target: &str) -> Result<Answer> {
        http::get(&self.webapp, target)
    }

    /// The text of a file in its log directory.
    pub(super) fn log(&self, name: &str) -> String {
        read(&self.log_path(name))
    }

    pub(super) fn log_path(&self, name: &str) -> PathBuf {
        self.scratch.path("logs").join(name)
    }

    pub(super) fn said(&self) -> String {
        self.scratch.said(self.name)
    }

    /// The number of the process of that name that it started.
    pub(super) fn process(&self, name: &str) -> Result<u32> {
        let mut found = processes()?.into_iter().filter(|p| p.parent == self.xtask.id());
        let found = found.find(|p| p.name == name).map(|p| p.id);
        found.with_context(|| format!("no process {name}"))
    }

    /// Ends `cargo up` in a way that leaves it nothing to say or do.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.xtask.signal(Signal::KILL)
    }

    /// Sends a signal to `cargo up` and waits until it has ended and nothing is left.
    pub(super) fn end(mut self, signal: Signal) -> Result<ExitStatus> {
        let ours = [self.xtask.id(), self.process("webapp")?, self.process("sentinel")?];
        self.xtask.signal(signal)?;
        self.ended(&ours)
    }

    /// Waits until it has ended of itself, and with it the processes of those numbers.
    pub(super) fn ended(&mut self, ours: &[u32]) -> Result<ExitStatus> {
        let status = wait::until(PATIENCE, || self.xtask.ended())?;
        let status = status.context("cargo up did not end")?;
        let gone = wait::until(PATIENCE, || {
            Ok(processes()?.iter().all(|p| !ours.contains(&p.id)).then_some(()))
        })?;
        ensure!(gone.is_some(), "a process was left behind");
        Ok(status)
    }
}

/// A port of 127.0.0.1 that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

struct Process {
    id: u32,
    parent: u32,
    name: String,
}

/// Every process of this machine, as /proc shows them.
fn processes() -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").context("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let status = read(&entry.path().join("status"));
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let (Some(name), Some(parent)) = (field("Name:"), field("PPid:")) {
            let parent = parent.parse().unwrap_or_default();
            processes.push(Process { id, parent, name: name.to_owned() });
        }
    }
    Ok(processes)
}
