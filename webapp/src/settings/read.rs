//! Written text in, [`Settings`] out; reading goes on after a fault, so that all are found.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::{
    Fault, Proxies, Settings, Written,
    fault::Faults,
    value::{file, list, number, quoted, seconds, switch, text},
};
use crate::{
    guard::{cors, csrf, query, rate},
    origin::Origin,
    routes,
};

/// Smallest signing key, in bytes.
const KEY_BYTES_MIN: usize = 32;

/// Smallest bearer token, in characters.
const TOKEN_CHARS_MIN: usize = 16;

pub(super) fn settings(written: &Written) -> Result<Settings, Vec<Fault>> {
    let mut faults = Faults::default();
    let f = &mut faults;
    let w = written;

    let log_dir = PathBuf::from(text(&w.log_dir).unwrap_or("logs"));
    let proxies = Proxies {
        trusted: networks(f, &w.trusted_proxies),
        header: header_name(f, "CLIENT_IP_HEADER", &w.client_ip_header, "x-forwarded-for"),
    };
    // Behind a proxy this is also how long the proxy may keep an idle connection of its pool.
    let head_seconds = if proxies.trusted.is_empty() { 10 } else { 30 };

    let settings = Settings {
        host: host(f, &w.host),
        port: number(f, "PORT", &w.port, 5_000, 0, 65_535),
        log_bytes_max: number(f, "LOG_MAX_BYTES", &w.log_max_bytes, 64 << 20, 65_536, 1 << 40),
        instance: instance(f, &w.service_instance),
        sentinel_socket: socket(f, &w.sentinel_socket, &log_dir),
        alerts_token: alerts_token(f, &w.alerts_token_file),
        proxies,
        public_origin: public_origin(f, &w.public_origin),
        rate: rate_policy(f, w),
        rate_exempt: exempt(f, &w.rate_limit_exempt),
        cors: cors_policy(f, w),
        csrf: csrf_policy(f, w),
        query: query::Limits {
            params_max: number(f, "MAX_QUERY_PARAMS", &w.max_query_params, 20, 0, 1_000),
            key_chars_max: number(f, "MAX_QUERY_KEY_LENGTH", &w.max_query_key_length, 64, 1, 1_024),
            value_chars_max: number(
                f,
                "MAX_QUERY_VALUE_LENGTH",
                &w.max_query_value_length,
                512,
                0,
                16_384,
            ),
            // The record holds the whole query and must stay within its 40 KiB.
            bytes_max: number(f, "QUERY_BYTES_MAX", &w.query_bytes_max, 16_384, 0, 16_384),
        },
        body_bytes_max: number(
            f,
            "MAX_CONTENT_LENGTH_BYTES",
            &w.max_content_length_bytes,
            1 << 20,
            0,
            1 << 30,
        ),
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
        body_timeout: seconds(f, "BODY_TIMEOUT_SECONDS", &w.body_timeout_seconds, 10, 3_600),
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

/// `HOST` and `PORT` alone, for a command that needs no more.
pub(super) fn address(written: &Written) -> Result<SocketAddr, Fault> {
    let mut faults = Faults::default();
    let host = host(&mut faults, &written.host);
    let port = number(&mut faults, "PORT", &written.port, 5_000, 0, 65_535);
    faults.0.pop().map_or_else(|| Ok(SocketAddr::new(host, port)), Err)
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

fn socket(faults: &mut Faults, written: &Option<String>, log_dir: &Path) -> PathBuf {
    let path = text(written).map_or_else(
        || shared::socket::default_socket(&shared::socket::default_state_dir(log_dir)),
        PathBuf::from,
    );
    let bytes = path.as_os_str().len();
    if bytes > shared::socket::PATH_BYTES_MAX {
        faults.add(
            "SENTINEL_SOCKET",
            format!("{} has {bytes} bytes", quoted(&path.to_string_lossy())),
            format!(
                "a unix socket's path has at most {}: name a shorter one here and to sentinel",
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

fn header_name(
    faults: &mut Faults,
    variable: &'static str,
    written: &Option<String>,
    default: &str,
) -> String {
    let name = text(written).unwrap_or(default);
    if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
        faults.add(
            variable,
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

fn origin(faults: &mut Faults, variable: &'static str, text: &str) -> Option<Origin> {
    Origin::parse(text)
        .inspect_err(|wrong| {
            faults.add(
                variable,
                format!("{}: {wrong}", quoted(text)),
                "write scheme://host[:port] as browsers do, for example https://app.example",
            );
        })
        .ok()
}

fn rate_policy(f: &mut Faults, w: &Written) -> rate::Policy {
    let policy = rate::Policy {
        requests: number(f, "RATE_LIMIT_REQUESTS", &w.rate_limit_requests, 30, 1, 100_000),
        window: seconds(f, "RATE_LIMIT_WINDOW_SECONDS", &w.rate_limit_window_seconds, 60, 86_400),
        base_block: seconds(
            f,
            "RATE_LIMIT_BASE_BLOCK_SECONDS",
            &w.rate_limit_base_block_seconds,
            30,
            86_400,
        ),
        max_block: seconds(
            f,
            "RATE_LIMIT_MAX_BLOCK_SECONDS",
            &w.rate_limit_max_block_seconds,
            300,
            86_400,
        ),
        ipv6_prefix: number(f, "RATE_LIMIT_IPV6_PREFIX", &w.rate_limit_ipv6_prefix, 64, 48, 64),
        memory_bytes: number(
            f,
            "RATE_LIMIT_MEMORY_BYTES",
            &w.rate_limit_memory_bytes,
            48 << 20,
            1 << 20,
            1 << 36,
        ),
    };
    if policy.max_block < policy.base_block {
        f.add(
            "RATE_LIMIT_MAX_BLOCK_SECONDS",
            format!(
                "{} is less than RATE_LIMIT_BASE_BLOCK_SECONDS, {}",
                policy.max_block.as_secs(),
                policy.base_block.as_secs()
            ),
            "make the longest block at least as long as the first",
        );
    }
    if policy.clients_max() < rate::CLIENTS_MIN {
        f.add(
            "RATE_LIMIT_MEMORY_BYTES",
            format!(
                "{} holds {} clients that make RATE_LIMIT_REQUESTS, {}",
                policy.memory_bytes,
                policy.clients_max(),
                policy.requests
            ),
            format!("give room for {} or lower the limit", rate::CLIENTS_MIN),
        );
    }
    policy
}

fn exempt(faults: &mut Faults, written: &Option<String>) -> HashSet<&'static str> {
    match text(written) {
        None => return HashSet::from([routes::health::ENDPOINT.path]),
        Some("none") => return HashSet::new(),
        Some(_) => {}
    }
    let mut exempt = HashSet::new();
    for entry in list(written) {
        match routes::ENDPOINTS.iter().find(|endpoint| endpoint.path == entry) {
            Some(endpoint) => {
                exempt.insert(endpoint.path);
            }
            None => {
                let known: Vec<_> = routes::ENDPOINTS.iter().map(|e| e.path).collect();
                faults.add(
                    "RATE_LIMIT_EXEMPT",
                    format!("{} is not a route", quoted(entry)),
                    format!("write \"none\" or a list of {}", known.join(", ")),
                );
            }
        }
    }
    exempt
}

fn cors_policy(faults: &mut Faults, w: &Written) -> cors::Policy {
    let credentials = switch(faults, "CORS_ALLOW_CREDENTIALS", &w.cors_allow_credentials);
    let entries: Vec<&str> = list(&w.allowed_cors_origins).collect();
    if entries.contains(&"*") {
        if entries.len() > 1 {
            faults.add(
                "ALLOWED_CORS_ORIGINS",
                "\"*\" stands beside other origins",
                "write \"*\" alone, or a list of origins",
            );
        }
        if credentials {
            faults.add(
                "ALLOWED_CORS_ORIGINS",
                "\"*\" together with CORS_ALLOW_CREDENTIALS",
                "browsers refuse the pair: list the origins, or switch credentials off",
            );
        }
        return cors::Policy::open();
    }
    let origins = entries
        .into_iter()
        .filter_map(|entry| origin(faults, "ALLOWED_CORS_ORIGINS", entry))
        .collect();
    cors::Policy::listed(origins, credentials)
}

fn csrf_policy(f: &mut Faults, w: &Written) -> csrf::Policy {
    let secure = switch(f, "CSRF_COOKIE_SECURE", &w.csrf_cookie_secure);
    let cookie = cookie_name(f, "CSRF_COOKIE_NAME", &w.csrf_cookie_name, "csrf_token");
    if !secure && (cookie.starts_with("__Host-") || cookie.starts_with("__Secure-")) {
        f.add(
            "CSRF_COOKIE_NAME",
            format!("browsers drop {} without Secure", quoted(&cookie)),
            "set CSRF_COOKIE_SECURE=1, or choose a name without the prefix",
        );
    }
    let same_site = match text(&w.csrf_cookie_samesite).map(str::to_ascii_lowercase).as_deref() {
        None | Some("lax") => csrf::SameSite::Lax,
        Some("strict") => csrf::SameSite::Strict,
        Some("none") => csrf::SameSite::None,
        Some(other) => {
            f.add(
                "CSRF_COOKIE_SAMESITE",
                format!("{} is not known", quoted(other)),
                "write lax, strict or none",
            );
            csrf::SameSite::Lax
        }
    };
    if same_site == csrf::SameSite::None && !secure {
        f.add(
            "CSRF_COOKIE_SAMESITE",
            "browsers drop \"none\" without Secure",
            "set CSRF_COOKIE_SECURE=1, or write lax or strict",
        );
    }
    let session_cookie = cookie_name(f, "SESSION_COOKIE_NAME", &w.session_cookie_name, "session");
    if session_cookie == cookie {
        f.add(
            "SESSION_COOKIE_NAME",
            format!("{} is CSRF_COOKIE_NAME too", quoted(&cookie)),
            "give each of the two cookies a name of its own",
        );
    }
    let keys = csrf_keys(f, &w.csrf_secret_file);
    csrf::Policy { keys, cookie, session_cookie, secure, same_site }
}

fn csrf_keys(faults: &mut Faults, written: &Option<String>) -> csrf::KeyRing {
    let Some(path) = text(written) else { return csrf::KeyRing::random() };
    let Some(content) = file(faults, "CSRF_SECRET_FILE", path) else {
        return csrf::KeyRing::random();
    };
    let keys: Vec<&str> = content.lines().map(str::trim).filter(|key| !key.is_empty()).collect();
    let short = keys.iter().filter(|key| key.len() < KEY_BYTES_MIN).count();
    if keys.is_empty() || short > 0 || keys.len() > csrf::KEYS_MAX {
        faults.add(
            "CSRF_SECRET_FILE",
            format!(
                "{} holds {} keys, {short} of them under {KEY_BYTES_MIN} bytes",
                quoted(path),
                keys.len()
            ),
            format!(
                "write 1 to {} keys, one a line, the current first: openssl rand -hex 32 > FILE",
                csrf::KEYS_MAX
            ),
        );
        return csrf::KeyRing::random();
    }
    csrf::KeyRing::new(keys.iter().map(|key| key.as_bytes()))
}

fn cookie_name(
    faults: &mut Faults,
    variable: &'static str,
    written: &Option<String>,
    default: &str,
) -> String {
    let name = text(written).unwrap_or(default);
    let fits = name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !fits {
        faults.add(
            variable,
            format!("{} is not a cookie's name", quoted(name)),
            "write up to 64 of A-Z a-z 0-9 _ - .",
        );
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    /// As from the command line, whatever the environment of the tests holds.
    fn written(flags: &[&str]) -> Written {
        let command = Written::command().mut_args(|arg| arg.env(None::<&str>));
        let words = std::iter::once("webapp").chain(flags.iter().copied());
        Written::from_arg_matches(&command.get_matches_from(words)).unwrap()
    }

    /// Flags in, names of the faulty variables out.
    #[track_caller]
    fn check(flags: &[&str], expected: &[&str]) {
        let found: Vec<_> = match settings(&written(flags)) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| fault.variable).collect(),
        };
        assert_eq!(found, expected, "{flags:?}");
    }

    #[test]
    fn no_flags_are_fine() {
        check(&[], &[]);
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        check(&["--port", "", "--allowed-cors-origins", " ", "--csrf-secret-file", ""], &[]);
    }

    #[test]
    fn every_fault_is_reported() {
        check(
            &["--port", "65536", "--rate-limit-requests", "0", "--csrf-cookie-secure", "maybe"],
            &["PORT", "RATE_LIMIT_REQUESTS", "CSRF_COOKIE_SECURE"],
        );
    }

    #[test]
    fn one_fault_each() {
        let long = "s".repeat(108);
        for (flag, value, variable) in [
            ("--host", "nowhere", "HOST"),
            ("--port", "+5", "PORT"),
            ("--port", "5k", "PORT"),
            ("--port", "99999999999999999999999", "PORT"),
            ("--log-max-bytes", "1", "LOG_MAX_BYTES"),
            ("--service-instance", "a b", "SERVICE_INSTANCE"),
            ("--sentinel-socket", &long, "SENTINEL_SOCKET"),
            ("--alerts-token-file", "/nonexistent", "ALERTS_TOKEN_FILE"),
            ("--alerts-token-file", "/dev/null", "ALERTS_TOKEN_FILE"),
            ("--trusted-proxies", "10.0.0.0/33", "TRUSTED_PROXIES"),
            ("--trusted-proxies", "10.0.0.1,proxy", "TRUSTED_PROXIES"),
            ("--client-ip-header", "X Forwarded", "CLIENT_IP_HEADER"),
            ("--public-origin", "app.example", "PUBLIC_ORIGIN"),
            ("--rate-limit-requests", "100001", "RATE_LIMIT_REQUESTS"),
            ("--rate-limit-window-seconds", "0", "RATE_LIMIT_WINDOW_SECONDS"),
            ("--rate-limit-base-block-seconds", "301", "RATE_LIMIT_MAX_BLOCK_SECONDS"),
            ("--rate-limit-max-block-seconds", "29", "RATE_LIMIT_MAX_BLOCK_SECONDS"),
            ("--rate-limit-ipv6-prefix", "65", "RATE_LIMIT_IPV6_PREFIX"),
            ("--rate-limit-exempt", "/healthz", "RATE_LIMIT_EXEMPT"),
            ("--rate-limit-memory-bytes", "1", "RATE_LIMIT_MEMORY_BYTES"),
            ("--allowed-cors-origins", "*,https://a.example", "ALLOWED_CORS_ORIGINS"),
            ("--allowed-cors-origins", "https://a.example/", "ALLOWED_CORS_ORIGINS"),
            ("--cors-allow-credentials", "2", "CORS_ALLOW_CREDENTIALS"),
            ("--csrf-cookie-secure", "maybe", "CSRF_COOKIE_SECURE"),
            ("--csrf-cookie-name", "__Host-csrf", "CSRF_COOKIE_NAME"),
            ("--csrf-cookie-name", "a;b", "CSRF_COOKIE_NAME"),
            ("--csrf-cookie-samesite", "none", "CSRF_COOKIE_SAMESITE"),
            ("--csrf-cookie-samesite", "loose", "CSRF_COOKIE_SAMESITE"),
            ("--csrf-secret-file", "/dev/null", "CSRF_SECRET_FILE"),
            ("--session-cookie-name", "csrf_token", "SESSION_COOKIE_NAME"),
            ("--max-query-params", "x", "MAX_QUERY_PARAMS"),
            ("--max-query-key-length", "0", "MAX_QUERY_KEY_LENGTH"),
            ("--max-query-value-length", "20000", "MAX_QUERY_VALUE_LENGTH"),
            ("--query-bytes-max", "16385", "QUERY_BYTES_MAX"),
            ("--max-content-length-bytes", "1.5", "MAX_CONTENT_LENGTH_BYTES"),
            ("--max-connections", "0", "MAX_CONNECTIONS"),
            ("--max-connections-per-client", "0", "MAX_CONNECTIONS_PER_CLIENT"),
            ("--head-timeout-seconds", "0", "HEAD_TIMEOUT_SECONDS"),
            ("--body-timeout-seconds", "0", "BODY_TIMEOUT_SECONDS"),
            ("--handler-timeout-seconds", "0", "HANDLER_TIMEOUT_SECONDS"),
        ] {
            check(&[flag, value], &[variable]);
        }
    }

    #[test]
    fn memory_must_hold_some_clients() {
        check(
            &["--rate-limit-requests", "100000", "--rate-limit-memory-bytes", "1048576"],
            &["RATE_LIMIT_MEMORY_BYTES"],
        );
    }

    #[test]
    fn a_star_wants_no_credentials() {
        check(&["--allowed-cors-origins", "*"], &[]);
        check(
            &["--allowed-cors-origins", "*", "--cors-allow-credentials", "1"],
            &["ALLOWED_CORS_ORIGINS"],
        );
    }

    #[test]
    fn a_fault_names_variable_text_and_remedy() {
        let faults = settings(&written(&["--port", "70000"])).unwrap_err();
        assert_eq!(
            faults[0].to_string(),
            "PORT: \"70000\" is out of bounds; write a whole number from 0 to 65535"
        );
    }
}
