//! One HTTP/1.1 request over TCP or a unix socket, and its answer: enough for a probe.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longest wait for a connection, and for each read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header that came exactly once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// The bytes of a request without a body. `target` goes out as it is, valid or not.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Sends `GET target` and reads the answer.
pub(crate) fn get(address: &Address, target: &str) -> Result<Answer> {
    send(address, &request("GET", target, &[]))
}

/// Sends the bytes and reads the answer.
pub(crate) fn send(address: &Address, request: &[u8]) -> Result<Answer> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, PATIENCE)
                .with_context(|| address.to_string())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            exchange(&stream, &stream, request)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            exchange(&stream, &stream, request)
        }
    }
}

/// Sends the bytes one way and reads the answer from the other.
pub(crate) fn exchange(mut from: impl Read, mut to: impl Write, request: &[u8]) -> Result<Answer> {
    to.write_all(request).context("sending a request")?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    while !is_whole(&bytes) && bytes.len() <= ANSWER_BYTES_MAX {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A refusal may come with a reset behind it; what was said before it counts.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(error) => return Err(error).context("reading an answer"),
        }
    }
    parse(&String::from_utf8_lossy(&bytes))
}

/// Whether there is nothing more to come. An answer that does not say its length ends with the
/// connection.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let Ok(answer) = parse(head) else { return false };
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| head.len() + 4 + length <= bytes.len())
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let Some(status) = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
    else {
        bail!("no HTTP answer: {first:?}");
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Answer { status, headers, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u16, &str)>) {
        let answer = parse(text).ok();
        assert_eq!(answer.as_ref().map(|a| (a.status, a.body.as_str())), expected);
    }

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        check("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello", Some((200, "hello")));
        check("HTTP/1.0 503 \r\n\r\n", Some((503, "")));
        check("HTTP/1.1 400 Bad Request\r\n", Some((400, "")));
        check("", None);
        check("SSH-2.0-OpenSSH_9.2\r\n", None);
        check("HTTP/1.1 many\r\n\r\n", None);
    }

    #[test]
    fn an_answer_is_read_as_far_as_it_goes() {
        for (text, whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\nab", false),
            ("", false),
        ] {
            assert_eq!(is_whole(text.as_bytes()), whole, "{text:?}");
        }
    }

    #[test]
    fn a_header_counts_when_it_came_once() {
        let answer = parse("HTTP/1.1 200 OK\r\nOne: 1\r\nTwo: a\r\ntwo: b\r\n\r\n").unwrap();
        assert_eq!(answer.header("one"), Some("1"));
        assert_eq!(answer.header("two"), None);
        assert_eq!(answer.header("three"), None);
    }
}
