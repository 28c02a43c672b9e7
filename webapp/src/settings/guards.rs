//! The guards' settings as written in; their policies out.

use std::collections::HashSet;

use super::{
    csrf::csrf_policy,
    fault::Faults,
    value::{list, number, origin, quoted, seconds, switch, text},
    written::Written,
};
use crate::{
    classify::Endpoint,
    guard::{Policies, body, cors, query, rate},
};

/// The route without a rate limit unless told otherwise: who asks it, asks often.
const EXEMPT: &str = "/health";

pub(super) fn policies(f: &mut Faults, w: &Written, endpoints: &[&'static Endpoint]) -> Policies {
    Policies {
        rate: rate_policy(f, w),
        rate_exempt: exempt(f, &w.rate_limit_exempt, endpoints),
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
        body: body::Limits {
            bytes_max: number(
                f,
                "MAX_CONTENT_LENGTH_BYTES",
                &w.max_content_length_bytes,
                1 << 20,
                0,
                1 << 30,
            ),
            time_max: seconds(f, "BODY_TIMEOUT_SECONDS", &w.body_timeout_seconds, 10, 3_600),
        },
    }
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

fn exempt(
    faults: &mut Faults,
    written: &Option<String>,
    endpoints: &[&'static Endpoint],
) -> HashSet<&'static str> {
    let known = || endpoints.iter().map(|endpoint| endpoint.path);
    let routes = || known().collect::<Vec<_>>().join(", ");
    match text(written) {
        None => return known().filter(|path| *path == EXEMPT).collect(),
        Some("none") => return HashSet::new(),
        Some(_) => {}
    }
    let mut exempt = HashSet::new();
    for entry in list(written) {
        if entry == "none" {
            faults.add(
                "RATE_LIMIT_EXEMPT",
                "\"none\" stands beside routes",
                format!("write \"none\" alone, or a list of {}", routes()),
            );
            continue;
        }
        match known().find(|path| *path == entry) {
            Some(path) => {
                exempt.insert(path);
            }
            None => faults.add(
                "RATE_LIMIT_EXEMPT",
                format!("{} is not a route", quoted(entry)),
                format!("write \"none\" or a list of {}", routes()),
            ),
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
