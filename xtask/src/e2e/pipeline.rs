//! Many requests in one write over one connection; their answers, in their order.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Longest wait for each read.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Pipeline {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What is looked at of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brief {
    pub(super) status: u16,
    /// `Retry-After`.
    pub(super) retry_after: Option<u64>,
    /// Of its head and its body.
    bytes: usize,
}

impl Pipeline {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| address.to_string())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends heads of so many requests, and reads as many answers.
    pub(super) fn ask(&mut self, heads: &[u8], count: usize) -> Result<Vec<Brief>> {
        self.stream.write_all(heads).context("sending requests")?;
        let mut answers = Vec::with_capacity(count);
        let mut piece = [0; 64 << 10];
        while answers.len() < count {
            if let Some(answer) = brief(&self.unread)? {
                self.unread.drain(..answer.bytes);
                answers.push(answer);
                continue;
            }
            match self.stream.read(&mut piece).context("reading answers")? {
                0 => bail!("closed after {} of {count} answers", answers.len()),
                read => self.unread.extend_from_slice(&piece[..read]),
            }
        }
        Ok(answers)
    }
}

/// The first answer, if all of it is there.
fn brief(bytes: &[u8]) -> Result<Option<Brief>> {
    let Some(head_bytes) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..head_bytes]).to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let field = |name| head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let length: u64 = field("content-length:").context("an answer without a length")?;
    let bytes_of_it = head_bytes + 4 + usize::try_from(length)?;
    let answer = Brief {
        status: status.context("no status")?,
        retry_after: field("retry-after:"),
        bytes: bytes_of_it,
    };
    Ok((bytes_of_it <= bytes.len()).then_some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_all_of_it_is_there() {
        let two =
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 ";
        let answer = Brief { status: 429, retry_after: Some(7), bytes: 62 };
        assert_eq!(brief(two).unwrap(), Some(answer));
        assert_eq!(brief(&two[..61]).unwrap(), None);
        assert_eq!(brief(&two[..20]).unwrap(), None);
        assert!(brief(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
