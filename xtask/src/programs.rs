//! Programs that end-to-end checks need: which are missing, and how to get them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::say::say;

/// A program that is not ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    name: &'static str,
    /// Succeeds where it is there and works.
    probe: &'static [&'static str],
    /// Its package in Debian, where one package is enough.
    package: Option<&'static str>,
    advice: &'static str,
}

pub(crate) const NGINX: Program = Program {
    name: "nginx",
    probe: &["nginx", "-v"],
    package: Some("nginx"),
    advice: "Debian: apt-get install nginx",
};

pub(crate) const OPENSSL: Program = Program {
    name: "openssl",
    probe: &["openssl", "version"],
    package: Some("openssl"),
    advice: "Debian: apt-get install openssl",
};

pub(crate) const DOCKER: Program = Program {
    name: "docker, with an engine that answers",
    probe: &["docker", "info"],
    package: Some("docker.io"),
    advice: "Debian: apt-get install docker.io; then start dockerd, and be root or in its group",
};

pub(crate) const COMPOSE: Program = Program {
    name: "docker compose 2.24 or later",
    probe: &["docker", "compose", "version"],
    package: None,
    advice: "Debian 13: apt-get install docker-compose; else https://docs.docker.com/compose/install",
};

pub(crate) const BUILDX: Program = Program {
    name: "docker buildx",
    probe: &["docker", "buildx", "version"],
    package: None,
    advice: "Debian 13: apt-get install docker-buildx; else https://docs.docker.com/build/install-buildx",
};

/// Fails, naming every program that is missing, after the attempt to install them if `install`.
pub(crate) fn check(needed: &[&'static Program], install: bool) -> Result<()> {
    let missing = |programs: &[&'static Program]| -> Vec<&'static Program> {
        programs.iter().copied().filter(|program| !program.is_here()).collect()
    };
    let mut lacking = missing(needed);
    if install && !lacking.is_empty() {
        install_packages(&lacking)?;
        lacking = missing(&lacking);
    }
    for program in &lacking {
        say!("missing: {} ({})", program.name, program.advice);
    }
    match lacking.len() {
        0 => Ok(()),
        _ if install => bail!("programs are missing that could not be installed"),
        _ => bail!("programs are missing; as root on Debian, --install fetches them"),
    }
}

impl Program {
    fn is_here(&self) -> bool {
        let [program, arguments @ ..] = self.probe else { return false };
        let status =
            command(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

/// A command by name. Debian keeps nginx where only root looks, so that is looked through as well.
pub(crate) fn command(name: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    Command::new(found.map_or_else(|| OsString::from(name), PathBuf::into_os_string))
}

fn install_packages(programs: &[&'static Program]) -> Result<()> {
    if !Path::new("/etc/debian_version").exists() || !rustix::process::geteuid().is_root() {
        bail!("--install works on Debian, as root");
    }
    let packages: Vec<_> = programs.iter().filter_map(|program| program.package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    say!("installing {}", packages.join(", "));
    for arguments in [&["update", "-qq"][..], &["install", "-yqq", "--no-install-recommends"]] {
        let mut apt = command("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        if arguments.contains(&"install") {
            apt.args(&packages);
        }
        let status = apt.status().context("apt-get")?;
        if !status.success() {
            bail!("apt-get {}: {status}", arguments.join(" "));
        }
    }
    Ok(())
}
