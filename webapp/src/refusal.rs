//! A refusal in; the answer a client sees and the words the log uses out. Every status that webapp
//! refuses with stands in this file.
//!
//! Two messages: the client gets a fixed phrase, the log gets the reason.

use std::time::Duration;

use hyper::{StatusCode, header};
use serde::Serialize;
use shared::record::action;
use warp::reply::Response;

use crate::{classify, clock};

/// Seconds after which a stream may have ended.
const STREAM_RETRY_AFTER: u64 = 5;

/// A "no".
#[derive(Debug, Clone)]
pub struct Refusal {
    /// To what, and what the client needs to know.
    pub kind: Kind,
    /// Why: for the log, except where [`Kind`] says that it is fit for the client.
    pub reason: &'static str,
    /// The error beneath, for the log.
    pub cause: Option<String>,
}

/// What is refused.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Not valid HTTP, or not valid here.
    BadRequest,
    /// A head that is no HTTP at all.
    Unreadable,
    /// A head over the limit.
    HeadTooLarge,
    /// Over the rate limit: a block begins.
    RateLimited {
        /// Until it ends.
        retry_after: Duration,
    },
    /// A block is on.
    Blocked {
        /// Until it ends.
        retry_after: Duration,
    },
    /// A preflight of an origin that is not allowed.
    CorsRejected,
    /// An unsafe request of an origin that is not allowed.
    OriginRejected,
    /// An unsafe request without a good token.
    CsrfRejected,
    /// A query that no endpoint takes; the reason is shown to the client.
    QueryRejected {
        /// The parameter at fault; its name is harmless.
        parameter: Option<String>,
    },
    /// A body over the limit.
    BodyTooLarge,
    /// A body that did not arrive in time.
    BodyTimeout,
    /// The client left before its request was whole, or the server stopped. Who closed one way alone
    /// can still read that the request was bad.
    Aborted,
    /// No such path.
    NotFound,
    /// The path does not take the method.
    MethodNotAllowed,
    /// Alerts without their bearer token.
    Unauthorized,
    /// One more stream than may be open, in all or for one client.
    TooManyStreams,
    /// A handler took too long.
    HandlerTimeout,
    /// sentinel did not answer.
    UpstreamUnavailable,
    /// A handler panicked.
    Panicked,
}

/// How a refusal is written down.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The status that is written down: the one that is sent, but for 499.
    pub status: u16,
    /// `event.action`.
    pub action: &'static str,
    /// `rule.name`: the control that refused.
    pub rule: Option<&'static str>,
    /// Which other log tells it.
    pub also: Also,
    title: &'static str,
    detail: &'static str,
    error: &'static str,
}

/// The rate limit, as a client that went over it is told.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limit {
    /// Requests in a window.
    pub requests: u32,
    /// Length of a window.
    pub window_seconds: u64,
}

/// The log that tells a refusal beside requests.log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Also {
    /// None.
    Nowhere,
    /// suspicious.log.
    Suspicious,
    /// errors.log.
    Errors,
}

impl Refusal {
    /// A refusal for that reason.
    pub fn new(kind: Kind, reason: &'static str) -> Self {
        Self { kind, reason, cause: None }
    }

    /// A refusal that another error led to.
    pub fn caused(kind: Kind, reason: &'static str, cause: impl Into<String>) -> Self {
        Self { kind, reason, cause: Some(cause.into()) }
    }

