//! A server to start in; the address that it answers at out.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    bare,
    process::{self, Process},
};

/// A server of its own process, killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Server {
    /// The webapp that was built beside this program, with its logs and its secret in `dir` and
    /// otherwise its defaults, but for these variables.
    pub(crate) fn webapp(dir: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let secret = dir.join("secret");
        fs::write(&secret, [b'x'; 32])?;
        let mut command = process::built("webapp")?;
        command
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
        let (process, stdout) = Process::start(name, &mut command)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let (_, address) = line
            .trim_end()
            .split_once("http://")
            .with_context(|| format!("{name} did not say where it listens: {line:?}"))?;
        let address = address.parse().with_context(|| format!("{name}: {address:?}"))?;
        Ok(Self { address, process })
    }
}
