//! Python's packages, in an environment of their own under the target directory: their versions are
//! ours to say, and the system's stay as they are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::command;
use crate::up::target;

/// Succeeds where each argument, `NAME==VERSION`, is installed as it says.
const PROBE: &str = "\
import sys, importlib.metadata as installed
wanted = [requirement.split('==') for requirement in sys.argv[1:]]
sys.exit(any(installed.version(name) != version for name, version in wanted))";

/// A program of the environment.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target()?.join("python/bin").join(name))
}

/// Whether all of them are there, in these versions.
pub(crate) fn holds(requirements: &[&str]) -> bool {
    let Ok(python) = program("python") else { return false };
    let mut probe = Command::new(python);
    probe.args(["-c", PROBE]).args(requirements).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Makes the environment anew, with these and what they need.
pub(crate) fn install(requirements: &[&str]) -> Result<()> {
    let directory = target()?.join("python");
    let mut environment = command("python3");
    environment.args(["-m", "venv", "--clear"]).arg(directory);
    let mut packages = Command::new(program("python")?);
    packages.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    packages.args(requirements);
    for (name, mut command) in [("python3 -m venv", environment), ("pip install", packages)] {
        let status = command.status().context(name)?;
        if !status.success() {
            bail!("{name}: {status}");
        }
    }
    Ok(())
}
