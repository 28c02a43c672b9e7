//! What was decided in; the answer with all its headers out, and its records written. The one place
//! that does either.

mod headers;
mod streamed;

use std::{sync::Arc, time::Instant};

use hyper::{StatusCode, body::Body};
use shared::record::action;
use slog::Level;
use warp::{Reply, reply::Response};

use crate::{
    app::{App, Counters},
    clock,
    guard::Findings,
    record::{Entry, Event, Outcome},
    refusal::{Also, Kind, Limit, Refusal},
};
use streamed::Streamed;

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
        let rate_policy = &self.app.rate_policy;
        headers::complete(response.headers_mut(), &self.entry.id, &self.findings, rate_policy);
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
