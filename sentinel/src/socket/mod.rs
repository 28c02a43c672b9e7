//! HTTP/1.1 over a unix socket: questions about alerts and status in, what the board shows out.
//! The evaluator never waits for anybody here.

mod stall;
mod answer;
pub mod query;
mod cursor;
mod stream;

use std::{
    convert::Infallible,
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as Probe,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::socket::PATH_BYTES_MAX;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{board::Board, failure::Failure};
use answer::Asked;
use stall::Stalling;

/// Connections answered at the same time; further ones wait. Streams are not among them.
const CONNECTIONS_MAX: usize = 64;
/// Streams open at the same time; further ones are refused.
pub const STREAMS_MAX: u32 = 32;
/// How long streams may take to tell the last alerts when sentinel ends.
const END_TIME_MAX: Duration = Duration::from_secs(1);
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

/// Answers until the board says that no alert will follow, and streams have told the last of them.
pub async fn serve(listener: UnixListener, board: Arc<Board>) {
    let streams = Arc::new(Semaphore::new(STREAMS_MAX as usize));
    let mut over = board.listen();
    tokio::select! {
        () = accept(&listener, &board, &streams) => {}
        _over = over.wait_for(|over| *over) => {}
    }
    // All places are free: no stream is open. One that is not read is cut off.
    drop(timeout(END_TIME_MAX, streams.acquire_many(STREAMS_MAX)).await);
}

async fn accept(listener: &UnixListener, board: &Arc<Board>, streams: &Arc<Semaphore>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: one will be free again.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let asked = Asked::new(Arc::clone(board), Arc::clone(streams), place);
        tokio::spawn(answer(stream, asked));
    }
}

/// Whoever asks may go away at any time, and that is nobody's fault.
async fn answer(stream: UnixStream, asked: Asked) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = asked.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Stalling::new(stream)), service);
    drop(connection.await);
}
