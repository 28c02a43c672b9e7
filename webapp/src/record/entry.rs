//! A request's head in; the part of its records that is the same wherever it ends out.

use std::net::IpAddr;

use hyper::{HeaderMap, Version, header, http::request::Parts};
use slog::Serializer;

use super::{
    emit::{address, word},
    id,
    raw::RawHead,
    redact::{redact, redact_referrer},
    text,
};
use crate::client::{Client, Peer};

/// Most bytes of a query that was refused, or that hyper could not read.
const REFUSED_QUERY_BYTES_MAX: usize = 16_384;

/// Most characters of a method.
const METHOD_CHARS_MAX: usize = 32;

/// Most bytes of a query in JSON: the longest that is accepted, each byte of it escaped.
const QUERY_JSON_BYTES_MAX: usize = 2 * REFUSED_QUERY_BYTES_MAX;

/// Who asked for what.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// `http.request.id`, also in the answer.
    pub id: String,
    /// `trace.id`.
    pub trace_id: Option<String>,
    /// `http.request.body.bytes`.
    pub body_bytes: u64,
    client: Option<IpAddr>,
    peer: Option<IpAddr>,
    method: Option<String>,
    version: Option<&'static str>,
    path: Option<String>,
    query: Option<String>,
    query_duplicate: bool,
    query_odd_secret: bool,
    user_agent: Option<String>,
    referrer: Option<String>,
    truncated: bool,
}

impl Entry {
    /// Of a head that hyper could read.
    pub fn of_head(head: &Parts, client: Client) -> Self {
        let mut entry = Self::of_headers(&head.headers, client);
        entry.version = match head.version {
            Version::HTTP_10 => Some("1.0"),
            Version::HTTP_11 => Some("1.1"),
            _ => None,
        };
        entry.method(head.method.as_str());
        entry.target(head.uri.path(), head.uri.query());
        entry
    }

    /// Of a head that hyper could not read, as far as it goes.
    pub fn of_raw(head: &RawHead, cut: bool, client: Client) -> Self {
        let mut entry = Self::of_headers(&head.headers, client);
        entry.truncated |= cut;
        entry.version = match head.version.as_str() {
            "1.0" => Some("1.0"),
            "1.1" => Some("1.1"),
            _ => None,
        };
        entry.method(&head.method);
        if !head.target.is_empty() {
            // It may be a whole URL, with a user and a fragment that no readable target has.
            let target = redact_referrer(&head.target);
            entry.query_odd_secret |= target.odd_secret;
            let (path, query) = match target.text.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (target.text.as_str(), None),
            };
            entry.target(path, query);
        }
        entry
    }

    fn of_headers(headers: &HeaderMap, client: Client) -> Self {
        let peer = match client.peer() {
            Peer::Host(address) => Some(address),
            Peer::Local => None,
        };
        let mut entry = Self { client: Some(client.address()), peer, ..Self::default() };
        entry.user_agent = entry.header(headers, header::USER_AGENT);
        entry.referrer = entry.referrer(headers);
        let sent = client.is_forwarded().then(|| headers.get("x-request-id")).flatten();
        entry.id = sent
            .and_then(|id| id.to_str().ok())
            .filter(|id| id::is_request_id(id))
            .map_or_else(id::random, str::to_owned);
        entry.trace_id = Some(id::trace(headers).unwrap_or_else(id::random));
        entry
    }

    /// Whether the answer goes without its body.
    pub fn is_head(&self) -> bool {
        self.method.as_deref() == Some("HEAD")
    }

    /// `url.path` as it is logged.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_default()
    }

    /// Whether something was cut.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    fn method(&mut self, method: &str) {
        if !method.is_empty() {
            let short =
                method.char_indices().nth(METHOD_CHARS_MAX).map(|(end, _)| method.get(..end));
            self.truncated |= short.is_some();
            self.method = Some(text::sanitise(short.flatten().unwrap_or(method)));
        }
    }

    fn target(&mut self, path: &str, query: Option<&str>) {
        let (path, cut) = text::cut(path);
        self.path = Some(path);
        self.truncated |= cut;
        if let Some(query) = query {
            let end = query.floor_char_boundary(REFUSED_QUERY_BYTES_MAX);
            self.truncated |= end < query.len();
            let redacted = redact(query.get(..end).unwrap_or_default());
            self.query_duplicate = redacted.duplicate;
            self.query_odd_secret |= redacted.odd_secret;
            // What hides is longer once it is spelled out, and so is a redacted value.
            let (query, cut) = text::cut_to(&redacted.text, usize::MAX, QUERY_JSON_BYTES_MAX);
            self.truncated |= cut;
            self.query = Some(query);
        }
    }

    fn header(&mut self, headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
        let value = headers.get(name)?;
        let (value, cut) = text::cut(&String::from_utf8_lossy(value.as_bytes()));
        self.truncated |= cut;
        Some(value)
    }

    /// Redacted as a query is: the page before holds secrets no less.
    fn referrer(&mut self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(header::REFERER)?;
        let redacted = redact_referrer(&String::from_utf8_lossy(value.as_bytes()));
        self.query_odd_secret |= redacted.odd_secret;
        let (value, cut) = text::cut(&redacted.text);
        self.truncated |= cut;
        Some(value)
    }

    pub(super) fn serialize(&self, out: &mut dyn Serializer) -> slog::Result {
        out.emit_str("http.request.id", &self.id)?;
        word(out, "http.request.method", self.method.as_deref())?;
        out.emit_u64("http.request.body.bytes", self.body_bytes)?;
        word(out, "http.version", self.version)?;
        word(out, "url.path", self.path.as_deref())?;
        word(out, "url.query", self.query.as_deref())?;
        if self.query_duplicate {
            out.emit_bool("query.duplicate", true)?;
        }
        if self.query_odd_secret {
            out.emit_bool("query.odd_secret", true)?;
        }
        address(out, "client.ip", self.client)?;
        address(out, "network.peer.address", self.peer)?;
        word(out, "user_agent.original", self.user_agent.as_deref())?;
        word(out, "http.request.referrer", self.referrer.as_deref())?;
        word(out, "trace.id", self.trace_id.as_deref())
    }
}
