//! A body in; how much of it came, or why it stops the request, out.
//!
//! No endpoint takes a body yet, so nothing is kept: it is counted as it streams past, and a client
//! with many slow uploads costs no memory.

use std::{error::Error, io, time::Duration};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Body, Incoming},
    header,
};
use tokio::time::timeout;

/// Most bytes that are read of a body nobody wants.
pub const DRAIN_BYTES_MAX: u64 = 4 << 20;

/// Longest time that is spent on a body nobody wants.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// How much a body may hold, and how long it may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the largest body, itself allowed.
    pub bytes_max: u64,
    /// For the whole body to arrive.
    pub time_max: Duration,
}

/// Why a body stops its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Over the limit, as declared or as counted.
    TooLarge,
    /// Not there in time.
    Late,
    /// Its chunks are not framed as HTTP says.
    BadFraming,
    /// The client left.
    Aborted,
}

/// Reads a body to its end; `arrived` counts its bytes whatever becomes of it.
///
/// # Errors
/// Why it stops the request.
pub async fn read(
    headers: &HeaderMap,
    body: &mut Incoming,
    limits: &Limits,
    arrived: &mut u64,
) -> Result<(), Stopped> {
    if declared(headers).is_some_and(|bytes| bytes > limits.bytes_max) {
        // Not polled, so a client that waits for `100 Continue` never sends it.
        return Err(Stopped::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(());
    }
    let count = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| stopped(&error))?;
            *arrived += frame.data_ref().map_or(0, |data| data.len() as u64);
            if *arrived > limits.bytes_max {
                return Err(Stopped::TooLarge);
            }
        }
        Ok(())
    };
    timeout(limits.time_max, count).await.unwrap_or(Err(Stopped::Late))
}

/// `Content-Length`, which hyper has checked.
pub fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Reads on for a while, in a task of its own, what a client is still sending: closing with unread
/// bytes resets the connection, and the client would see no answer at all (RFC 9112 §9.6).
pub fn drain(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    // Nobody awaits this task: it ends by itself, and shutting down need not wait for it.
    tokio::spawn(async move {
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > DRAIN_BYTES_MAX {
                    break;
                }
            }
        };
        let _late = timeout(DRAIN_TIME_MAX, read).await;
    });
}

/// hyper says `InvalidInput` or `InvalidData` of chunks, and `UnexpectedEof` or the socket's error
/// of a client that left.
fn stopped(error: &hyper::Error) -> Stopped {
    let kind =
        error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Stopped::BadFraming,
        _ => Stopped::Aborted,
    }
}
