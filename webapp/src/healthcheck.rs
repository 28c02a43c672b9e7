//! An address in; whether a webapp answers `/health` there out.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::{
    clock,
    listen::{self, Address},
};

/// Connecting, asking and reading together.
const DEADLINE: Duration = Duration::from_secs(2);

/// Asks on the loopback where the server listens on every address.
///
/// # Errors
/// Nobody answers, or the answer is no 200.
pub fn check(address: &Address) -> io::Result<()> {
    let deadline = clock::now() + DEADLINE;
    match address {
        Address::Tcp(address) => {
            let address = SocketAddr::new(reachable(address.ip()), address.port());
            let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
            stream.set_write_timeout(Some(left(deadline)?))?;
            ask(stream, &address.to_string(), deadline, TcpStream::set_read_timeout)
        }
        Address::Unix(path) => {
            let stream = listen::knock(path)?;
            stream.set_write_timeout(Some(left(deadline)?))?;
            ask(stream, "localhost", deadline, UnixStream::set_read_timeout)
        }
    }
}

fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

fn ask<S: Read + Write>(
    mut stream: S,
    host: &str,
    deadline: Instant,
    set_read_timeout: impl Fn(&S, Option<Duration>) -> io::Result<()>,
) -> io::Result<()> {
    write!(stream, "GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let expected = b"HTTP/1.1 200 ";
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    while answer.len() < expected.len() {
        set_read_timeout(&stream, Some(left(deadline)?))?;
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    if answer.starts_with(expected) {
        Ok(())
    } else {
        Err(io::Error::other("the answer is no 200"))
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(clock::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