    /// The table of all refusals.
    #[rustfmt::skip]
    pub fn words(&self) -> Words {
        use Also::{Errors, Nowhere, Suspicious};
        let words = |status, action, rule, also, title, detail, error| Words {
            status, action, rule, also, title, detail, error,
        };
        match self.kind {
            Kind::BadRequest => words(400, action::BAD_REQUEST, Some("sanity"), Suspicious,
                "Bad request", "The request is not valid HTTP for this server.", "bad request"),
            Kind::Unreadable => words(400, action::BAD_REQUEST, Some("http"), Suspicious,
                "Bad request", "The request is not valid HTTP.", "bad request"),
            Kind::HeadTooLarge => words(431, action::BAD_REQUEST, Some("http"), Suspicious,
                "Request header fields too large", "The head is larger than this server takes.",
                "request head too large"),
            Kind::RateLimited { .. } => words(429, action::RATE_LIMITED, Some("rate_limit"), Suspicious,
                "Too many requests", "Wait as long as Retry-After says.", "rate limit exceeded"),
            // The block's beginning and its end are told; each request in between would drown them.
            Kind::Blocked { .. } => words(429, action::BLOCKED, Some("rate_limit"), Nowhere,
                "Too many requests", "Wait as long as Retry-After says.", "rate limit exceeded"),
            Kind::CorsRejected => words(403, action::CORS_REJECTED, Some("cors"), Suspicious,
                "Forbidden", "This origin may not use this server.", "origin not allowed"),
            Kind::OriginRejected => words(403, action::ORIGIN_REJECTED, Some("cors"), Suspicious,
                "Forbidden", "This origin may not use this server.", "origin not allowed"),
            Kind::CsrfRejected => words(403, action::CSRF_REJECTED, Some("csrf"), Suspicious,
                "Forbidden", "CSRF token missing or invalid", "CSRF token missing or invalid"),
            Kind::QueryRejected { .. } => words(400, action::QUERY_REJECTED, Some("query"), Suspicious,
                "Bad query", self.reason, "invalid query"),
            Kind::BodyTooLarge => words(413, action::BODY_TOO_LARGE, Some("body"), Suspicious,
                "Content too large", "The body is larger than this server takes.", "request body too large"),
            Kind::BodyTimeout => words(408, action::BODY_TIMEOUT, Some("body"), Suspicious,
                "Request timeout", "The body did not arrive in time.", "request timeout"),
            Kind::Aborted => words(499, action::ABORTED, None, Nowhere,
                "Bad request", "The request ended early.", "bad request"),
            Kind::NotFound => words(404, action::NOT_FOUND, None, Nowhere,
                "Not found", "There is nothing at this path.", "not found"),
            Kind::MethodNotAllowed => words(405, action::METHOD_NOT_ALLOWED, Some("method"), Suspicious,
                "Method not allowed", "Allow names the methods of this path.", "method not allowed"),
            Kind::Unauthorized => words(401, action::UNAUTHORIZED, Some("alerts_token"), Suspicious,
                "Unauthorized", "Alerts need a bearer token.", "unauthorized"),
            Kind::TooManyStreams => words(503, action::TOO_MANY_STREAMS, Some("alerts_stream"), Suspicious,
                "Service unavailable", "Too many streams of alerts are open.", "too many streams"),
            Kind::HandlerTimeout => words(503, action::HANDLER_TIMEOUT, None, Errors,
                "Service unavailable", "The answer took too long.", "service unavailable"),
            Kind::UpstreamUnavailable => words(503, action::UPSTREAM_UNAVAILABLE, None, Errors,
                "Service unavailable", "The monitor does not answer.", "alerts unavailable"),
            Kind::Panicked => words(500, action::PANIC, None, Errors,
                "Internal server error", "Something went wrong here.", "internal server error"),
        }
    }

    /// The answer: a problem (RFC 9457) with the original's `error` member beside it.
    pub fn respond(&self, request_id: &str, path: &str, limit: Limit) -> Response {
        let words = self.words();
        let retry_after = match self.kind {
            Kind::RateLimited { retry_after } | Kind::Blocked { retry_after } => {
                Some(clock::whole_seconds(retry_after).max(1))
            }
            Kind::HandlerTimeout | Kind::UpstreamUnavailable => Some(1),
            Kind::TooManyStreams => Some(STREAM_RETRY_AFTER),
            _ => None,
        };
        let (status, code) = match self.kind {
            Kind::Aborted => (400, action::BAD_REQUEST),
            Kind::Panicked => (words.status, "internal_error"),
            _ => (words.status, words.action),
        };
        let limited = matches!(self.kind, Kind::RateLimited { .. } | Kind::Blocked { .. });
        let problem = Problem {
            r#type: "about:blank",
            title: words.title,
            status,
            detail: words.detail,
            // A path of plain characters alone: nothing a client made up travels back otherwise.
            instance: path.bytes().all(is_plain).then_some(path),
            error: words.error,
            code,
            request_id,
            parameter: match &self.kind {
                Kind::QueryRejected { parameter } => parameter.as_deref(),
                _ => None,
            },
            retry_after,
            limit: limited.then_some(limit),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        let json = header::HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if matches!(self.kind, Kind::MethodNotAllowed) {
            let allow = header::HeaderValue::from_static(classify::ALLOW);
            headers.insert(header::ALLOW, allow);
        }
        if matches!(self.kind, Kind::Unauthorized) {
            let scheme = header::HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte)
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    error: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
}
