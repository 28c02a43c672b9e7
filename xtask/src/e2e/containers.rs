//! One Compose project: its services up, its containers looked into, nothing of it left.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::house::free_port;
use super::scratch::{Scratch, read};
use crate::command::command;
use crate::wait;

/// A project name of our own: `down --volumes` must never meet somebody's real alerts.
const PROJECT: &str = "webapp-sentinel-e2e";

/// Longest wait for a service to be healthy, in seconds.
const HEALTHY_SECONDS_MAX: &str = "90";

/// Longest wait for what should take a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

/// An image with a shell, which ours have not.
const SHELL_IMAGE: &str = "nginx:1-alpine";

pub(super) struct Containers<'a> {
    scratch: &'a Scratch,
    file: &'static str,
    certs: PathBuf,
    pub(super) port: u16,
    pub(super) http: u16,
    pub(super) https: u16,
}

impl<'a> Containers<'a> {
    /// Of that Compose file. What an interrupted run left is taken away first.
    pub(super) fn new(scratch: &'a Scratch, file: &'static str, certs: PathBuf) -> Result<Self> {
        let (port, http, https) = (free_port()?, free_port()?, free_port()?);
        let containers = Self { scratch, file, certs, port, http, https };
        containers.remove()?;
        Ok(containers)
    }

    fn compose(&self) -> Command {
        let mut command = command("docker");
        command.args(["compose", "--file", self.file, "--project-name", PROJECT]);
        command.env("PORT", self.port.to_string());
        command.env("HTTP_PORT", self.http.to_string()).env("HTTPS_PORT", self.https.to_string());
        command.env("CERTS_DIR", &self.certs).env("RATE_LIMIT_REQUESTS", "1000");
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.compose().args(arguments).output().context("docker compose")?;
        self.words(&format!("docker compose {}", arguments.join(" ")), output)
    }

    /// What a command said on stdout; all that it said is kept for the case that the step fails.
    fn words(&self, what: &str, output: Output) -> Result<String> {
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let path = self.scratch.path("docker.out");
        let log =
            format!("{}$ {what}\n{}{}", read(&path), said(&output.stdout), said(&output.stderr));
        std::fs::write(&path, log).with_context(|| path.display().to_string())?;
        ensure!(output.status.success(), "{what}: {}", output.status);
        Ok(said(&output.stdout).trim().to_owned())
    }

    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let output = command("docker").args(arguments).output().context("docker")?;
        self.words(&format!("docker {}", arguments.join(" ")), output)
    }

    /// Builds the images.
    pub(super) fn build(&self) -> Result<()> {
        self.run(&["build"]).map(drop)
    }

    /// Starts every service and waits until all are healthy.
    pub(super) fn up(&self) -> Result<()> {
        let arguments = ["up", "--detach", "--wait", "--wait-timeout", HEALTHY_SECONDS_MAX];
        let up = self.run(&arguments);
        if up.is_err() {
            self.run(&["logs"]).ok();
        }
        up.map(drop)
    }

    /// Runs a command in a service's container.
    pub(super) fn exec(&self, service: &str, words: &[&str]) -> Result<String> {
        self.run(&[&["exec", "-T", service], words].concat())
    }

    /// A file of the log directory.
    pub(super) fn log(&self, name: &str) -> Result<String> {
        let mount = format!("{PROJECT}_logs:/logs:ro");
        let file = format!("/logs/{name}");
        self.docker(&["run", "--rm", "--volume", &mount, "--entrypoint", "cat", SHELL_IMAGE, &file])
    }

    fn container(&self, service: &str) -> Result<String> {
        self.run(&["ps", "--all", "--quiet", service])
    }

    fn inspect(&self, service: &str, format: &str) -> Result<String> {
        self.docker(&["inspect", "--format", format, &self.container(service)?])
    }

    /// A field of the kernel's account of a service's own process (not of its init).
    pub(super) fn process(&self, service: &str, field: &str) -> Result<String> {
        let init = self.inspect(service, "{{.State.Pid}}")?;
        let children = read(format!("/proc/{init}/task/{init}/children").as_ref());
        let pid = children.split_whitespace().next().context("no process under its init")?;
        let status = read(format!("/proc/{pid}/status").as_ref());
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(line.with_context(|| format!("/proc/{pid}/status: no {field}"))?.trim().to_owned())
    }

    /// Kills a service's own process as a crash would, from a container beside it: `docker kill`
    /// counts as somebody's wish, after which nothing is restarted.
    pub(super) fn crash(&self, service: &str) -> Result<()> {
        let beside = format!("container:{}", self.container(service)?);
        let kill = "kill -9 $(cat /proc/1/task/1/children)";
        let arguments = ["run", "--rm", "--pid", &beside, "--entrypoint", "sh", SHELL_IMAGE];
        self.docker(&[&arguments[..], &["-c", kill]].concat()).map(drop)
    }

    /// Waits until a service has been restarted that often and is healthy again.
    pub(super) fn recovered(&self, service: &str, restarts: &str) -> Result<()> {
        let recovered = wait::until(PATIENCE, || {
            let state = self.inspect(service, "{{.RestartCount}} {{.State.Health.Status}}")?;
            Ok((state == format!("{restarts} healthy")).then_some(()))
        })?;
        recovered.with_context(|| format!("{service} did not come back"))
    }

    /// Stops every service; each must end as asked, with exit status 0.
    pub(super) fn stop(&self, services: &[&str]) -> Result<()> {
        self.run(&["stop"])?;
        for service in services {
            let status = self.inspect(service, "{{.State.ExitCode}}")?;
            ensure!(status == "0", "{service} ended with {status}");
        }
        Ok(())
    }

    /// Takes everything away: containers, networks, volumes, images.
    pub(super) fn remove(&self) -> Result<()> {
        self.run(&["down", "--volumes", "--remove-orphans", "--rmi", "local"]).map(drop)
    }

    /// Takes everything away, and fails when something stays.
    pub(super) fn leave_nothing(&self) -> Result<()> {
        self.remove()?;
        let label = format!("label=com.docker.compose.project={PROJECT}");
        for what in ["container", "volume", "network", "image"] {
            let mut list = vec![what, "ls", "--quiet", "--filter", &label];
            if what == "container" {
                list.push("--all");
            }
            let left = self.docker(&list)?;
            if !left.is_empty() {
                bail!("left behind: {what} {left}");
            }
        }
        Ok(())
    }

    pub(super) fn webapp(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub(super) fn nginx(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.https))
    }
}

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        self.remove().ok();
    }
}
