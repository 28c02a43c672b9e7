//! A socket in; the same socket, whose writes cannot stall for ever, out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long somebody may take for [`STALL_BYTES_MIN`] of an answer, or for the rest of it.
const STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Fewer bytes than this in that time are a stall: a byte now and then is no progress.
const STALL_BYTES_MIN: usize = 32 << 10;

pub(super) struct Stalling<S> {
    stream: S,
    /// Runs while bytes wait that nobody takes.
    stall: Option<Stall>,
}

struct Stall {
    over: Pin<Box<Sleep>>,
    taken: usize,
}

impl<S> Stalling<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stall: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match (written, &mut self.stall) {
            (Poll::Ready(Ok(bytes)), Some(stall)) => {
                stall.taken += bytes;
                if stall.taken >= STALL_BYTES_MIN {
                    self.stall = None;
                }
                Poll::Ready(Ok(bytes))
            }
            (Poll::Ready(written), _) => Poll::Ready(written),
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

    /// hyper flushes when all there is was written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Whether somebody gets all of an answer that does not fit into its socket, taking so many bytes
    /// every ten seconds.
    async fn is_served(answer: usize, taken: usize) -> bool {
        let (near, mut far) = duplex(4);
        let mut near = Stalling::new(near);
        let writing = async {
            near.write_all(&vec![0; answer]).await?;
            near.flush().await
        };
        let reading = async {
            let mut bytes = vec![0; taken];
            loop {
                sleep(Duration::from_secs(10)).await;
                if far.read_exact(&mut bytes).await.is_err() {
                    // The writer waits for nothing any more.
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            written = writing => written.is_ok(),
            () = reading => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_byte_now_and_then_is_given_up() {
        const ANSWER: usize = 1 << 20;
        assert!(!is_served(ANSWER, 0).await);
        assert!(!is_served(ANSWER, 1).await);
        assert!(!is_served(ANSWER, 8 << 10).await);
        assert!(is_served(ANSWER, 16 << 10).await);
        // The rest is less.
        assert!(is_served(200, 100).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_taken_gives_the_next_its_whole_time() {
        let (near, mut far) = duplex(4);
        let mut near = Stalling::new(near);
        let writing = async {
            for _ in 0..9 {
                near.write_all(&[0; 8]).await?;
                near.flush().await?;
            }
            Ok::<_, io::Error>(())
        };
        let reading = async {
            for _ in 0..9 {
                sleep(STALL_TIME_MAX - Duration::from_secs(1)).await;
                far.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(writing, reading);
        assert!(written.is_ok(), "{written:?}");
    }
}
