//! What happened in; the flat keys of the log record out, in the words of [`shared::Record`].

mod entry;
mod raw;
mod id;
mod redact;
mod text;
mod emit;

pub use entry::Entry;
pub use raw::RawHead;
pub use redact::{Redacted, redact, redact_referrer};

use slog::{KV, Level, Serializer};

use emit::{count, word};

/// One event, borrowed from where it happened. Time, level and dataset are put in by the log.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// Constant text.
    pub message: &'static str,
    /// `event.action`.
    pub action: &'static str,
    /// `event.outcome`.
    pub outcome: Option<Outcome>,
    /// `event.reason`.
    pub reason: Option<&'a str>,
    /// `event.duration`, nanoseconds.
    pub duration: Option<u64>,
    /// `http.response.status_code`.
    pub status: Option<u16>,
    /// `http.response.body.bytes`.
    pub response_bytes: Option<u64>,
    /// `rule.name`.
    pub rule: Option<&'a str>,
    /// `error.type`.
    pub error_type: Option<&'a str>,
    /// `error.message`.
    pub error_message: Option<&'a str>,
    /// `client.ip` of an event without a request.
    pub client: Option<&'a str>,
    /// The request.
    pub entry: Option<&'a Entry>,
    /// Keys of this event alone; docs/webapp.md lists them.
    pub extra: &'a [(&'static str, Extra)],
}

/// `event.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Success,
    /// It did not.
    Failure,
}

/// A value of an event's own key.
#[derive(Debug, Clone)]
pub enum Extra {
    /// A number.
    Count(u64),
    /// Text.
    Text(String),
}

/// The keys that the log puts before an event's own.
#[derive(Debug)]
pub(crate) struct Stamped<'a> {
    pub(crate) timestamp: &'a str,
    pub(crate) level: Level,
    pub(crate) dataset: &'static str,
    pub(crate) sequence: u64,
    pub(crate) instance: Option<&'a str>,
    pub(crate) event: &'a Event<'a>,
}

impl KV for Stamped<'_> {
    fn serialize(&self, _: &slog::Record<'_>, out: &mut dyn Serializer) -> slog::Result {
        let event = self.event;
        out.emit_str("@timestamp", self.timestamp)?;
        out.emit_str("log.level", level(self.level))?;
        out.emit_str("message", event.message)?;
        out.emit_str("event.dataset", self.dataset)?;
        out.emit_str("event.action", event.action)?;
        if let Some(outcome) = event.outcome {
            let word = if outcome == Outcome::Success { "success" } else { "failure" };
            out.emit_str("event.outcome", word)?;
        }
        out.emit_u64("event.sequence", self.sequence)?;
        count(out, "event.duration", event.duration)?;
        word(out, "event.reason", event.reason)?;
        out.emit_str("service.name", "webapp")?;
        out.emit_str("service.version", env!("CARGO_PKG_VERSION"))?;
        word(out, "service.instance", self.instance)?;
        if let Some(entry) = event.entry {
            entry.serialize(out)?;
        }
        if let Some(status) = event.status {
            out.emit_u16("http.response.status_code", status)?;
        }
        count(out, "http.response.body.bytes", event.response_bytes)?;
        word(out, "client.ip", event.client)?;
        word(out, "rule.name", event.rule)?;
        word(out, "error.type", event.error_type)?;
        let (message, cut) = match event.error_message {
            Some(message) => {
                let (message, cut) = text::cut(message);
                (Some(message), cut)
            }
            None => (None, false),
        };
        word(out, "error.message", message.as_deref())?;
        for (key, value) in event.extra {
            match value {
                Extra::Count(count) => out.emit_u64(key, *count)?,
                Extra::Text(text) => out.emit_str(key, text)?,
            }
        }
        if cut || event.entry.is_some_and(Entry::is_truncated) {
            out.emit_bool("truncated", true)?;
        }
        Ok(())
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "error",
        Level::Warning => "warn",
        Level::Info | Level::Debug | Level::Trace => "info",
    }
}
