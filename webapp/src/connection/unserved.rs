//! A head that no request came of in; its record, and where hyper refused it an answer, out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::header;
use parking_lot::Mutex;
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
    heads::{Heads, Length, Unserved},
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

/// Records what came and was not served: one head, or with requests in a row those behind it too.
pub(super) async fn end<S>(app: Arc<App>, peer: Peer, heads: &Mutex<Heads>, end: End<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(mut unserved) = heads.lock().unserved() else { return };
    let (action, rule) = match end {
        End::Refused(error, stream) => return refuse(app, peer, &unserved, error, stream).await,
        End::Foreign => (action::BAD_REQUEST, Some("http")),
        End::Late => (action::HEADER_TIMEOUT, Some("http")),
        End::Left | End::Stopped => (action::ABORTED, None),
    };
    loop {
        let reason = match end {
            End::Foreign => "preface of HTTP/2",
            End::Late => "head did not arrive in time",
            End::Stopped => "server stopped",
            _ if unserved.is_whole => "client left before it was served",
            _ => "client left during its head",
        };
        let (head, _, entry) = read(&app, peer, &unserved);
        record(&app, &entry, unserved.began, (action, reason, rule));
        let mut heads = heads.lock();
        if !unserved.is_whole || rule.is_some() {
            return;
        }
        heads.parsed(length(&head), clock::now());
        match heads.unserved() {
            Some(next) => unserved = next,
            None => return,
        }
    }
}

/// What it says, as far as it came, and whose it is.
fn read(app: &App, peer: Peer, unserved: &Unserved) -> (RawHead, Client, Entry) {
    let head = RawHead::read(&unserved.head);
    let client = Client::identify(peer, &head.headers, &app.settings.proxies);
    let entry = Entry::of_raw(&head, unserved.cut, client);
    tell_spoofed(app, client, &entry);
    (head, client, entry)
}

fn length(head: &RawHead) -> Length {
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Length::Chunked;
    }
    Length::Known(body::declared(&head.headers).unwrap_or_default())
}

fn record(
    app: &App,
    entry: &Entry,
    began: Instant,
    (action, reason, rule): (&'static str, &'static str, Option<&'static str>),
) {
    Counters::add(&app.counters.requests);
    let mut event = Event {
        message: "request",
        action,
        outcome: Some(Outcome::Failure),
        reason: Some(reason),
        duration: Some(clock::nanos(clock::now().saturating_duration_since(began))),
        status: rule.is_none().then_some(499),
        rule,
        entry: Some(entry),
        ..Event::default()
    };
    let at = clock::timestamp();
    app.logs.requests.write(Level::Info, at, &event);
    if rule.is_some() {
        event.message = "request refused";
        app.logs.suspicious.write(Level::Warning, at, &event);
    }
}

async fn refuse<S>(
    app: Arc<App>,
    peer: Peer,
    unserved: &Unserved,
    error: hyper::Error,
    stream: Option<S>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (head, client, entry) = read(&app, peer, unserved);
    let is_head = entry.is_head();
    let mut unfinished = Unfinished::new(Arc::clone(&app), entry, unserved.began);
    let findings = unfinished.findings();
    // Garbage is charged like everything else, and a block comes before its own answer.
    let charged = guard::charge(&app.limiter, client, rate::Kind::Request, findings, clock::now());
    let refusal = charged.err().unwrap_or_else(|| refusal(&error, &head));
    let answer = unfinished.finish(Err(refusal));
    let Some(mut stream) = stream else { return };
    let bytes = encode(answer, is_head, &clock::http_date()).await;
    let sent = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    // A client that left meanwhile has its record all the same.
    if let Ok(Ok(())) = timeout(ANSWER_TIME_MAX, sent).await {
        linger(stream).await;
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

/// Reads for a while what still comes: closing with unread bytes resets the connection, and the client
/// would not see answers that are on their way (RFC 9112 §9.6).
pub(super) async fn linger<S: AsyncRead + Unpin>(stream: S) {
    let read = async {
        let mut rest = stream.take(body::DRAIN_BYTES_MAX);
        let mut buffer = [0; 4_096];
        while rest.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let _late = timeout(ANSWER_TIME_MAX, read).await;
}
