//! The body of an answer that has no length in; the same, and a record when it ends, out.

use std::{
    convert::Infallible,
    fmt::Display,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::{StatusCode, body::Body};
use warp::Stream;

use super::Unfinished;

/// Dropped before its end, the client has left: it writes that down.
pub(super) struct Streamed<B> {
    body: B,
    status: StatusCode,
    unfinished: Unfinished,
    sent: u64,
}

/// Why a stream ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed its connection, or took nothing for too long.
    Left,
    /// The server stops.
    Stopped,
    /// What the answer comes from failed so.
    Failed(String),
}

impl End {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Left => "client left",
            Self::Stopped => "server stopped",
            Self::Failed(_) => "upstream ended",
        }
    }
}

impl<B> Streamed<B> {
    pub(super) fn new(body: B, status: StatusCode, unfinished: Unfinished) -> Self {
        Self { body, status, unfinished, sent: 0 }
    }

    fn end(&mut self, end: &End) {
        if !self.unfinished.done {
            self.unfinished.record_stream(self.status, self.sent, end);
        }
    }
}

impl<B> Stream for Streamed<B>
where
    B: Body<Data = Bytes, Error: Display> + Unpin,
    Self: Unpin,
{
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.unfinished.done {
            return Poll::Ready(None);
        }
        let end = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let bytes = frame.into_data().unwrap_or_default();
                self.sent += bytes.len() as u64;
                return Poll::Ready(Some(Ok(bytes)));
            }
            // The client sees an answer that ended: it comes back in either case.
            Some(Err(failure)) => End::Failed(failure.to_string()),
            None => End::Stopped,
        };
        self.end(&end);
        Poll::Ready(None)
    }
}

impl<B> Drop for Streamed<B> {
    fn drop(&mut self) {
        let stopped = self.unfinished.app.streams.is_over();
        self.end(if stopped { &End::Stopped } else { &End::Left });
    }
}
