//! The name of a program that is not ours in; a command that runs it out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// A command by name. Debian keeps nginx where only root looks, so that is looked through as well.
pub(crate) fn command(name: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    Command::new(found.map_or_else(|| OsString::from(name), PathBuf::into_os_string))
}
