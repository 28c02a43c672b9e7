//! A program while it runs: started in a process group of its own, told to end, never left behind.
//!
//! The terminal's Ctrl-C goes to the foreground group. The children stand outside of it, so that
//! they end in the order we say and not all at once.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process_group};

use crate::wait;

/// The hidden command that [`Child::start`] runs ahead of the program itself.
pub(crate) const BECOME: &str = "become";

/// A running program.
pub(crate) struct Child {
    pub(crate) name: &'static str,
    process: std::process::Child,
}

/// How [`Child::stop`] went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It ended as asked.
    Itself(ExitStatus),
    /// It did not, and was killed.
    Killed,
}

impl Child {
    /// Starts `program`; `with` adds arguments, environment and redirections.
    ///
    /// Call it on the main thread: Linux ends the child when the *thread* that started it ends.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        with: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let us = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(us);
        command.arg(BECOME).arg(getpid().to_string()).arg(program).process_group(0);
        with(&mut command);
        let process = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name, process })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// Sends a signal to it and all that it started.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        // A number whose process was waited for may be somebody else's by now.
        if self.ended()?.is_some() {
            return Ok(());
        }
        let group = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let group = group.context("a process without a number")?;
        kill_process_group(group, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Asks it to end and waits; kills it after `limit`, or once `enough` says so.
    pub(crate) fn stop(
        &mut self,
        signal: Signal,
        limit: Duration,
        mut enough: impl FnMut() -> bool,
    ) -> Result<Stopped> {
        self.signal(signal)?;
        let ended = wait::until(limit, || {
            let ended = self.ended()?.map(Stopped::Itself);
            Ok(ended.or_else(|| enough().then_some(Stopped::Killed)))
        })?;
        if let Some(Stopped::Itself(status)) = ended {
            return Ok(Stopped::Itself(status));
        }
        self.kill();
        Ok(Stopped::Killed)
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL).ok();
        self.process.wait().ok();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            self.kill();
        }
    }
}

/// Turns this process into the program, tied to the life of the one that started it: even when
/// that one is killed and can say nothing any more, this one is told to end.
pub(crate) fn become_program(arguments: &[OsString]) -> Result<()> {
    let [parent, program, arguments @ ..] = arguments else {
        bail!("{BECOME}: a parent and a program are needed");
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    if getppid().map(|pid| pid.to_string()).as_deref() != parent.to_str() {
        bail!("{} was not started: its parent has gone", program.display());
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| program.display().to_string())
}
