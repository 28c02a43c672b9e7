//! One setting as written in; its value, or a fault and the default, out.

use std::{fs, io, time::Duration};

use super::fault::Faults;
use crate::origin::Origin;

/// What was written, or nothing where a variable is set but empty, as Compose files leave them.
pub(super) fn text(written: &Option<String>) -> Option<&str> {
    written.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

pub(super) fn number<N: TryFrom<u64>>(
    faults: &mut Faults,
    variable: &'static str,
    written: &Option<String>,
    default: N,
    min: u64,
    max: u64,
) -> N {
    let Some(text) = text(written) else { return default };
    // `parse` alone would take `+3`.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| digits && (min..=max).contains(n));
    if let Some(number) = number.and_then(|n| N::try_from(n).ok()) {
        return number;
    }
    let wrong = if digits { "is out of bounds" } else { "is not a whole number" };
    faults.add(
        variable,
        format!("{} {wrong}", quoted(text)),
        format!("write a whole number from {min} to {max}"),
    );
    default
}

pub(super) fn seconds(
    faults: &mut Faults,
    variable: &'static str,
    written: &Option<String>,
    default: u64,
    max: u64,
) -> Duration {
    Duration::from_secs(number(faults, variable, written, default, 1, max))
}

pub(super) fn switch(
    faults: &mut Faults,
    variable: &'static str,
    written: &Option<String>,
) -> bool {
    match text(written).map(str::to_ascii_lowercase).as_deref() {
        None | Some("0" | "false" | "no" | "off") => false,
        Some("1" | "true" | "yes" | "on") => true,
        Some(other) => {
            faults.add(
                variable,
                format!("{} is neither on nor off", quoted(other)),
                "write 1 or 0 (true, false, yes, no, on, off will do)",
            );
            false
        }
    }
}

/// Most bytes of a file that a setting names.
const FILE_BYTES_MAX: u64 = 65_536;

pub(super) fn file(faults: &mut Faults, variable: &'static str, path: &str) -> Option<String> {
    read(path)
        .inspect_err(|error| {
            faults.add(
                variable,
                format!("cannot read {}: {error}", quoted(path)),
                "name a readable text file",
            );
        })
        .ok()
}

/// A pipe that nobody writes to would hold up the start, and so would a device without an end.
fn read(path: &str) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    fs::read_to_string(path)
}

pub(super) fn list(written: &Option<String>) -> impl Iterator<Item = &str> {
    text(written).unwrap_or("").split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// The offending text, short enough to read and without control characters.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

pub(super) fn origin(faults: &mut Faults, variable: &'static str, text: &str) -> Option<Origin> {
    Origin::parse(text)
        .inspect_err(|wrong| {
            faults.add(
                variable,
                format!("{}: {wrong}", quoted(text)),
                "write scheme://host[:port] as browsers do, for example https://app.example",
            );
        })
        .ok()
}
