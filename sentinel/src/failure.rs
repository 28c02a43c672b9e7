//! What is said to whoever started sentinel: why a command ends early, and with which exit code.

use std::{
    fmt,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

/// What went wrong, for whoever started the command: one message that says what, where and what to
/// do.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// A test or an expectation failed: exit code 1.
    Expectation(String),
    /// Bad usage, rules or settings: exit code 2.
    Usage(String),
    /// A directory, a file or a socket cannot be used: exit code 3.
    Io(String),
}

impl Failure {
    /// An I/O failure while doing something with a path.
    pub fn at(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Io(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Expectation(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Io(_) => ExitCode::from(3),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expectation(message) | Self::Usage(message) | Self::Io(message) => {
                f.write_str(message)
            }
        }
    }
}

/// Says something on standard error, each line with the program's name before it.
pub fn say(message: &str) {
    let said: String = message.lines().map(|line| format!("sentinel: {line}\n")).collect();
    // Nobody may be reading any more, and that must not end the daemon.
    drop(io::stderr().write_all(said.as_bytes()));
}
