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

use crate::{clock, heads::Heads, unsent::Share};

/// How long a client may take for [`STALL_BYTES_MIN`] of its answer.
const STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Fewer bytes than this in that time are a stall: a byte now and then is no progress, and the longest
/// answer is held for two minutes at most.
const STALL_BYTES_MIN: usize = 256 * 1_024;

/// Bytes that the reader of a stream may send while it reads.
const UNASKED_BYTES_MAX: usize = 4 * 1_024;

pub(super) struct Wire<S> {
    stream: S,
    heads: Arc<Mutex<Heads>>,
    /// Runs while bytes wait that the client does not take.
    stall: Option<Stall>,
    unsent: Share,
    /// The most that waited since all was taken: hyper's buffer shrinks no sooner.
    buffered: usize,
    /// Bytes that came while a stream was sent.
    unasked: usize,
    refused: bool,
}

struct Stall {
    over: Pin<Box<Sleep>>,
    taken: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, heads: Arc<Mutex<Heads>>, unsent: Share) -> Self {
        Self { stream, heads, stall: None, unsent, buffered: 0, unasked: 0, refused: false }
    }

    /// hyper refused a head: its own answer was held back, and somebody must give another.
    pub(super) fn is_unanswered(&self) -> bool {
        self.refused
    }

    /// The socket again.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// hyper answers a head that it cannot read with a bare status: no security headers, no reason.
    /// What it writes while an answer of ours is under way is never that, whatever it looks like: a
    /// part of an answer may be text of a stranger.
    fn is_bare(&self, bytes: &[u8]) -> bool {
        let is_refusal = [b"HTTP/1.1 400 ", b"HTTP/1.1 414 ", b"HTTP/1.1 431 "]
            .iter()
            .any(|refusal| bytes.starts_with(*refusal));
        is_refusal && !self.heads.lock().is_answering()
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
            (Poll::Pending, _) if !self.unsent.hold(self.buffered) => {
                Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()))
            }
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
    /// until some later write fails. Nothing that it still sends is a request, nor read for long.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut bytes = [0; 1_024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => {
                    return Poll::Ready(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(()) => self.unasked += buffer.filled().len(),
                Err(error) => return Poll::Ready(error),
            }
            if self.unasked > UNASKED_BYTES_MAX {
                return Poll::Ready(io::ErrorKind::InvalidData.into());
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
        if self.is_bare(bytes) {
            self.refused = true;
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.buffered = self.buffered.max(bytes.len());
        self.or_stalled(cx, written)
    }

    /// hyper flushes when the client has taken all there is.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        self.buffered = 0;
        self.unsent.release();
        let is_stream = {
            let mut heads = self.heads.lock();
            heads.flushed(clock::now);
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
    use crate::{
        heads::Length,
        unsent::{SMALL_BYTES_MAX, UNSENT_BYTES_MAX, Unsent},
    };

    fn wire<S>(stream: S, unsent: &Arc<Unsent>) -> Wire<S> {
        Wire::new(stream, Arc::default(), Share::new(Arc::clone(unsent)))
    }

    /// A client that takes so many bytes every ten seconds of an answer that does not fit into its
    /// socket; whether it gets all of it.
    async fn is_served(bytes: usize) -> bool {
        const ANSWER: usize = 1 << 20;
        let (ours, mut theirs) = duplex(1_024);
        let mut wire = wire(ours, &Arc::default());
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

    #[tokio::test]
    async fn an_answer_that_no_memory_is_left_for_is_let_go() {
        let unsent = Arc::new(Unsent::default());
        let mut others = Share::new(Arc::clone(&unsent));
        assert!(others.hold(UNSENT_BYTES_MAX));
        let (ours, _deaf) = duplex(10);
        let answer = vec![b'x'; SMALL_BYTES_MAX + 1];
        let error = wire(ours, &unsent).write_all(&answer).await.unwrap_err();
        assert_eq!((error.kind(), unsent.shed()), (io::ErrorKind::OutOfMemory, 1));
    }

    /// What is held back of a write, as the connection stands.
    #[track_caller]
    fn check(prepare: impl Fn(&mut Heads), bytes: &str, held_back: bool) {
        let wire = wire((), &Arc::default());
        prepare(&mut wire.heads.lock());
        assert_eq!(wire.is_bare(bytes.as_bytes()), held_back, "{bytes:?}");
    }

    #[test]
    fn hyper_s_own_answers_alone_are_held_back() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n";
        let chunk = "1ab\r\nid: 400\ndata: {}\n\n\r\n";
        let idle = |_: &mut Heads| {};
        let asked = |heads: &mut Heads| {
            heads.parsed(Length::Known(0), clock::now());
        };
        let answered = |heads: &mut Heads| {
            heads.parsed(Length::Known(0), clock::now());
            heads.answered(false);
        };
        let taken = |heads: &mut Heads| {
            heads.parsed(Length::Known(0), clock::now());
            heads.answered(false);
            heads.flushed(clock::now);
        };
        let streams = |heads: &mut Heads| {
            heads.parsed(Length::Known(0), clock::now());
            heads.answered(true);
            heads.streams();
            heads.flushed(clock::now);
        };
        check(idle, bare, true);
        check(taken, bare, true);
        // The rest of an answer begins anywhere, and may say anything.
        check(asked, bare, false);
        check(answered, bare, false);
        check(streams, bare, false);
        check(streams, chunk, false);
        for other in ["", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", chunk] {
            check(idle, other, false);
        }
    }
}
