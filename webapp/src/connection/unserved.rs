//! A head that no request came of in; its record, and where hyper refused it an answer, out.

use std::{sync::Arc, time::Duration};

use shared::record::action;
use slog::Level;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::encode::encode;
use crate::{
    app::{App, Counters},
    client::{Client, Peer},
    clock,
    exchange::tell_spoofed,
    finish::Unfinished,
    guard::{self, body, rate},
    heads::Unserved,
    record::{Entry, Event, Outcome, RawHead},
    refusal::{Kind, Refusal},
};

/// How long a client may take for its answer, and how long what it still sends is read meanwhile.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Longest body that hyper counts; the two numbers above mean something else to it.
const LENGTH_MAX: u64 = u64::MAX - 2;

/// How a connection ended with a head begun.
pub(super) enum End<S> {
    /// hyper could not read it, and the answer is ours to give; where none is asked for, hyper's own
    /// is already behind the answer before.
    Refused(hyper::Error, Option<S>),
    /// hyper could not read it, and has no answer to it: the preface of HTTP/2.
    Foreign,
    /// It came too slowly.
    Late,
    /// The client left.
    Left,
    /// The server stopped.
    Stopped,
}

pub(super) async fn end<S>(app: Arc<App>, peer: Peer, unserved: Unserved, end: End<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = RawHead::read(&unserved.head);
    let client = Client::identify(peer, &head.headers, &app.settings.proxies);
    let entry = Entry::of_raw(&head, unserved.cut, client);
    tell_spoofed(&app, client, &entry);
    let now = clock::now();
    let (action, reason, status, rule) = match end {
        End::Refused(error, stream) => {
            let is_head = entry.is_head();
            let mut unfinished = Unfinished::new(Arc::clone(&app), entry, unserved.began);
            let findings = unfinished.findings();
            // Garbage is charged like everything else, and a block comes before its own answer.
            let refusal =
                match guard::charge(&app.limiter, client, rate::Kind::Request, findings, now) {
                    Ok(()) => refusal(&error, &head),
                    Err(limited) => limited,
                };
            let answer = unfinished.finish(Err(refusal));
            if let Some(stream) = stream {
                let bytes = encode(answer, is_head, &clock::http_date()).await;
                let _late = timeout(ANSWER_TIME_MAX, send(stream, &bytes)).await;
            }
            return;
        }
        End::Foreign => (action::BAD_REQUEST, "preface of HTTP/2", None, Some("http")),
        End::Late => (action::HEADER_TIMEOUT, "head did not arrive in time", None, Some("http")),
        End::Left => (action::ABORTED, "client left during its head", Some(499), None),
        End::Stopped => (action::ABORTED, "server stopped", Some(499), None),
    };
    Counters::add(&app.counters.requests);
    let mut event = Event {
        message: "request",
        action,
        outcome: Some(Outcome::Failure),
        reason: Some(reason),
        duration: Some(clock::nanos(now.saturating_duration_since(unserved.began))),
        status,
        rule,
        entry: Some(&entry),
        ..Event::default()
    };
    let at = clock::timestamp();
    app.logs.requests.write(Level::Info, at, &event);
    if rule.is_some() {
        event.message = "request refused";
        app.logs.suspicious.write(Level::Warning, at, &event);
    }
}

fn refusal(error: &hyper::Error, head: &RawHead) -> Refusal {
    if !error.is_parse_too_large() {
        return Refusal::new(Kind::Unreadable, reason(error));
    }
    // hyper has the same word for a length that it cannot count.
    if body::declared(&head.headers).is_some_and(|bytes| bytes > LENGTH_MAX) {
        return Refusal::new(Kind::BodyTooLarge, "body is over the limit");
    }
    Refusal::new(Kind::HeadTooLarge, "head is over the limit")
}

/// hyper tells what was wrong in its text alone.
fn reason(error: &hyper::Error) -> &'static str {
    let text = error.to_string();
    let reasons = [
        ("method", "method is not HTTP"),
        ("version", "version is not HTTP/1.1 or 1.0"),
        ("URI", "target is no URI"),
        ("content-length", "Content-Length is not one number"),
        ("transfer-encoding", "Transfer-Encoding is not one that ends in chunked"),
        ("header", "header is not HTTP"),
    ];
    let found = reasons.iter().find(|(word, _)| text.contains(word));
    found.map_or("head is not HTTP", |(_, reason)| reason)
}

/// Sends it, and reads what still comes: closing with unread bytes resets the connection, and the
/// client would see no answer at all (RFC 9112 §9.6).
async fn send<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    // A client that left meanwhile has its record all the same.
    if stream.write_all(bytes).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = stream.take(body::DRAIN_BYTES_MAX);
    let mut buffer = [0; 4_096];
    while rest.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
