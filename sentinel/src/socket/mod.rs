//! HTTP/1.1 over a unix socket: questions about alerts and status in, what the board shows out.
//! The evaluator never waits for anybody here.

pub mod query;

use std::{
    convert::Infallible,
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as Probe,
    },
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::socket::{ALERTS, HEALTHZ, PATH_BYTES_MAX, READYZ, STATUS};
use tokio::{net::UnixListener, sync::Semaphore};

use crate::{board::Board, failure::Failure};

/// Connections answered at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// For a whole head, and between two requests of a connection: whoever holds a place without asking
/// gives it up soon.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);
const BUFFER_BYTES_MAX: usize = 16 << 10;

/// Binds the socket, mode 0660.
///
/// # Errors
/// The path is too long, somebody answers there, or it cannot be bound.
pub fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        return Err(Failure::Io(format!(
            "the socket's path {} has {bytes} bytes, and a unix socket takes {PATH_BYTES_MAX}: \
             give a shorter one with --socket (SENTINEL_SOCKET)",
            path.display()
        )));
    }
    let failed = |error: io::Error| Failure::at("listen on", path, &error);
    match Probe::connect(path) {
        Ok(_) => {
            return Err(Failure::Io(format!(
                "somebody answers on {}: stop that sentinel, or give this one a --socket \
                 (SENTINEL_SOCKET) of its own",
                path.display()
            )));
        }
        // Nobody listens: it was left behind. Another kind of file refuses a connection too, and is
        // not ours to remove.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let found = fs::symlink_metadata(path).map_err(failed)?;
            if !found.file_type().is_socket() {
                return Err(Failure::Io(format!(
                    "{} is there and is no socket: name another path with --socket (SENTINEL_SOCKET)",
                    path.display()
                )));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Answers until it is dropped.
pub async fn serve(listener: UnixListener, board: Arc<Board>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: one will be free again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let board = Arc::clone(&board);
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let response = respond(&request, &board);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(BUFFER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), answer);
            // Whoever asks may go away at any time, and that is nobody's fault.
            drop(connection.await);
            drop(place);
        });
    }
}

fn respond<B>(request: &Request<B>, board: &Board) -> Response<Full<Bytes>> {
    let known = [ALERTS, STATUS, HEALTHZ, READYZ];
    let path = request.uri().path();
    if !known.contains(&path) {
        return problem(StatusCode::NOT_FOUND, "no such resource");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        ALERTS => alerts(request, board),
        STATUS => {
            let status = board.status();
            json(StatusCode::OK, serde_json::to_string_pretty(&status).unwrap_or_default() + "\n")
        }
        HEALTHZ if is_alive(board) => json(StatusCode::OK, r#"{"status":"ok"}"#.into()),
        READYZ if board.is_ready() && is_alive(board) => {
            json(StatusCode::OK, r#"{"status":"ready"}"#.into())
        }
        _ => problem(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
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

fn alerts<B>(request: &Request<B>, board: &Board) -> Response<Full<Bytes>> {
    let query = match query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(fault) => return problem(StatusCode::BAD_REQUEST, &fault),
    };
    let (etag, body) = board.ring(|ring| (format!("\"{}\"", ring.last_seq()), ring.answer(&query)));
    let asked = request.headers().get(header::IF_NONE_MATCH);
    let mut response = if asked.is_some_and(|asked| asked.as_bytes() == etag.as_bytes()) {
        let mut unchanged = Response::new(Full::default());
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

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "application/json", body)
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    let title = status.canonical_reason().unwrap_or_default();
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    typed(status, "application/problem+json", body.to_string())
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Status;

    #[expect(clippy::disallowed_methods, reason = "a board must have moved lately")]
    fn board(ready: bool) -> Board {
        let board = Board::new(Status::default(), Instant::now());
        if ready {
            board.set_ready();
        }
        board
    }

    #[track_caller]
    fn check(method: &str, uri: &str, ready: bool, status: u16) -> Response<Full<Bytes>> {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let response = respond(&request, &board(ready));
        assert_eq!(response.status(), status, "{method} {uri}");
        response
    }

    #[test]
    fn each_question_has_its_status() {
        check("GET", "/v1/alerts", true, 200);
        check("GET", "/v1/alerts?limit=none", true, 400);
        check("GET", "/v1/status", false, 200);
        check("GET", "/healthz", false, 200);
        check("GET", "/readyz", false, 503);
        check("GET", "/readyz", true, 200);
        check("GET", "/", true, 404);
        let refused = check("POST", "/v1/alerts", true, 405);
        assert_eq!(refused.headers()[header::ALLOW], "GET, HEAD");
    }

    #[test]
    fn an_answer_that_is_known_is_not_sent_again() {
        let request = Request::builder().uri(ALERTS).header("if-none-match", "\"0\"").body(());
        assert_eq!(respond(&request.unwrap(), &board(true)).status(), 304);
        let request = Request::builder().uri(ALERTS).header("if-none-match", "\"1\"").body(());
        let response = respond(&request.unwrap(), &board(true));
        assert_eq!(
            (response.status().as_u16(), &response.headers()["etag"]),
            (200, &"\"0\"".parse().unwrap())
        );
    }
}
