//! `[[source]]` → a source.

use glob::Pattern;
use jiff::Timestamp;
use toml::de::DeTable;

use super::reader::{Node, Reader, suggestion};
use crate::{decode::Format, rule::Source};

const KEYS: [&str; 4] = ["name", "path", "format", "timestamp"];

impl Reader<'_, '_> {
    pub(super) fn source(&mut self, table: &DeTable<'_>, node: &Node<'_>) -> Option<Source> {
        let errors = self.errors();
        let mut name = None;
        let mut path = None;
        let mut format = Format::Auto;
        let mut timestamp = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => name = self.name("name", value).map(str::to_owned),
                "path" => path = self.globs(value),
                "format" => format = self.format(value).unwrap_or(format),
                "timestamp" => timestamp = self.text("timestamp", value).map(|text| (text, value)),
                _ => self.unknown(key, "a source", &KEYS),
            }
        }
        for (key, lacks) in
            [("name", !table.contains_key("name")), ("path", !table.contains_key("path"))]
        {
            if lacks {
                self.missing(node.span(), format!("this source lacks `{key}`"), "");
            }
        }
        if let Some((text, value)) = timestamp {
            self.check_timestamp(text, value, format);
        }
        if self.errors() > errors {
            return None;
        }
        Some(Source {
            name: name?,
            path: path?,
            format,
            timestamp: timestamp.map(|(text, _)| text.to_owned()),
        })
    }

    fn globs(&mut self, node: &Node<'_>) -> Option<Vec<String>> {
        let errors = self.errors();
        let globs = self.texts("path", node)?;
        if globs.is_empty() {
            self.error(node.span(), "a source without a path has no lines", "");
        }
        for (glob, node) in &globs {
            if let Err(error) = Pattern::new(glob) {
                let place = self.part(node, error.pos..error.pos + 1);
                self.error(place, format!("glob: {}", error.msg), "");
            } else if glob.is_empty() {
                self.error(node.span(), "an empty path names no file", "");
            }
        }
        let globs = globs.into_iter().map(|(glob, _)| glob.to_owned()).collect();
        (self.errors() == errors).then_some(globs)
    }

    fn format(&mut self, node: &Node<'_>) -> Option<Format> {
        let text = self.text("format", node)?;
        let known = Format::ALL.iter().find(|(name, _)| *name == text);
        if known.is_none() {
            let names = Format::ALL.map(|(name, _)| name);
            let mut help = suggestion(text, &names);
            if help.is_empty() {
                help = format!("one of {}", names.join(", "));
            }
            self.error(node.span(), format!("unknown format `{text}`"), help);
        }
        known.map(|(_, format)| *format)
    }

    fn check_timestamp(&mut self, text: &str, node: &Node<'_>, format: Format) {
        let pattern = text.contains('%');
        match format {
            Format::Combined | Format::Common => {
                let message = format!("lines of format {} carry their own time", format.name());
                self.error(node.span(), message, "leave `timestamp` out");
            }
            Format::Json if pattern => {
                self.error(node.span(), "the time of JSON lines is in a field", "name the field");
            }
            Format::Text if !pattern => {
                let help = "like \"%Y-%m-%d %H:%M:%S\"";
                self.error(node.span(), "the time of text lines is told by a pattern", help);
            }
            _ if text.is_empty() => self.error(node.span(), "no field has an empty name", ""),
            // A pattern that no time can be written with cannot be read either.
            _ if pattern => {
                if let Err(error) = jiff::fmt::strtime::format(text, Timestamp::UNIX_EPOCH) {
                    self.error(node.span(), format!("pattern: {error}"), "");
                }
            }
            _ => {}
        }
    }
}
