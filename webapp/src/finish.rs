//! What was decided in; the answer with all its headers out, and its records written. The one place
//! that does either.

mod streamed;

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use hyper::{
    HeaderMap, StatusCode,
    body::Body,
    header::{self, HeaderName, HeaderValue},
};
use shared::record::action;
use slog::Level;
use warp::{Reply, reply::Response};

use crate::{
    app::{App, Counters},
    clock,
    guard::{
        Findings,
        cors::{self, Cors},
        rate::Verdict,
    },
    record::{Entry, Event, Outcome},
    refusal::{Also, Kind, Limit, Refusal},
};
use streamed::Streamed;

/// On every answer, refusals too (OWASP Secure Headers Project), unless it says otherwise. An answer's
/// headers begin as a copy: putting each into its place anew takes four times as long.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let csp = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("content-security-policy", csp),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("cache-control", "no-store"),
        ("vary", "Origin"),
    ];
    let mut map = HeaderMap::with_capacity(ROOM);
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
});

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Headers of a usual answer. A map keeps room for them when it is copied.
const ROOM: usize = 24;

/// A request without its answer. Dropped as such (the server stops, hyper gives up), it writes down
/// that it was aborted.
#[derive(Debug)]
pub struct Unfinished {
    app: Arc<App>,
    entry: Entry,
    began: Instant,
    findings: Findings,
    done: bool,
}

impl Unfinished {
    /// The request's first byte came at `began`.
    pub fn new(app: Arc<App>, entry: Entry, began: Instant) -> Self {
        let findings = Findings::default();
        Self { app, entry, began, findings, done: false }
    }

    /// Where guards leave what they found.
    pub fn findings(&mut self) -> &mut Findings {
        &mut self.findings
    }

    /// Makes the answer, and writes the records.
    pub fn finish(mut self, outcome: Result<Response, Refusal>) -> Response {
        let (mut response, refusal) = match outcome {
            Ok(response) => (response, None),
            Err(refusal) => {
                let policy = self.app.limiter.policy();
                let limit =
                    Limit { requests: policy.requests, window_seconds: policy.window.as_secs() };
                (refusal.respond(&self.entry.id, self.entry.path(), limit), Some(refusal))
            }
        };
        self.headers(response.headers_mut());
        let bytes = match response.body().size_hint().exact() {
            // hyper leaves the body out.
            _ if self.entry.is_head() => 0,
            Some(bytes) => bytes,
            None => {
                let (head, body) = response.into_parts();
                let body = warp::reply::stream(Streamed::new(body, head.status, self));
                return Response::from_parts(head, body.into_response().into_body());
            }
        };
        self.record(response.status(), bytes, refusal.as_ref());
        response
    }

    /// To what all answers carry come the answer's own, and what this request asks for.
    fn headers(&self, headers: &mut HeaderMap) {
        let own = std::mem::replace(headers, HEADERS.clone());
        let vary = self.vary(&own);
        headers.extend(own);
        if let Some(vary) = vary {
            headers.insert(header::VARY, vary);
        }
        if let Ok(id) = HeaderValue::from_str(&self.entry.id) {
            headers.insert(&X_REQUEST_ID, id);
        }
        self.cors_headers(headers);
        self.rate_headers(headers);
    }

    /// `Vary`, where it names more than the origin.
    fn vary(&self, own: &HeaderMap) -> Option<HeaderValue> {
        if !self.findings.is_preflight && !own.contains_key(header::VARY) {
            return None;
        }
        let mut vary = String::from("Origin");
        if self.findings.is_preflight {
            vary.push_str(", Access-Control-Request-Method, Access-Control-Request-Headers");
        }
        for line in own.get_all(header::VARY) {
            if let Ok(line) = line.to_str() {
                vary.push_str(", ");
                vary.push_str(line);
            }
        }
        HeaderValue::try_from(vary).ok()
    }

