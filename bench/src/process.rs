//! A command in; what it costs the machine, and its end, out.

use std::{
    fs,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A program that is killed when dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts it; what it says on stdout can be read.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<(Self, ChildStdout)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let stdout = child.stdout.take();
        let process = Self { name, child };
        Ok((process, stdout.context("no stdout")?))
    }

    /// CPU time of all its threads until now, the kernel's on its behalf too. `utime` and `stime` of
    /// `stat` are the same, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let threads = format!("/proc/{}/task", self.child.id());
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
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .with_context(|| format!("{}: no VmRSS", self.name))?;
        Ok(kib.trim().parse::<u64>()? * 1_024)
    }

    /// Fails if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("a process without a number")?, Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{}: {status}", self.name);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is not signalled again: `std` knows.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program that was built beside this one, without the variables of whoever runs it.
pub(crate) fn built(name: &str) -> Result<Command> {
    let program = std::env::current_exe().context("finding this program")?.with_file_name(name);
    ensure!(program.exists(), "{}: build it first (cargo xtask bench)", program.display());
    let mut command = Command::new(program);
    command.env_clear();
    Ok(command)
}
