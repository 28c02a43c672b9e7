//! Written text in, [`Settings`] out; reading goes on after a fault, so that all are found.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::{
    Settings,
    fault::{Fault, Faults},
    guards::policies,
    value::{file, list, number, origin, quoted, seconds, text},
    written::Written,
};
use crate::{classify::Endpoint, client::Proxies, listen::Address, origin::Origin};

/// Smallest bearer token, in characters.
const TOKEN_CHARS_MIN: usize = 16;

impl Settings {
    /// Reads what was written, and the files it names; `endpoints` are what there is to exempt.
    ///
    /// # Errors
    /// Every fault, in the order of `--help`.
    pub fn parse(written: &Written, endpoints: &[&'static Endpoint]) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let f = &mut faults;
        let w = written;

        let log_dir = PathBuf::from(text(&w.log_dir).unwrap_or("logs"));
        let proxies = Proxies {
            trusted: networks(f, &w.trusted_proxies),
            header: header_name(f, &w.client_ip_header),
        };
        let address = address(f, w);
        // Behind a proxy this is also how long the proxy may keep an idle connection of its pool.
        let is_behind = !proxies.trusted.is_empty() || matches!(address, Address::Unix(_));
        let head_seconds = if is_behind { 30 } else { 10 };

        let settings = Self {
            address,
            log_bytes_max: number(f, "LOG_MAX_BYTES", &w.log_max_bytes, 64 << 20, 65_536, 1 << 40),
            instance: instance(f, &w.service_instance),
            sentinel_socket: sentinel_socket(f, &w.sentinel_socket, &log_dir),
            alerts_token: alerts_token(f, &w.alerts_token_file),
            proxies,
            public_origin: public_origin(f, &w.public_origin),
            guards: policies(f, w, endpoints),
            connections_max: number(f, "MAX_CONNECTIONS", &w.max_connections, 4_096, 1, 1_000_000),
            connections_per_client_max: number(
                f,
                "MAX_CONNECTIONS_PER_CLIENT",
                &w.max_connections_per_client,
                64,
                1,
                1_000_000,
            ),
            head_timeout: seconds(
                f,
                "HEAD_TIMEOUT_SECONDS",
                &w.head_timeout_seconds,
                head_seconds,
                300,
            ),
            handler_timeout: seconds(
                f,
                "HANDLER_TIMEOUT_SECONDS",
                &w.handler_timeout_seconds,
                10,
                3_600,
            ),
            log_dir,
        };
        if faults.0.is_empty() { Ok(settings) } else { Err(faults.0) }
    }
}

impl Written {
    /// Where the server is, for a command that only asks it.
    ///
    /// # Errors
    /// Every fault of `LISTEN_SOCKET`, `HOST` and `PORT`.
    pub fn address(&self) -> Result<Address, Vec<Fault>> {
        let mut faults = Faults::default();
        let address = address(&mut faults, self);
        if faults.0.is_empty() { Ok(address) } else { Err(faults.0) }
    }
}

fn address(faults: &mut Faults, written: &Written) -> Address {
    let host = host(faults, &written.host);
    let port = number(faults, "PORT", &written.port, 5_000, 0, 65_535);
    match text(&written.listen_socket) {
        Some(path) => Address::Unix(socket(faults, "LISTEN_SOCKET", PathBuf::from(path))),
        None => Address::Tcp(SocketAddr::new(host, port)),
    }
}

fn host_of(written: &Option<String>) -> Result<IpAddr, &str> {
    match text(written) {
        None | Some("localhost") => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(text) => {
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            bare.unwrap_or(text).parse().map_err(|_| text)
        }
    }
}

fn host(faults: &mut Faults, written: &Option<String>) -> IpAddr {
    host_of(written).unwrap_or_else(|text| {
        faults.add(
            "HOST",
            format!("{} is not an IP address", quoted(text)),
            "write one such as 127.0.0.1, 0.0.0.0 or ::",
        );
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    })
}

fn instance(faults: &mut Faults, written: &Option<String>) -> Option<String> {
    let text = text(written)?;
    if text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        faults.add(
            "SERVICE_INSTANCE",
            format!("{} is no name", quoted(text)),
            "write up to 64 visible ASCII characters without blanks",
        );
    }
    Some(text.to_owned())
}

fn sentinel_socket(faults: &mut Faults, written: &Option<String>, log_dir: &Path) -> PathBuf {
    let path = text(written).map_or_else(
        || shared::socket::default_socket(&shared::socket::default_state_dir(log_dir)),
        PathBuf::from,
    );
    socket(faults, "SENTINEL_SOCKET", path)
}

fn socket(faults: &mut Faults, variable: &'static str, path: PathBuf) -> PathBuf {
    let bytes = path.as_os_str().len();
    if bytes > shared::socket::PATH_BYTES_MAX {
        faults.add(
            variable,
            format!("{} has {bytes} bytes", quoted(&path.to_string_lossy())),
            format!(
                "a unix socket's path has at most {}: name a shorter one, here and to the other \
                 side",
                shared::socket::PATH_BYTES_MAX
            ),
        );
    }
    path
}

fn alerts_token(faults: &mut Faults, written: &Option<String>) -> Option<String> {
    let path = text(written)?;
    let content = file(faults, "ALERTS_TOKEN_FILE", path)?;
    let token = content.trim();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        // The token itself stays out of the message.
        faults.add(
            "ALERTS_TOKEN_FILE",
            format!("{} does not hold a token", quoted(path)),
            format!(
                "write one of at least {TOKEN_CHARS_MIN} visible ASCII characters: \
                 openssl rand -hex 32 > FILE"
            ),
        );
    }
    Some(token.to_owned())
}

fn networks(faults: &mut Faults, written: &Option<String>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for entry in list(written) {
        match entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => faults.add(
                "TRUSTED_PROXIES",
                format!("{} is neither an address nor a network", quoted(entry)),
                "write a list such as 10.0.0.0/8,::1",
            ),
        }
    }
    networks
}

fn header_name(faults: &mut Faults, written: &Option<String>) -> String {
    let name = text(written).unwrap_or("x-forwarded-for");
    if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
        faults.add(
            "CLIENT_IP_HEADER",
            format!("{} is not a header's name", quoted(name)),
            "write one such as X-Forwarded-For or X-Real-IP",
        );
    }
    name.to_ascii_lowercase()
}

fn public_origin(faults: &mut Faults, written: &Option<String>) -> Option<Origin> {
    let text = text(written)?;
    origin(faults, "PUBLIC_ORIGIN", text)
}

#[cfg(test)]
mod tests;
