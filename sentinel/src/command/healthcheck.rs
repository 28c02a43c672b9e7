//! `sentinel healthcheck`: asks the socket, as an orchestrator does.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use crate::failure::Failure;

const DEADLINE: Duration = Duration::from_secs(2);

/// Succeeds if the sentinel on that socket answers `/healthz` with 200 within two seconds.
///
/// # Errors
/// It does not.
pub fn healthcheck(socket: &Path) -> Result<(), Failure> {
    let unhealthy = |why: String| {
        Failure::Expectation(format!("no healthy sentinel on {}: {why}", socket.display()))
    };
    let head = ask(socket).map_err(|error| unhealthy(error.to_string()))?;
    if head.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Err(unhealthy(format!("it answers `{}`", status.escape_ascii())))
}

fn ask(socket: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let path = shared::socket::HEALTHZ;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(1024).read_to_end(&mut head)?;
    Ok(head)
}
