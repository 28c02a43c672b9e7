//! Lines for the person at the terminal.
//!
//! Not `println!`: it panics when the terminal is gone, and the children must still be ended then.

use std::fmt::Arguments;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};

/// Prints a line, as `println!` does.
macro_rules! say {
    ($($arg:tt)*) => { $crate::say::line(format_args!($($arg)*)) };
}
pub(crate) use say;

/// Prints a line; one that cannot be printed is lost.
pub(crate) fn line(text: Arguments<'_>) {
    let mut out = stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

/// Prints a line on stderr; one that cannot be printed is lost.
pub(crate) fn error(text: &str) {
    writeln!(stderr().lock(), "{text}").ok();
}

/// Whether stdout takes colours: a terminal, and no `NO_COLOR` (<https://no-color.org>).
pub(crate) fn in_colour() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
