//! `cargo up`: both programs built, started and watched until somebody asks them to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::child::{Child, Stopped};
use crate::follow::{Follow, readable};
use crate::http::{self, Address};
use crate::say::{in_colour, say};
use crate::site::Site;
use crate::stop::Stop;
use crate::wait::{self, Stopwatch};

/// Longest wait until a program answers.
const READY_MAX: Duration = Duration::from_secs(30);

/// Longest wait until a program ends; webapp lets its requests finish, sentinel reads to the end.
const END_MAX: Duration = Duration::from_secs(30);

/// Builds, starts, follows; returns when both have ended because somebody asked.
pub(crate) fn run() -> Result<()> {
    let mut stop = Stop::listen()?;
    let site = Site::read(|name| std::env::var_os(name))?;
    site.check_free()?;

    say!("building webapp and sentinel");
    if let Woken::Asked = build(&mut stop, &["webapp", "sentinel"])? {
        return Ok(());
    }
    let log_dir = &site.log_dir;
    std::fs::create_dir_all(log_dir).with_context(|| log_dir.display().to_string())?;
    let mut house = House { stop, news: Follow::from_end(site.alerts.clone()), children: vec![] };
    let lived = house.open(&site).and_then(|woken| match woken {
        Woken::Ready => house.watch(),
        Woken::Asked => Ok(()),
    });
    // Whatever happened, what runs is ended; what happened first is what is told.
    let ended = house.close();
    lived.and(ended)
}

/// Builds these packages in release.
pub(crate) fn build(stop: &mut Stop, packages: &[&str]) -> Result<Woken> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Child::start("cargo", Path::new(&cargo), |command| {
        command.args(["build", "--release"]);
        command.args(packages.iter().flat_map(|package| ["--package", package]));
    })?;
    let woken = wait::until(Duration::MAX, || {
        if stop.asked() {
            cargo.stop(Signal::TERM, END_MAX, || stop.asked())?;
            return Ok(Some(Woken::Asked));
        }
        match cargo.ended()? {
            None => Ok(None),
            Some(status) if status.success() => Ok(Some(Woken::Ready)),
            Some(status) => bail!("cargo build: {status}"),
        }
    })?;
    woken.context("cargo build takes for ever")
}

/// The program of that name that [`build`] made: beside this one's directory, for release.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target()?.join("release").join(name))
}

/// The target directory.
pub(crate) fn target() -> Result<PathBuf> {
    let us = std::env::current_exe().context("finding this program")?;
    let target = us.parent().and_then(Path::parent).context("not in a target directory")?;
    Ok(target.to_owned())
}

/// Why a wait is over.
pub(crate) enum Woken {
    /// What was waited for is there.
    Ready,
    /// Somebody asked us to end.
    Asked,
}

/// What runs, in the order it was started.
struct House {
    stop: Stop,
    news: Follow,
    children: Vec<Child>,
}

impl House {
    /// sentinel first: it is to see the first request.
    fn open(&mut self, site: &Site) -> Result<Woken> {
        let watch = Stopwatch::start();
        say!("starting sentinel: {}, {}/", site.rules.display(), site.log_dir.display());
        self.children.push(Child::start("sentinel", &program("sentinel")?, |command| {
            command.args(site.sentinel_arguments()).stdin(std::process::Stdio::null());
        })?);
        if let Woken::Asked = self.ready("sentinel", &site.sentinel(), "/readyz")? {
            return Ok(Woken::Asked);
        }
        let address = site.webapp();
        say!("starting webapp: http://{address}/");
        self.children.push(Child::start("webapp", &program("webapp")?, |command| {
            command.args(site.webapp_arguments()).stdin(std::process::Stdio::null());
        })?);
        if let Woken::Asked = self.ready("webapp", &Address::Tcp(address), "/health")? {
            return Ok(Woken::Asked);
        }
        say!("ready in {:.1} s", watch.elapsed().as_secs_f64());
        say!("");
        for (path, what) in [
            ("/", "the service"),
            ("/alerts", "recent alerts"),
            ("/csrf-token", "a token for POST"),
            ("/health", "liveness"),
        ] {
            say!("  {:<40} {what}", format!("http://{address}{path}"));
        }
        say!("");
        say!("alerts follow; Ctrl-C ends both");
        Ok(Woken::Ready)
    }

    /// Waits until the program answers 200.
    fn ready(&mut self, name: &str, at: &Address, path: &str) -> Result<Woken> {
        let woken = wait::until(READY_MAX, || {
            if self.is_over()? {
                return Ok(Some(Woken::Asked));
            }
            let is_ready = http::get(at, path).is_ok_and(|answer| answer.status == 200);
            Ok(is_ready.then_some(Woken::Ready))
        })?;
        woken.with_context(|| format!("{name} is not ready after {} s", READY_MAX.as_secs()))
    }

    /// Shows alerts until somebody asks us to end.
    fn watch(&mut self) -> Result<()> {
        wait::until(Duration::MAX, || {
            show(&mut self.news);
            Ok(self.is_over()?.then_some(()))
        })?;
        Ok(())
    }

    /// Whether somebody asked us to end; fails when a program has ended unasked.
    fn is_over(&mut self) -> Result<bool> {
        if self.stop.asked() {
            return Ok(true);
        }
        for child in &mut self.children {
            if let Some(status) = child.ended()? {
                bail!("{} ended by itself: {status}", child.name);
            }
        }
        Ok(false)
    }

    /// Ends the last started first, so that sentinel reads webapp's last record too.
    fn close(mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(mut child) = self.children.pop() {
            let name = child.name;
            if let Ok(Some(_)) = child.ended() {
                continue;
            }
            say!("stopping {name}");
            let stopped = child.stop(Signal::TERM, END_MAX, || {
                show(&mut self.news);
                self.stop.asked() // A second Ctrl-C: enough waiting.
            });
            result = result.and(match stopped {
                Ok(Stopped::Itself(status)) if status.success() => Ok(()),
                Ok(Stopped::Itself(status)) => Err(anyhow::anyhow!("{name}: {status}")),
                Ok(Stopped::Killed) => Err(anyhow::anyhow!("{name} did not end and was killed")),
                Err(error) => Err(error),
            });
        }
        show(&mut self.news);
        result
    }
}

fn show(news: &mut Follow) {
    news.read(|line| say!("{}", readable(line, in_colour())));
}
