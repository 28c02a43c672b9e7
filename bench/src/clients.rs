//! `bench clients`: as many clients as the limiter is made for, behind a proxy; the memory they take.

use anyhow::{Result, ensure};

use crate::{
    load::{self, Request},
    say::say,
    server::Server,
};

const CLIENTS: u64 = 100_000;

/// What webapp allows one client in a window unless told otherwise.
const WINDOW_REQUESTS: u64 = 30;

/// webapp keeps below, however many clients there are.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// Prints the memory before, with one request of each client, and with full windows.
///
/// # Errors
/// An answer is not 200, or it takes more than [`MEMORY_BYTES_MAX`].
pub(crate) fn run() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let webapp = Server::webapp(dir.path(), &[("TRUSTED_PROXIES", "127.0.0.0/8")])?;
    let tell = |when: &str| {
        let bytes = webapp.process.memory()?;
        say!("{when:<40} {:>6.1} MB", bytes as f64 / 1e6);
        ensure!(bytes < MEMORY_BYTES_MAX, "more than {MEMORY_BYTES_MAX} bytes");
        Ok(())
    };
    tell("before")?;
    load::drive(webapp.address, CLIENTS, Forwarded)?;
    tell(&format!("{CLIENTS} clients, one request each"))?;
    load::drive(webapp.address, CLIENTS * (WINDOW_REQUESTS - 1), Forwarded)?;
    tell(&format!("{CLIENTS} clients, {WINDOW_REQUESTS} requests each"))?;
    webapp.process.stop()
}

/// Each of another client than the [`CLIENTS`] before.
#[derive(Clone)]
struct Forwarded;

impl Request for Forwarded {
    fn write(&self, n: u64, to: &mut Vec<u8>) {
        load::start(to, "/");
        let [.., a, b, c] = (n % CLIENTS).to_be_bytes();
        to.extend_from_slice(format!("X-Forwarded-For: 10.{a}.{b}.{c}\r\n\r\n").as_bytes());
    }
}
