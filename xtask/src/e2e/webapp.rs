//! A webapp alone, over a log directory of its own; how many requests it was sent is known.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::scratch::{Scratch, read};
use crate::child::{Child, Stopped};
use crate::up::program;
use crate::wait;

/// Longest wait for a start or an end.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Webapp {
    child: Child,
    log_dir: PathBuf,
    pub(super) address: SocketAddr,
}

impl Webapp {
    /// Starts it on a port that it chooses; takes no other word of its being ready than its own.
    pub(super) fn start(
        scratch: &Scratch,
        name: &'static str,
        log_dir: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let (out, err) = scratch.output(name)?;
        let mut child = Child::start("webapp", &program("webapp")?, |command| {
            command.arg("--log-dir").arg(log_dir).args(["--host", "127.0.0.1", "--port", "0"]);
            command.args(arguments).stdout(out).stderr(err);
        })?;
        let listening = wait::until(PATIENCE, || {
            if let Some(status) = child.ended()? {
                bail!("webapp ended: {status}");
            }
            let said = scratch.said(name);
            let address = said.lines().find_map(|line| line.split_once("listening on http://"));
            Ok(address.map(|(_, address)| address.trim().parse()))
        })?;
        let address = listening.context("webapp says no word")?.context("no address")?;
        Ok(Self { child, log_dir: log_dir.to_owned(), address })
    }

    /// Memory that it really has, in bytes.
    pub(super) fn resident(&self) -> Result<u64> {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kilobytes: u64 = kilobytes.context("no VmRSS")?.trim().parse()?;
        Ok(kilobytes << 10)
    }

    /// Every record of a log, rotated ones too, oldest first. Fails where a line is none.
    pub(super) fn records(&self, log: &str, mut each: impl FnMut(Value)) -> Result<()> {
        let rotated = (1..=5).rev().map(|n| format!("{log}.log.{n}"));
        for name in rotated.chain([format!("{log}.log")]) {
            let path = self.log_dir.join(&name);
            if !path.exists() {
                continue;
            }
            let text = fs::read_to_string(&path).with_context(|| name.clone())?;
            ensure!(text.is_empty() || text.ends_with('\n'), "{name} ends in the middle of a line");
            for (number, line) in text.lines().enumerate() {
                each(
                    serde_json::from_str(line)
                        .with_context(|| format!("{name}:{}: {:.100}", number + 1, line))?,
                );
            }
        }
        Ok(())
    }

    /// The `event.sequence` of every record of a log, sorted: writers draw numbers before they queue.
    pub(super) fn sequences(&self, log: &str) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        self.records(log, |record| numbers.extend(record["event.sequence"].as_u64()))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Asks it to end; returns when it has.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.child.stop(Signal::TERM, PATIENCE, || false)? {
            Stopped::Itself(status) => ensure!(status.success(), "webapp ended: {status}"),
            Stopped::Killed => bail!("webapp does not end"),
        }
        Ok(())
    }
}
