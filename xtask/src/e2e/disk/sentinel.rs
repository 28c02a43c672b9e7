//! A disk that fills under alerts.log or under the state: sentinel says so, the logs are the queue,
//! and with space again, or killed while it is full and started again, each alert stands once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::Disk;
use crate::child::{Child, Stopped};
use crate::e2e::check;
use crate::e2e::scratch::{Scratch, read};
use crate::http::{self, Address};
use crate::up::program;
use crate::wait;

/// One alert for each line.
const RULES: &str = r#"version = 1
[[rule]]
id = "line"
title = "A line"
level = "low"
match = { n = { exists = true } }
group_by = ["n"]
message = "{n}"
cooldown = "0s"
"#;

/// Room for a snapshot and some alerts.
const LEFT_BYTES: u64 = 128 << 10;

/// Lines whose alerts do not fit there.
const LINES: u32 = 1_000;

/// Longest wait for a start, an end, or an outcome.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(scratch: &Scratch) -> Result<()> {
    try_disk(scratch, "alerts", "alerts.log")?;
    try_disk(scratch, "state", "state")
}

/// `full` names the file or directory that is on the small disk.
fn try_disk(scratch: &Scratch, name: &'static str, full: &str) -> Result<()> {
    let place = scratch.directory(name)?;
    let disk = Disk::mount(scratch.directory(&format!("{name}/disk"))?)?;
    let on_disk = |it: &str| if it == full { disk.0.join(it) } else { place.join(it) };
    fs::write(place.join("rules.toml"), RULES)?;
    let mut sentinel = Sentinel {
        scratch,
        name,
        logs: scratch.directory(&format!("{name}/logs"))?,
        rules: place.join("rules.toml"),
        alerts: on_disk("alerts.log"),
        state: on_disk("state"),
        socket: place.join("socket"),
        lines: 0,
    };
    disk.fill(LEFT_BYTES)?;
    let mut child = sentinel.start()?;

    check(&format!("sentinel says that the disk of {full} is full"), || {
        sentinel.write(LINES)?;
        sentinel.is_stopped(true, full)?;
        // It waits in the logs.
        sentinel.write(LINES)
    })?;
    check("with space again each alert stands once", || {
        disk.empty()?;
        sentinel.is_stopped(false, full)?;
        sentinel.account()
    })?;
    check("so it does when sentinel is killed on the full disk, and started there", || {
        disk.fill(0)?;
        sentinel.write(LINES)?;
        sentinel.is_stopped(true, full)?;
        child.signal(Signal::KILL)?;
        wait::until(PATIENCE, || child.ended())?.context("it does not end")?;
        let mut started = sentinel.spawn()?;
        let ended = wait::until(PATIENCE, || started.ended())?.context("it starts")?;
        ensure!(ended.code() == Some(3), "it ended with {ended}");
        disk.empty()?;
        child = sentinel.start()?;
        sentinel.account()
    })?;
    match child.stop(Signal::TERM, PATIENCE, || false)? {
        Stopped::Itself(status) => ensure!(status.success(), "sentinel ended: {status}"),
        Stopped::Killed => bail!("sentinel does not end"),
    }
    Ok(())
}

struct Sentinel<'a> {
    scratch: &'a Scratch,
    name: &'static str,
    logs: PathBuf,
    rules: PathBuf,
    alerts: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    lines: u32,
}

impl Sentinel<'_> {
    fn spawn(&self) -> Result<Child> {
        let (out, err) = self.scratch.output(self.name)?;
        Child::start("sentinel", &program("sentinel")?, |command| {
            command.arg("--rules").arg(&self.rules).arg("--log-dir").arg(&self.logs);
            command.arg("--alerts").arg(&self.alerts).arg("--state-dir").arg(&self.state);
            command.arg("--socket").arg(&self.socket).stdout(out).stderr(err);
        })
    }

    fn start(&self) -> Result<Child> {
        let mut child = self.spawn()?;
        let ready = wait::until(PATIENCE, || {
            if let Some(status) = child.ended()? {
                bail!("sentinel ended: {status}");
            }
            let answer = http::get(&self.address(), "/readyz");
            Ok(answer.is_ok_and(|answer| answer.status == 200).then_some(()))
        })?;
        ready.context("sentinel is not ready")?;
        Ok(child)
    }

    fn address(&self) -> Address {
        Address::Unix(self.socket.clone())
    }

    fn write(&mut self, lines: u32) -> Result<String> {
        let numbers = self.lines..self.lines + lines;
        let text: String = numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect();
        let mut log = File::options().create(true).append(true).open(self.logs.join("a.log"))?;
        log.write_all(text.as_bytes())?;
        self.lines += lines;
        Ok(format!("{} lines", self.lines))
    }

    /// Waits until it says so, naming the place.
    fn is_stopped(&self, stopped: bool, place: &str) -> Result<()> {
        let mut last = Value::Null;
        let said = wait::until(PATIENCE, || {
            let status: Value =
                serde_json::from_str(&http::get(&self.address(), "/v1/status")?.body)?;
            last = status["stopped_by"].clone();
            Ok((last.is_string() == stopped).then_some(()))
        })?;
        said.with_context(|| format!("it says {last}"))?;
        let names = last.as_str().is_none_or(|said| said.contains(place));
        ensure!(names, "it does not name {place}: {last}");
        Ok(())
    }

    /// Waits for as many alerts as there are lines: each line's, once.
    fn account(&self) -> Result<String> {
        let mut text = String::new();
        let all = wait::until(PATIENCE, || {
            text = read(&self.alerts);
            Ok((text.lines().count() >= self.lines as usize).then_some(()))
        })?;
        all.with_context(|| format!("{} alerts of {}", text.lines().count(), self.lines))?;
        let mut told = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()) {
            let alert: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            ensure!(alert["seq"] == number, "number {} is the {number}th", alert["seq"]);
            told.insert(alert["message"].to_string());
        }
        ensure!(
            told.len() == self.lines as usize,
            "{} alerts are of {} lines",
            self.lines,
            told.len()
        );
        Ok(format!("{} alerts", told.len()))
    }
}
