//! `cargo xtask bench`: a program and the one that measures it, built as users run them, and run.

use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::child::Child;
use crate::say::say;
use crate::stop::Stop;
use crate::up::{Woken, build, program};
use crate::wait;

/// Longest wait until it ends when asked; what it has started ends with it.
const END_MAX: Duration = Duration::from_secs(5);

/// Measures what is named.
pub(crate) fn run(name: &str) -> Result<()> {
    let mut stop = Stop::listen()?;
    let measured = if name == "latency" { "sentinel" } else { "webapp" };
    say!("building {measured} and bench");
    if let Woken::Asked = build(&mut stop, &[measured, "bench"])? {
        return Ok(());
    }
    let mut bench = Child::start("bench", &program("bench")?, |command| {
        command.arg(name);
    })?;
    let ended = wait::until(Duration::MAX, || {
        if stop.asked() {
            bench.stop(Signal::TERM, END_MAX, || stop.asked())?;
            return Ok(Some(None));
        }
        Ok(bench.ended()?.map(Some))
    })?;
    match ended.flatten() {
        Some(status) if !status.success() => bail!("bench {name}: {status}"),
        _ => Ok(()),
    }
}
