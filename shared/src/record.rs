//! One line of `requests.log`, `errors.log` or `suspicious.log`.
//!
//! Flat, dotted keys in the words of the Elastic Common Schema
//! (<https://www.elastic.co/docs/reference/ecs>), each at most once, one JSON object per line.

use serde::{Deserialize, Serialize};

/// Longest line a writer may produce, in bytes, its line feed included.
///
/// What had to be cut to fit carries [`Record::truncated`].
pub const LINE_BYTES_MAX: usize = 40 * 1024;

/// A log record. Absent values are left out of the line, never written as `null`.
///
/// A reader keeps the keys it does not know in [`Record::other`]: a newer writer must not stop an
/// older reader, and an event may add fields of its own (`blocked_hits`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// RFC 3339, milliseconds, `Z`: when the answer was decided.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    /// `info`, `warn` or `error`.
    #[serde(rename = "log.level")]
    pub level: String,
    /// Constant for each event; nothing from a request is part of it.
    pub message: String,
    /// `webapp.requests`, `webapp.errors` or `webapp.suspicious`: which log the line stands in.
    #[serde(rename = "event.dataset")]
    pub dataset: String,
    /// What happened, one word of [`action`].
    #[serde(rename = "event.action")]
    pub action: String,
    /// `success` or `failure`.
    #[serde(rename = "event.outcome", skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Counts the records of one process in one dataset, from 1: a hole is a lost record.
    #[serde(rename = "event.sequence")]
    pub sequence: u64,
    /// Nanoseconds from the first byte of the head to the decided answer.
    #[serde(rename = "event.duration", skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Why a guard refused: for operators, never sent to a client.
    #[serde(rename = "event.reason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `webapp`.
    #[serde(rename = "service.name")]
    pub service_name: String,
    /// The writer's version.
    #[serde(rename = "service.version")]
    pub service_version: String,
    /// Told apart where several webapps share a directory.
    #[serde(rename = "service.instance", skip_serializing_if = "Option::is_none")]
    pub service_instance: Option<String>,
    /// The same in every record of one request, and in its `X-Request-ID`.
    #[serde(rename = "http.request.id", skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// As sent, `GET`.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Bytes of the body that arrived.
    #[serde(rename = "http.request.body.bytes", skip_serializing_if = "Option::is_none")]
    pub request_body_bytes: Option<u64>,
    /// The status that was sent; 499 where the client left first.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Bytes of the answer's body.
    #[serde(rename = "http.response.body.bytes", skip_serializing_if = "Option::is_none")]
    pub response_body_bytes: Option<u64>,
    /// `1.0` or `1.1`.
    #[serde(rename = "http.version", skip_serializing_if = "Option::is_none")]
    pub http_version: Option<String>,
    /// As sent, not percent-decoded, sanitised.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// As sent and whole; token-shaped values of secret-looking keys are `[redacted]`.
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// A parameter came more than once.
    #[serde(rename = "query.duplicate", skip_serializing_if = "std::ops::Not::not", default)]
    pub query_duplicate: bool,
    /// A secret-looking parameter held what no secret looks like.
    #[serde(rename = "query.odd_secret", skip_serializing_if = "std::ops::Not::not", default)]
    pub query_odd_secret: bool,
    /// Whom the limits were applied to.
    #[serde(rename = "client.ip", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The other end of the connection: the proxy, where there is one.
    #[serde(rename = "network.peer.address", skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// `User-Agent`, sanitised, at most 1,024 characters.
    #[serde(rename = "user_agent.original", skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// `Referer`, redacted as the query is, sanitised, at most 1,024 characters.
    #[serde(rename = "http.request.referrer", skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// Of a valid `traceparent`, else begun here.
    #[serde(rename = "trace.id", skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The guard that refused.
    #[serde(rename = "rule.name", skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
    /// The kind of an error.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The text of an error; of a panic, its message.
    #[serde(rename = "error.message", skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Something in this record was cut to its limit.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub truncated: bool,
    /// Every key that is not named above.
    #[serde(flatten)]
    pub other: std::collections::BTreeMap<String, Value>,
}

/// A value of a key that the contract does not name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Count(u64),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(String),
    /// `null`, written by somebody else.
    Null,
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(std::collections::BTreeMap<String, Self>),
}

/// The words of [`Record::action`].
pub mod action {
    /// An answered request.
    pub const REQUEST: &str = "request";
    /// The request that starts a block.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// A request during a block.
    pub const BLOCKED: &str = "blocked";
    /// An unsafe request without a valid token.
    pub const CSRF_REJECTED: &str = "csrf_rejected";
    /// A preflight of an origin that is not allowed.
    pub const CORS_REJECTED: &str = "cors_rejected";
    /// An unsafe request of an origin that is not allowed.
    pub const ORIGIN_REJECTED: &str = "origin_rejected";
    /// A query over a limit or with bytes that no query holds.
    pub const QUERY_REJECTED: &str = "query_rejected";
    /// A body over the limit.
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    /// A body that did not arrive in time.
    pub const BODY_TIMEOUT: &str = "body_timeout";
    /// A request that is not valid HTTP, or not valid here.
    pub const BAD_REQUEST: &str = "bad_request";
    /// A body of a type that the route does not take.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    /// A method that the route does not take.
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    /// A request for alerts without the token.
    pub const UNAUTHORIZED: &str = "unauthorized";
    /// One more stream of alerts than are open at a time.
    pub const TOO_MANY_STREAMS: &str = "too_many_streams";
    /// A head that did not arrive in time.
    pub const HEADER_TIMEOUT: &str = "header_timeout";
    /// No such route.
    pub const NOT_FOUND: &str = "not_found";
    /// The client left before its request was whole, or the server stopped.
    pub const ABORTED: &str = "aborted";
    /// A handler took too long.
    pub const HANDLER_TIMEOUT: &str = "handler_timeout";
    /// sentinel did not answer.
    pub const UPSTREAM_UNAVAILABLE: &str = "upstream_unavailable";
    /// Forwarded headers from a peer that is no trusted proxy; the request goes on.
    pub const SPOOFED_FORWARDED_HEADER: &str = "spoofed_forwarded_header";
    /// A block is over; `blocked_hits` says what it held off.
    pub const BLOCK_ENDED: &str = "block_ended";
    /// The process is ready.
    pub const STARTUP: &str = "startup";
    /// The process ends.
    pub const SHUTDOWN: &str = "shutdown";
    /// Every 30 seconds.
    pub const HEARTBEAT: &str = "heartbeat";
    /// Records were lost; how many, and from which log.
    pub const LOG_LOSS: &str = "log_loss";
    /// A handler panicked.
    pub const PANIC: &str = "panic";
}
