//! A request in; what the board shows, or why not, out.

use std::{sync::Arc, time::Instant};

use http_body_util::{Either, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, header};
use parking_lot::Mutex;
use shared::socket::{ALERTS, ALERTS_STREAM, HEALTHZ, METRICS, READYZ, STATUS};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    STREAMS_MAX,
    cursor::Cursor,
    query::{self, Wanted},
    stream::AlertStream,
};
use crate::{board::Board, metrics, sink::ring::Query};

/// Seconds after which it is worth asking again.
const RETRY_AFTER: u16 = 5;

const EVENTS: &str = "text/event-stream";

pub(super) type Answer = Response<Either<Full<Bytes>, AlertStream>>;

/// A connection, as its requests see it.
pub(super) struct Asked {
    board: Arc<Board>,
    streams: Arc<Semaphore>,
    /// Held until the connection ends. A stream gives it up for one of its own.
    place: Mutex<OwnedSemaphorePermit>,
}

impl Asked {
    pub(super) fn new(
        board: Arc<Board>,
        streams: Arc<Semaphore>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { board, streams, place: Mutex::new(place) }
    }

    pub(super) fn respond<B>(&self, request: &Request<B>) -> Answer {
        let known = [ALERTS, ALERTS_STREAM, STATUS, METRICS, HEALTHZ, READYZ];
        let path = request.uri().path();
        if !known.contains(&path) {
            return problem(StatusCode::NOT_FOUND, "no such resource");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
            refused
                .headers_mut()
                .insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let board = &self.board;
        match path {
            ALERTS => alerts(request, board),
            ALERTS_STREAM => self.stream(request),
            STATUS => {
                let status = board.status();
                json(
                    StatusCode::OK,
                    serde_json::to_string_pretty(&status).unwrap_or_default() + "\n",
                )
            }
            METRICS => self.metrics(),
            HEALTHZ if is_alive(board) => json(StatusCode::OK, r#"{"status":"ok"}"#.into()),
            READYZ if board.is_ready() && is_alive(board) => {
                json(StatusCode::OK, r#"{"status":"ready"}"#.into())
            }
            _ => problem(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an age is asked of the clock")]
    fn metrics(&self) -> Answer {
        let readers = STREAMS_MAX as usize - self.streams.available_permits();
        let text = metrics::text(self.board.status(), readers, Instant::now());
        typed(StatusCode::OK, metrics::CONTENT_TYPE, Either::Left(Full::from(text)))
    }

    fn stream<B>(&self, request: &Request<B>) -> Answer {
        let asked = query::parse(request.uri().query().unwrap_or_default(), Wanted::Stream)
            .and_then(|query| Ok((query, last_event_id(request)?)));
        let query = match asked {
            Ok((query, None)) => query,
            // A client that comes back asks with the query it began with.
            Ok((query, seen)) => Query { after_seq: seen, ..query },
            Err(fault) => return problem(StatusCode::BAD_REQUEST, &fault),
        };
        if !self.board.is_ready() {
            // What is read back from alerts.log at the start is nothing new.
            return later("not ready");
        }
        if request.method() == Method::HEAD {
            return typed(StatusCode::OK, EVENTS, Either::Left(Full::default()));
        }
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            return later("too many streams are open");
        };
        *self.place.lock() = place;
        let cursor = self.board.ring(|ring| Cursor::new(query, ring));
        let stream = AlertStream::new(Arc::clone(&self.board), cursor);
        let mut response = typed(StatusCode::OK, EVENTS, Either::Right(stream));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        // Its place is a stream's: no question may follow.
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        response
    }
}

/// The `seq` that whoever comes back has seen (WHATWG HTML §9.2.4).
fn last_event_id<B>(request: &Request<B>) -> Result<Option<u64>, String> {
    let mut lines = request.headers().get_all("last-event-id").iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let digits = line.to_str().ok().filter(|line| line.bytes().all(|byte| byte.is_ascii_digit()));
    let seq = digits.and_then(|digits| digits.parse().ok());
    match (seq, lines.next()) {
        (Some(seq), None) => Ok(Some(seq)),
        _ => Err("`Last-Event-ID` takes a sequence number, once".into()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether something still moves is asked of the clock"
)]
fn is_alive(board: &Board) -> bool {
    // Before it is ready it repeats what was journalled, for as long as that takes.
    !board.is_ready() || board.is_alive(Instant::now())
}

fn alerts<B>(request: &Request<B>, board: &Board) -> Answer {
    let query = match query::parse(request.uri().query().unwrap_or_default(), Wanted::List) {
        Ok(query) => query,
        Err(fault) => return problem(StatusCode::BAD_REQUEST, &fault),
    };
    let (etag, body) = board.ring(|ring| (format!("\"{}\"", ring.last_seq()), ring.answer(&query)));
    let asked = request.headers().get(header::IF_NONE_MATCH);
    let mut response = if asked.is_some_and(|asked| asked.as_bytes() == etag.as_bytes()) {
        let mut unchanged = Response::new(Either::Left(Full::default()));
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        json(StatusCode::OK, body)
    };
    if let Ok(etag) = etag.parse() {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn json(status: StatusCode, body: String) -> Answer {
    typed(status, "application/json", Either::Left(Full::from(body)))
}

/// Worth asking again soon.
fn later(detail: &str) -> Answer {
    let mut refused = problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    refused.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER.into());
    refused
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or_default();
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    typed(status, "application/problem+json", Either::Left(Full::from(body.to_string())))
}

fn typed(status: StatusCode, kind: &'static str, body: Either<Full<Bytes>, AlertStream>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Status;

    #[expect(clippy::disallowed_methods, reason = "a board must have moved lately")]
    fn asked(ready: bool, streams: usize) -> Asked {
        let board = Board::new(Status::default(), Instant::now());
        if ready {
            board.set_ready();
        }
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Asked::new(Arc::new(board), Arc::new(Semaphore::new(streams)), place)
    }

    #[track_caller]
    fn check(method: &str, uri: &str, ready: bool, status: u16) -> Answer {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let response = asked(ready, 1).respond(&request);
        assert_eq!(response.status(), status, "{method} {uri}");
        response
    }

    #[test]
    fn each_question_has_its_status() {
        check("GET", "/v1/alerts", true, 200);
        check("GET", "/v1/alerts?limit=none", true, 400);
        check("GET", "/v1/status", false, 200);
        let metrics = check("GET", "/metrics", false, 200);
        assert_eq!(
            metrics.headers()[header::CONTENT_TYPE],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        check("GET", "/healthz", false, 200);
        check("GET", "/readyz", false, 503);
        check("GET", "/readyz", true, 200);
        check("GET", "/", true, 404);
        let refused = check("POST", "/v1/alerts", true, 405);
        assert_eq!(refused.headers()[header::ALLOW], "GET, HEAD");
    }

    #[test]
    fn a_stream_has_its_status_too() {
        check("GET", "/v1/alerts/stream?level=high&after_seq=7", true, 200);
        check("HEAD", "/v1/alerts/stream", true, 200);
        check("GET", "/v1/alerts/stream?limit=5", true, 400);
        check("POST", "/v1/alerts/stream", true, 405);
        let early = check("GET", "/v1/alerts/stream", false, 503);
        assert_eq!(early.headers()[header::RETRY_AFTER], "5");
        for (lines, expected) in [
            (&["7"] as &[_], Ok(Some(7))),
            (&[], Ok(None)),
            (&["7", "8"], Err(())),
            (&["-1"], Err(())),
            (&["+7"], Err(())),
            (&[""], Err(())),
            (&["18446744073709551616"], Err(())),
        ] {
            let mut request = Request::builder().uri(ALERTS_STREAM);
            for line in lines {
                request = request.header("last-event-id", *line);
            }
            let request = request.body(()).unwrap();
            assert_eq!(last_event_id(&request).map_err(drop), expected, "{lines:?}");
            let status = asked(true, 1).respond(&request).status();
            assert_eq!(status.is_success(), expected.is_ok(), "{lines:?}");
        }
    }

    #[test]
    fn streams_have_places_of_their_own() {
        let questions = Arc::new(Semaphore::new(1));
        let streams = Arc::new(Semaphore::new(1));
        let board = Arc::clone(&asked(true, 1).board);
        let connect = || {
            let place = Arc::clone(&questions).try_acquire_owned().unwrap();
            Asked::new(Arc::clone(&board), Arc::clone(&streams), place)
        };
        let request = Request::builder().uri(ALERTS_STREAM).body(()).unwrap();
        let first = connect();
        assert_eq!(first.respond(&request).status(), 200);
        assert_eq!((questions.available_permits(), streams.available_permits()), (1, 0));
        let refused = connect().respond(&request);
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()[header::RETRY_AFTER]),
            (503, &header::HeaderValue::from_static("5"))
        );
        drop(first);
        assert_eq!((questions.available_permits(), streams.available_permits()), (1, 1));
    }

    #[test]
    fn an_answer_that_is_known_is_not_sent_again() {
        let request = Request::builder().uri(ALERTS).header("if-none-match", "\"0\"").body(());
        assert_eq!(asked(true, 1).respond(&request.unwrap()).status(), 304);
        let request = Request::builder().uri(ALERTS).header("if-none-match", "\"1\"").body(());
        let response = asked(true, 1).respond(&request.unwrap());
        assert_eq!(
            (response.status().as_u16(), &response.headers()["etag"]),
            (200, &"\"0\"".parse().unwrap())
        );
    }
}
