//! Programs that end-to-end checks need: which are missing, and how to get them.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::command::command;
use crate::python;
use crate::say::say;

/// A program that is not ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    name: &'static str,
    source: Source,
    advice: &'static str,
}

/// Where a program comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// The system.
    System {
        /// Succeeds where it is there and works.
        probe: &'static [&'static str],
        /// Its package in Debian, where one package is enough.
        package: Option<&'static str>,
    },
    /// Packages of Python, `NAME==VERSION`.
    Python(&'static [&'static str]),
}

pub(crate) const NGINX: Program = Program {
    name: "nginx",
    source: Source::System { probe: &["nginx", "-v"], package: Some("nginx") },
    advice: "Debian: apt-get install nginx",
};

pub(crate) const OPENSSL: Program = Program {
    name: "openssl",
    source: Source::System { probe: &["openssl", "version"], package: Some("openssl") },
    advice: "Debian: apt-get install openssl",
};

pub(crate) const DOCKER: Program = Program {
    name: "docker, with an engine that answers",
    source: Source::System { probe: &["docker", "info"], package: Some("docker.io") },
    advice: "Debian: apt-get install docker.io; then start dockerd, and be root or in its group",
};

pub(crate) const COMPOSE: Program = Program {
    name: "docker compose 2.24 or later",
    source: Source::System { probe: &["docker", "compose", "version"], package: None },
    advice: "Debian 13: apt-get install docker-compose; else https://docs.docker.com/compose/install",
};

pub(crate) const BUILDX: Program = Program {
    name: "docker buildx",
    source: Source::System { probe: &["docker", "buildx", "version"], package: None },
    advice: "Debian 13: apt-get install docker-buildx; else https://docs.docker.com/build/install-buildx",
};

/// No program, but needed like one: who may mount a small disk.
pub(crate) const ROOT: Program = Program {
    name: "root, who may mount a file system",
    source: Source::System { probe: &["unshare", "--mount", "true"], package: None },
    advice: "run it as root, in a container with CAP_SYS_ADMIN",
};

pub(crate) const CHROMIUM: Program = Program {
    name: "chromium",
    source: Source::System { probe: &["chromium", "--version"], package: Some("chromium") },
    advice: "Debian: apt-get install chromium",
};

pub(crate) const PYTHON: Program = Program {
    name: "python3 with venv",
    source: Source::System {
        probe: &["python3", "-c", "import ensurepip, venv"],
        package: Some("python3-venv"),
    },
    advice: "Debian: apt-get install python3-venv",
};

/// The validator's and the generator's versions are said too: the same seed sends the same requests.
pub(crate) const SCHEMATHESIS: Program = Program {
    name: "schemathesis 4.32.5",
    source: Source::Python(&[
        "schemathesis==4.32.5",
        "hypothesis==6.170.17",
        "openapi-spec-validator==0.9.0",
    ]),
    advice: "--install puts it below the target directory, with python3",
};

/// Fails, naming every program that is missing, after the attempt to install them if `install`.
pub(crate) fn check(needed: &[&'static Program], install: bool) -> Result<()> {
    let missing = |programs: &[&'static Program]| -> Vec<&'static Program> {
        programs.iter().copied().filter(|program| !program.is_here()).collect()
    };
    let mut lacking = missing(needed);
    if install && !lacking.is_empty() {
        install_packages(&lacking)?;
        for program in &lacking {
            if let Source::Python(requirements) = program.source {
                say!("installing {}", program.name);
                python::install(requirements)?;
            }
        }
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
        let probe = match self.source {
            Source::System { probe, .. } => probe,
            Source::Python(requirements) => return python::holds(requirements),
        };
        let [program, arguments @ ..] = probe else { return false };
        let status =
            command(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

fn install_packages(programs: &[&'static Program]) -> Result<()> {
    let package = |program: &&Program| match program.source {
        Source::System { package, .. } => package,
        Source::Python(_) => None,
    };
    let packages: Vec<_> = programs.iter().filter_map(package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if !Path::new("/etc/debian_version").exists() || !rustix::process::geteuid().is_root() {
        bail!("--install works on Debian, as root");
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
