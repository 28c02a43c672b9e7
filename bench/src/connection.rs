//! Requests in, one after another on a connection that is kept; whether each was answered 200 out.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// Longest answer that is taken.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr, from: Ipv4Addr) -> Result<Self> {
        Ok(Self { stream: connect(to, from).await?, answer: Vec::new() })
    }

    /// Sends a request and reads its answer to the end.
    ///
    /// # Errors
    /// The answer is not 200, or not whole.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await.context("sending a request")?;
        self.answer.clear();
        loop {
            ensure!(self.answer.len() < ANSWER_BYTES_MAX, "an answer without an end");
            let read = self.stream.read_buf(&mut self.answer).await.context("reading an answer")?;
            ensure!(read > 0, "closed before the answer was whole: {}", self.text());
            if is_whole(&self.answer) {
                break;
            }
        }
        if !self.answer.starts_with(b"HTTP/1.1 200 ") {
            bail!("not answered 200: {}", self.text());
        }
        Ok(())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer).into_owned()
    }
}

/// Connects from that address of this machine.
pub(crate) async fn connect(to: SocketAddr, from: Ipv4Addr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into()).with_context(|| format!("taking {from}"))?;
    socket.set_nodelay(true)?;
    socket.connect(to).await.with_context(|| format!("connecting to {to} from {from}"))
}

/// Whether the head and as many bytes as it announces are there.
fn is_whole(answer: &[u8]) -> bool {
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return false };
    let (head, body) = answer.split_at(end);
    let Some(at) = memmem::find(head, LENGTH) else { return false };
    let digits = head.iter().skip(at + LENGTH.len()).take_while(|b| b.is_ascii_digit());
    let length = digits.fold(0, |length: usize, digit| length * 10 + usize::from(digit - b'0'));
    4 + length <= body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        for (answer, whole) in [
            ("", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\na: b\r\n\r\nabcdefghij", true),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            assert_eq!(is_whole(answer.as_bytes()), whole, "{answer:?}");
        }
    }
}
