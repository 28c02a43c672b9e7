//! A program to start in; its address, and what it costs the machine, out.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::bare;

/// A server of its own process, killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    name: &'static str,
    process: Child,
}

impl Server {
    /// The webapp that was built beside this program, with its logs and its secret in `dir` and
    /// otherwise its defaults, but for these variables.
    pub(crate) fn webapp(dir: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let program = beside("webapp")?;
        ensure!(program.exists(), "{}: build it first (cargo xtask bench)", program.display());
        let secret = dir.join("secret");
        fs::write(&secret, [b'x'; 32])?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("CSRF_SECRET_FILE", secret)
            .env("PORT", "0")
            .env("LOG_DIR", dir)
            .envs(variables.iter().copied())
            .current_dir(dir);
        Self::start("webapp", command)
    }

    /// warp alone.
    pub(crate) fn bare() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg(bare::NAME);
        Self::start("bare warp", command)
    }

    /// Returns when it says where it listens.
    fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let stdout = process.stdout.take();
        let mut server = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), name, process };
        let mut line = String::new();
        BufReader::new(stdout.context("no stdout")?).read_line(&mut line)?;
        let (_, address) = line
            .trim_end()
            .split_once("http://")
            .with_context(|| format!("{name} did not say where it listens: {line:?}"))?;
        server.address = address.parse().with_context(|| format!("{name}: {address:?}"))?;
        Ok(server)
    }

    /// CPU time of all its threads until now, the kernel's on its behalf too. `utime` and `stime` of
    /// `stat` are the same, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let threads = format!("/proc/{}/task", self.process.id());
        let mut nanos = 0;
        for thread in fs::read_dir(&threads).with_context(|| threads.clone())? {
            let path = thread?.path().join("schedstat");
            let stat = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let ran =
                stat.split_ascii_whitespace().next().and_then(|first| first.parse::<u64>().ok());
            nanos += ran.with_context(|| format!("{}: {stat:?}", path.display()))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Bytes of memory that are in use.
    pub(crate) fn memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .with_context(|| format!("{}: no VmRSS", self.name))?;
        Ok(kib.trim().parse::<u64>()? * 1_024)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("a process without a number")?, Signal::TERM)?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("{}: {status}", self.name);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is not signalled again: `std` knows.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn beside(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("finding this program")?;
    Ok(us.with_file_name(name))
}
