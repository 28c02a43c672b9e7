//! The guards' settings as written in; their policies out.

use std::collections::HashSet;

use super::{
    Written,
    fault::Faults,
    value::{file, list, number, origin, quoted, seconds, switch, text},
};
use crate::{
    guard::{cors, csrf, rate},
    routes,
};

/// Smallest signing key, in bytes.
const KEY_BYTES_MIN: usize = 32;

pub(super) fn rate_policy(f: &mut Faults, w: &Written) -> rate::Policy {
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

pub(super) fn exempt(faults: &mut Faults, written: &Option<String>) -> HashSet<&'static str> {
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

pub(super) fn cors_policy(faults: &mut Faults, w: &Written) -> cors::Policy {
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

pub(super) fn csrf_policy(f: &mut Faults, w: &Written) -> csrf::Policy {
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
