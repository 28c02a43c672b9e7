//! HTTP/1.1 over a unix socket: questions about alerts and status in, what the board shows out.
//! The evaluator never waits for anybody here.

mod bound;
mod stall;
mod answer;
pub mod query;
mod cursor;
mod stream;

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::board::Board;
use answer::Asked;
pub use bound::Bound;
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

/// Answers until the board says that no alert will follow, and streams have told the last of them.
pub async fn serve(mut bound: Bound, board: Arc<Board>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let streams = Arc::new(Semaphore::new(STREAMS_MAX as usize));
    let mut over = board.listen();
    loop {
        tokio::select! {
            () = accept(&bound.listener, &board, &places, &streams) => {}
            anew = bound.anew() => bound = anew,
            _over = over.wait_for(|over| *over) => break,
        }
    }
    // All places are free: no stream is open. One that is not read is cut off.
    drop(timeout(END_TIME_MAX, streams.acquire_many(STREAMS_MAX)).await);
}

/// Accepts for ever.
async fn accept(
    listener: &UnixListener,
    board: &Arc<Board>,
    places: &Arc<Semaphore>,
    streams: &Arc<Semaphore>,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
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
