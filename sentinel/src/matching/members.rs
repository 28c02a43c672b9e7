//! A raw line of JSON → the values of the fields that are asked for, without reading the rest.
//!
//! Only of a line without escapes and without objects in the object: there `"name"` is a string of
//! its own wherever it stands, before a colon it is a key, and no path leads to it but the name.

use std::borrow::Cow;

use memchr::{memchr_iter, memmem::Finder};

use super::number;
use crate::decode::{self, Format};

/// What was looked up.
pub(super) struct Members<'l> {
    line: &'l [u8],
    /// By name: whether it was looked for.
    looked: Vec<bool>,
    /// (name, value): none for one that may be anything.
    found: Vec<(usize, Option<Cow<'l, str>>)>,
}

impl<'l> Members<'l> {
    /// None for a line of another kind. That it holds no backslash is for the caller to know.
    pub(super) fn of(format: Format, line: &'l [u8], names: usize) -> Option<Self> {
        let json = matches!(format, Format::Auto | Format::Json) && decode::looks_like_json(line);
        let flat = json && memchr_iter(b'{', line).nth(1).is_none();
        flat.then(|| Self { line, looked: vec![false; names], found: Vec::new() })
    }

    /// At least the values that the decoder would read, of the name that the finder looks for.
    pub(super) fn values(
        &mut self,
        name: usize,
        finder: &Finder<'_>,
    ) -> impl Iterator<Item = Option<&str>> {
        if let Some(looked @ false) = self.looked.get_mut(name) {
            *looked = true;
            let line = self.line;
            let ends = finder.find_iter(line).map(|at| at + finder.needle().len());
            let values = ends.filter_map(|end| value(line.get(end..)?));
            self.found.extend(values.map(|value| (name, value)));
        }
        let found = self.found.iter().filter(move |(found, _)| *found == name);
        found.map(|(_, value)| value.as_deref())
    }
}

/// What stands after a key, where a colon says that it is one.
///
/// No value is looked at beyond the next quote: many keys in one line cost no more than the line.
fn value(after: &[u8]) -> Option<Option<Cow<'_, str>>> {
    let value = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let (value, ends): (_, &[u8]) = match value.split_first() {
        Some((b'"', text)) => (text, b"\""),
        _ => (value, b",}] \t\r\n\""),
    };
    let end = value.iter().position(|byte| ends.contains(byte)).unwrap_or(value.len());
    let text = String::from_utf8_lossy(value.get(..end)?);
    // The decoder reads `7x` as far as it goes, and a list element by element.
    let whole = ends == b"\"" || ["true", "false"].contains(&&*text) || number::is_one(&text);
    Some(whole.then_some(text))
}
