//! An accepted socket in; its requests, one after another, to [`mod@crate::exchange`] out, and
//! a record of what hyper refused by itself.

mod reader;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use shared::record::action;
use slog::Level;
use tokio::{net::TcpStream, sync::watch, time::sleep};

use crate::{
    app::{App, Counters},
    client::Client,
    clock,
    exchange::{self, exchange},
    heads::{Heads, Unserved},
    phase::Phase,
    record::{Entry, Event, Outcome, RawHead},
    routes::Site,
};
use reader::Reader;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Bytes of a head.
const HEAD_BYTES_MAX: usize = 32 * 1_024;

/// Bytes that hyper reads ahead.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;

/// How long a head may still take when the server ends.
const DRAIN_HEAD_TIME: Duration = Duration::from_secs(1);

/// Serves a connection until it ends, or the server does.
pub async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    app: Arc<App>,
    site: Site,
    mut phase: watch::Receiver<Phase>,
) {
    let heads = Arc::new(Mutex::new(Heads::default()));
    let result = {
        let io = TokioIo::new(Reader::new(stream, Arc::clone(&heads)));
        let service = service_fn(|request| {
            exchange(Arc::clone(&app), site.clone(), peer, Arc::clone(&heads), request)
        });
        // HTTP/1.1 alone, and not through hyper-util's `auto`: that has no timeout while it guesses
        // the protocol. `half_close`: without it a client that sends a request and closes leaves no
        // record.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(app.settings.head_timeout)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .half_close(true)
            .serve_connection(io, service);
        tokio::pin!(connection);
        let mut heads_end = None;
        loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Serving => {}
                Phase::Draining => {
                    connection.as_mut().graceful_shutdown();
                    // hyper waits for the first head of a connection whatever it is told.
                    heads_end = Some(Box::pin(sleep(DRAIN_HEAD_TIME)));
                }
                Phase::Closing => break None,
            }
            let heads_over = async {
                match &mut heads_end {
                    Some(end) => end.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                result = connection.as_mut() => break Some(result),
                () = heads_over => {
                    if heads.lock().is_waiting() {
                        break None;
                    }
                    heads_end = None;
                }
                changed = phase.changed() => if changed.is_err() { break None },
            }
        }
        // Dropped here: a request under way writes its record before the tail is looked at.
    };
    let (unserved, silent) = {
        let mut heads = heads.lock();
        (heads.unserved(), heads.is_silent())
    };
    // hyper ends without an error when it was told to, too; of a client that leaves it makes one.
    let stopped = *phase.borrow() != Phase::Serving && !matches!(result, Some(Err(_)));
    let error = result.and_then(Result::err);
    match unserved {
        Some(unserved) => record(&app, peer, unserved, error, stopped, clock::now()),
        None if silent => Counters::add(&app.counters.connections_silent),
        None => {}
    }
}

/// The record of a head that hyper refused, that came too slowly, or that was never finished.
fn record(
    app: &App,
    peer: IpAddr,
    unserved: Unserved,
    error: Option<hyper::Error>,
    stopped: bool,
    now: Instant,
) {
    Counters::add(&app.counters.requests);
    let text = error.as_ref().map(ToString::to_string);
    let (action, status, rule) = match &error {
        Some(error) if error.is_timeout() => (action::HEADER_TIMEOUT, None, Some("http")),
        Some(error) if error.is_parse_too_large() => (action::BAD_REQUEST, Some(431), Some("http")),
        // hyper has no answer to the preface of HTTP/2.
        Some(error) if error.is_parse_version_h2() => (action::BAD_REQUEST, None, Some("http")),
        Some(error) if error.is_parse() => (action::BAD_REQUEST, Some(400), Some("http")),
        _ => (action::ABORTED, Some(499), None),
    };
    let head = RawHead::read(&unserved.head);
    let client = Client::identify(peer, &head.headers, &app.settings.proxies);
    let entry = Entry::of_raw(&head, unserved.cut, client);
    exchange::tell_spoofed(app, client, &entry);
    let mut event = Event {
        message: "request",
        action,
        outcome: Some(Outcome::Failure),
        reason: match action {
            action::HEADER_TIMEOUT => Some("head did not arrive in time"),
            action::ABORTED if stopped => Some("server stopped"),
            action::ABORTED => Some("client left during its head"),
            _ => text.as_deref(),
        },
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
