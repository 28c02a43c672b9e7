//! A socket in; the same socket out, whose reads are shown to [`Heads`], whose writes cannot stall for
//! ever, and which keeps hyper's own answers to itself.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::{clock, heads::Heads};

/// How long a client may take for [`STALL_BYTES_MIN`] of its answer.
const STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Fewer bytes than this in that time are a stall: a byte now and then is no progress.
const STALL_BYTES_MIN: usize = 32 * 1_024;

pub(super) struct Wire<S> {
    stream: S,
    heads: Arc<Mutex<Heads>>,
    /// Runs while bytes wait that the client does not take.
    stall: Option<Stall>,
    refused: bool,
}

struct Stall {
    over: Pin<Box<Sleep>>,
    taken: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, heads: Arc<Mutex<Heads>>) -> Self {
        Self { stream, heads, stall: None, refused: false }
    }

    /// The socket again, if hyper refused a head: its own answer was held back, and somebody must
    /// give another.
    pub(super) fn unanswered(self) -> Option<S> {
        self.refused.then_some(self.stream)
    }

    /// hyper answers a head that it cannot read with a bare status: no security headers, no reason.
    /// All our answers name their request.
    fn is_bare(bytes: &[u8]) -> bool {
        let status = bytes.get(b"HTTP/1.1 ".len()..).unwrap_or_default();
        [b"400", b"414", b"431"].iter().any(|bare| status.starts_with(*bare))
            && !bytes.windows(12).any(|name| name == b"x-request-id")
    }

    fn or_stalled(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match (&written, &mut self.stall) {
            (Poll::Ready(Ok(bytes)), Some(stall)) => {
                stall.taken += bytes;
                if stall.taken >= STALL_BYTES_MIN {
                    self.stall = None;
                }
                written
            }
            (Poll::Ready(_), _) => written,
            (Poll::Pending, stall) => {
                let stall = stall.get_or_insert_with(|| Stall {
                    over: Box::pin(sleep(STALL_TIME_MAX)),
                    taken: 0,
                });
                ready!(stall.over.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// hyper reads nothing while it answers, so it would not see that the reader of a stream has left
    /// until some later write fails. Nothing that it still sends is a request.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut bytes = [0; 1_024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => {
                    return Poll::Ready(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(()) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            self.heads.lock().push(new, clock::now());
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if Self::is_bare(bytes) {
            self.refused = true;
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_stalled(cx, written)
    }

    /// hyper flushes when the client has taken all there is.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        let is_stream = {
            let mut heads = self.heads.lock();
            heads.flushed();
            heads.is_stream()
        };
        if is_stream && let Poll::Ready(left) = self.poll_left(cx) {
            return Poll::Ready(Err(left));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// A client that takes so many bytes every ten seconds of an answer that does not fit into its
    /// socket; whether it gets all of it.
    async fn is_served(bytes: usize) -> bool {
        const ANSWER: usize = 1 << 20;
        let (ours, mut theirs) = duplex(1_024);
        let mut wire = Wire::new(ours, Arc::default());
        let client = tokio::spawn(async move {
            let mut buffer = vec![0; bytes];
            loop {
                sleep(Duration::from_secs(10)).await;
                let mut left = bytes;
                while left > 0 {
                    let room = buffer.get_mut(..left).unwrap();
                    match theirs.read(room).await {
                        Ok(read) if read > 0 => left -= read,
                        _ => return,
                    }
                }
            }
        });
        let written = wire.write_all(&vec![b'x'; ANSWER]).await;
        client.abort();
        written.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_let_go() {
        assert!(!is_served(1).await);
        assert!(!is_served(STALL_BYTES_MIN / 4).await);
        assert!(is_served(STALL_BYTES_MIN / 2).await);
    }

    #[test]
    fn hyper_s_own_answers_are_known_by_what_they_lack() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n";
        let ours = b"HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\n\r\n";
        assert!(Wire::<()>::is_bare(bare));
        assert!(!Wire::<()>::is_bare(ours));
        assert!(!Wire::<()>::is_bare(b"HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!Wire::<()>::is_bare(b""));
    }
}
