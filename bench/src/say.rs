//! Lines for the person at the terminal. `println!` would panic when the terminal is gone.

use std::{
    fmt::Arguments,
    io::{Write as _, stdout},
};

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