    fn cors_headers(&self, headers: &mut HeaderMap) {
        let Cors::Allowed { allow_origin, credentials } = &self.findings.cors else {
            return;
        };
        // Or a page that demands it of everything it loads could not use the answer.
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        if let Ok(origin) = HeaderValue::from_str(allow_origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        let mut fixed = |name, value| headers.insert(name, HeaderValue::from_static(value));
        if *credentials {
            fixed(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if self.findings.is_preflight {
            fixed(header::ACCESS_CONTROL_ALLOW_METHODS, cors::ALLOW_METHODS);
            fixed(header::ACCESS_CONTROL_ALLOW_HEADERS, cors::ALLOW_HEADERS);
            fixed(header::ACCESS_CONTROL_MAX_AGE, cors::MAX_AGE);
        } else {
            fixed(header::ACCESS_CONTROL_EXPOSE_HEADERS, cors::EXPOSE_HEADERS);
        }
    }

    /// draft-ietf-httpapi-ratelimit-headers, so that clients can slow down before they are refused.
    fn rate_headers(&self, headers: &mut HeaderMap) {
        let Some(verdict) = self.findings.rate else { return };
        let (remaining, reset) = match verdict {
            Verdict::Passed { remaining, reset } => (remaining, reset),
            Verdict::Limited { retry_after } | Verdict::Blocked { retry_after } => (0, retry_after),
        };
        let reset = clock::whole_seconds(reset);
        let rate = format!("\"default\";r={remaining};t={reset}");
        if let Ok(rate) = HeaderValue::try_from(rate) {
            headers.insert(&RATELIMIT, rate);
        }
        headers.insert(&RATELIMIT_POLICY, self.app.rate_policy.clone());
    }

    fn record(&mut self, status: StatusCode, response_bytes: u64, refusal: Option<&Refusal>) {
        self.done();
        let words = refusal.map(Refusal::words);
        let failed = status.is_client_error() || status.is_server_error();
        let mut event = Event {
            action: words.map_or(action::REQUEST, |words| words.action),
            outcome: Some(if failed { Outcome::Failure } else { Outcome::Success }),
            reason: refusal.map(|refusal| refusal.reason),
            // Of a client that left, what was sent does not matter; nobody read it.
            status: Some(words.map_or(status.as_u16(), |words| words.status)),
            rule: words.and_then(|words| words.rule),
            ..self.event(status, response_bytes)
        };
        let at = clock::timestamp();
        let logs = &self.app.logs;
        logs.requests.write(Level::Info, at, &event);
        match words.map(|words| words.also) {
            None | Some(Also::Nowhere) => {}
            Some(Also::Suspicious) => {
                event.message = "request refused";
                logs.suspicious.write(Level::Warning, at, &event);
            }
            Some(Also::Errors) => {
                event.message = "request failed";
                event.error_type = words.map(|words| words.action);
                event.error_message = refusal.and_then(|refusal| refusal.cause.as_deref());
                logs.errors.write(Level::Error, at, &event);
            }
        }
    }
}

/// Of an answer that was sent as it came, the record is written when it ends.
impl Unfinished {
    fn record_stream(&mut self, status: StatusCode, bytes: u64, end: &streamed::End) {
        self.done();
        let mut event = Event { reason: Some(end.reason()), ..self.event(status, bytes) };
        let at = clock::timestamp();
        self.app.logs.requests.write(Level::Info, at, &event);
        if let streamed::End::Failed(failure) = end {
            event.message = "request failed";
            event.action = action::UPSTREAM_UNAVAILABLE;
            event.outcome = Some(Outcome::Failure);
            event.error_type = Some(action::UPSTREAM_UNAVAILABLE);
            event.error_message = Some(failure);
            self.app.logs.errors.write(Level::Error, at, &event);
        }
    }

    fn done(&mut self) {
        self.done = true;
        Counters::add(&self.app.counters.requests);
        self.entry.body_bytes = self.findings.body_bytes;
    }

    fn event(&self, status: StatusCode, response_bytes: u64) -> Event<'_> {
        Event {
            message: "request",
            action: action::REQUEST,
            outcome: Some(Outcome::Success),
            duration: Some(clock::nanos(clock::now().saturating_duration_since(self.began))),
            status: Some(status.as_u16()),
            response_bytes: Some(response_bytes),
            entry: Some(&self.entry),
            ..Event::default()
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let refusal = Refusal::new(Kind::Aborted, "dropped before it was answered");
            self.record(StatusCode::BAD_REQUEST, 0, Some(&refusal));
        }
    }
}
