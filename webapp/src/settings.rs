//! Flags and environment in; settings that cannot be wrong out, or every fault at once.

mod fault;
mod read;
mod guards;
mod csrf;
mod value;
mod written;

pub use fault::Fault;
pub use written::{Command, Written};

use std::{path::PathBuf, time::Duration};

use crate::{client::Proxies, guard, listen::Address, origin::Origin};

/// Fewer clients than this in the limiter's memory deserve a word.
const CLIENTS_FEW: u64 = 1_000;

/// How webapp runs. Every value is within its bounds.
#[derive(Debug)]
pub struct Settings {
    /// `LISTEN_SOCKET`, else `HOST` and `PORT`.
    pub address: Address,
    /// `LOG_DIR`: created if missing.
    pub log_dir: PathBuf,
    /// `LOG_MAX_BYTES`: a log file is rotated before it grows past this.
    pub log_bytes_max: u64,
    /// `SERVICE_INSTANCE`: told apart where several webapps share a directory.
    pub instance: Option<String>,
    /// `SENTINEL_SOCKET`: where `/alerts` asks.
    pub sentinel_socket: PathBuf,
    /// `ALERTS_TOKEN_FILE`: the bearer token that `/alerts` and `/alerts/stream` want, if any.
    pub alerts_token: Option<String>,
    /// Whose forwarded headers count, and which one.
    pub proxies: Proxies,
    /// `PUBLIC_ORIGIN`: what browsers call this server.
    pub public_origin: Option<Origin>,
    /// What the guards hold requests against.
    pub guards: guard::Policies,
    /// `MAX_CONNECTIONS`, open at one time.
    pub connections_max: usize,
    /// `MAX_CONNECTIONS_PER_CLIENT`, open at one time; a trusted proxy has no such limit.
    pub connections_per_client_max: usize,
    /// `HEAD_TIMEOUT_SECONDS`: for a head to arrive, and for an idle connection.
    pub head_timeout: Duration,
    /// `HANDLER_TIMEOUT_SECONDS`: for a handler to answer.
    pub handler_timeout: Duration,
}

impl Settings {
    /// What an operator should know before strangers do.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.guards.csrf.keys.is_ephemeral() {
            warnings.push(
                "CSRF_SECRET_FILE is not set: the key is random, so tokens die with this process \
                 and other replicas refuse them",
            );
        }
        if self.alerts_token.is_none() && self.address.is_exposed() {
            warnings.push(
                "/alerts and /alerts/stream are open to everybody who reaches this address: set \
                 ALERTS_TOKEN_FILE, or restrict them in the proxy",
            );
        }
        if self.guards.rate.clients_max() < CLIENTS_FEW {
            warnings.push(
                "RATE_LIMIT_MEMORY_BYTES holds few clients with RATE_LIMIT_REQUESTS as it is: a \
                 crowd makes the limiter forget some",
            );
        }
        if self.guards.cors.is_open_to_all() {
            warnings.push("ALLOWED_CORS_ORIGINS is *: every web page may read the answers");
        }
        if self.public_origin.as_ref().is_some_and(Origin::is_secure) && !self.guards.csrf.secure {
            warnings.push(
                "PUBLIC_ORIGIN is https but CSRF_COOKIE_SECURE is off: the cookie also travels over http",
            );
        }
        warnings
    }
}
