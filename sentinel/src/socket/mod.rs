//! HTTP/1.1 over a unix socket: questions about alerts and status in, what the board shows out.
//! The evaluator never waits for anybody here.

mod stall;
mod answer;
pub mod query;
mod cursor;
mod stream;

use std::{
    convert::Infallible, fs, io, os::unix::fs::FileTypeExt as _, path::Path, sync::Arc,
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::{
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::umask,
};
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

/// Binds the socket, mode 0660. For a process that has one thread yet.
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
    match probe(path) {
        // With all its places taken, somebody who hangs is still somebody.
        Ok(()) | Err(Errno::AGAIN) => {
            return Err(Failure::Io(format!(
                "somebody answers on {}: stop that sentinel, or give this one a --socket \
                 (SENTINEL_SOCKET) of its own",
                path.display()
            )));
        }
        // Nobody listens: it was left behind. Another kind of file refuses a connection too, and is
        // not ours to remove.
        Err(Errno::CONNREFUSED) => {
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
    // Not a mode that is set afterwards: anybody could connect before. The mask is the whole process's.
    let mask = umask(Mode::from_raw_mode(0o117));
    let listener = UnixListener::bind(path);
    umask(mask);
    listener.map_err(failed)
}

/// Connects, and never waits for a place.
fn probe(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
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

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener as Hung, sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_sentinel_that_hangs_with_all_its_places_taken_is_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let hung = Hung::bind(&path).unwrap();
        // As few as there can be.
        rustix::net::listen(&hung, 0).unwrap();
        // One that has left keeps its place until it is accepted.
        let places = (0..100).take_while(|_| probe(&path).is_ok()).count();
        assert_eq!((places < 100, probe(&path)), (true, Err(Errno::AGAIN)));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(bind(&path).map(drop)));
        let failure = told.recv_timeout(Duration::from_secs(20)).expect("it ends").unwrap_err();
        assert!(failure.to_string().contains("somebody answers"), "{failure}");
    }
}
