//! A path and a query in; a connection to sentinel's socket and the body of its answer out.

use std::{
    path::Path,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    body::Incoming,
    client::conn::http1::{self, Connection},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Unavailable;

/// A connection for one question. It moves no byte by itself: only while it is polled.
pub(super) struct Talk {
    connection: Pin<Box<Connection<TokioIo<UnixStream>, Empty<Bytes>>>>,
    ended: bool,
}

impl Talk {
    /// Asks, and waits for the head of a good answer.
    pub(super) async fn begin(
        socket: &Path,
        path: &str,
        query: &str,
        seen: Option<u64>,
    ) -> Result<(Self, Incoming), Unavailable> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| Unavailable::new(format_args!("{}: {error}", socket.display())))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(Unavailable::new)?;
        let mut talk = Self { connection: Box::pin(connection), ended: false };
        let separator = if query.is_empty() { "" } else { "?" };
        let mut request = Request::get(format!("{path}{separator}{query}"))
            .header(header::HOST, "sentinel")
            .header(header::CONNECTION, "close");
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let request = request.body(Empty::new()).map_err(Unavailable::new)?;
        let response = talk.during(sender.send_request(request)).await.map_err(Unavailable::new)?;
        if response.status() != StatusCode::OK {
            return Err(Unavailable::new(format_args!("sentinel said {}", response.status())));
        }
        Ok((talk, response.into_body()))
    }

    /// Moves bytes until that has what it waits for.
    pub(super) async fn during<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        std::future::poll_fn(|cx| {
            self.poll(cx);
            waiting.as_mut().poll(cx)
        })
        .await
    }

    /// Moves the bytes that can be moved now. An error of the connection reaches whoever waits for
    /// its bytes too.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = matches!(self.connection.as_mut().poll(cx), Poll::Ready(_));
        }
    }
}
