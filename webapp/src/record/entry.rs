//! A request's head in; the part of its records that is the same wherever it ends out.

use std::net::IpAddr;

use hyper::{HeaderMap, Version, header, http::request::Parts};
use slog::Serializer;

use super::{redact::redact, text};
use crate::client::Client;

/// Most bytes of a query that was refused, or that hyper could not read.
const REFUSED_QUERY_BYTES_MAX: usize = 16_384;

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
        let mut entry = Self {
            client: Some(client.address()),
            peer: Some(client.peer()),
            version: match head.version {
                Version::HTTP_10 => Some("1.0"),
                Version::HTTP_11 => Some("1.1"),
                _ => None,
            },
            ..Self::default()
        };
        entry.method(head.method.as_str());
        entry.target(head.uri.path(), head.uri.query());
        entry.user_agent = entry.header(&head.headers, header::USER_AGENT);
        entry.referrer = entry.header(&head.headers, header::REFERER);
        entry
    }

    /// Of a head that hyper could not read, as far as it goes: `/?q=<script>` sent raw is one.
    pub fn of_bytes(head: &[u8], peer: IpAddr) -> Self {
        let mut entry = Self { client: Some(peer), peer: Some(peer), ..Self::default() };
        let head = String::from_utf8_lossy(head);
        let head = head.trim_start_matches(['\r', '\n']);
        let mut lines = head.split('\n').map(|line| line.trim_end_matches('\r'));
        let line = lines.next().unwrap_or_default();
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        // The target may hold blanks, which is one way not to be readable.
        let (target, version) = rest.rsplit_once(" HTTP/").unwrap_or((rest, ""));
        entry.version = match version {
            "1.0" => Some("1.0"),
            "1.1" => Some("1.1"),
            _ => None,
        };
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        entry.method(method);
        if !target.is_empty() {
            entry.target(path, query);
        }
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let slot = match name.to_ascii_lowercase().as_str() {
                "user-agent" => &mut entry.user_agent,
                "referer" => &mut entry.referrer,
                _ => continue,
            };
            let (value, cut) = text::cut(value.trim());
            *slot = Some(value);
            entry.truncated |= cut;
        }
        entry
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
            let short: String = method.chars().take(32).collect();
            self.truncated |= short.len() < method.len();
            self.method = Some(text::sanitise(&short));
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
            self.query_odd_secret = redacted.odd_secret;
            self.query = Some(redacted.text);
        }
    }

    fn header(&mut self, headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
        let value = headers.get(name)?;
        let (value, cut) = text::cut(&String::from_utf8_lossy(value.as_bytes()));
        self.truncated |= cut;
        Some(value)
    }

    pub(super) fn serialize(&self, out: &mut dyn Serializer) -> slog::Result {
        let word = super::word;
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
        if let Some(client) = self.client {
            out.emit_arguments("client.ip", &format_args!("{client}"))?;
        }
        if let Some(peer) = self.peer {
            out.emit_arguments("network.peer.address", &format_args!("{peer}"))?;
        }
        word(out, "user_agent.original", self.user_agent.as_deref())?;
        word(out, "http.request.referrer", self.referrer.as_deref())?;
        word(out, "trace.id", self.trace_id.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(head: &[u8], method: Option<&str>, path: Option<&str>, query: Option<&str>) {
        let entry = Entry::of_bytes(head, [192, 0, 2, 1].into());
        assert_eq!(
            (entry.method.as_deref(), entry.path.as_deref(), entry.query.as_deref()),
            (method, path, query),
        );
    }

    #[test]
    fn what_hyper_cannot_read_is_read_as_far_as_it_goes() {
        check(
            b"GET /?q=<script>alert(1)</script> HTTP/1.1\r\nHost: a\r\n",
            Some("GET"),
            Some("/"),
            Some("q=<script>alert(1)</script>"),
        );
        check(b"GET /a b?c d HTTP/1.1\r\n", Some("GET"), Some("/a b"), Some("c d"));
        check(b"\r\n\r\nGET /x", Some("GET"), Some("/x"), None);
        check(b"GET", Some("GET"), None, None);
        check(b"", None, None, None);
        check(b"\x16\x03\x01", Some("\u{16}\u{3}\u{1}"), None, None);
        check(b"GET /\xff HTTP/1.1\n", Some("GET"), Some("/\u{fffd}"), None);
    }

    #[test]
    fn headers_of_an_unreadable_head_are_found() {
        let head = b"GET /< HTTP/1.1\r\nuser-agent: sqlmap/1.0\r\nReferer: x\r\n\r\n";
        let entry = Entry::of_bytes(head, [192, 0, 2, 1].into());
        assert_eq!(entry.user_agent.as_deref(), Some("sqlmap/1.0"));
        assert_eq!(entry.referrer.as_deref(), Some("x"));
        assert_eq!(entry.version, Some("1.1"));
    }

    proptest! {
        #[test]
        fn never_panics(head in prop::collection::vec(any::<u8>(), 0..200)) {
            Entry::of_bytes(&head, [192, 0, 2, 1].into());
        }
    }
}
