//! An answer's own headers and what the guards found in; all that it carries out.

use std::sync::LazyLock;

use hyper::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    clock,
    guard::{
        Findings,
        cors::{self, Cors},
        rate::Verdict,
    },
};

/// On every answer, refusals too (OWASP Secure Headers Project), unless it says otherwise. An answer's
/// headers begin as a copy: putting each into its place anew takes four times as long.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let csp = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("content-security-policy", csp),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("cache-control", "no-store"),
        ("vary", "Origin"),
    ];
    let mut map = HeaderMap::with_capacity(ROOM);
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
});

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Headers of a usual answer. A map keeps room for them when it is copied.
const ROOM: usize = 24;

/// To what all answers carry come the answer's own, and what this request asks for.
pub(super) fn complete(
    headers: &mut HeaderMap,
    request_id: &str,
    findings: &Findings,
    rate_policy: &HeaderValue,
) {
    let own = std::mem::replace(headers, HEADERS.clone());
    let vary = vary(findings, &own);
    headers.extend(own);
    if let Some(vary) = vary {
        headers.insert(header::VARY, vary);
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(&X_REQUEST_ID, id);
    }
    cors_headers(headers, findings);
    rate_headers(headers, findings, rate_policy);
}

/// `Vary`, where it names more than the origin.
fn vary(findings: &Findings, own: &HeaderMap) -> Option<HeaderValue> {
    if !findings.is_preflight && !own.contains_key(header::VARY) {
        return None;
    }
    let mut vary = String::from("Origin");
    if findings.is_preflight {
        vary.push_str(", Access-Control-Request-Method, Access-Control-Request-Headers");
    }
    for line in own.get_all(header::VARY) {
        if let Ok(line) = line.to_str() {
            vary.push_str(", ");
            vary.push_str(line);
        }
    }
    HeaderValue::try_from(vary).ok()
}

fn cors_headers(headers: &mut HeaderMap, findings: &Findings) {
    let Cors::Allowed { allow_origin, credentials } = &findings.cors else {
        return;
    };
    // Or a page that demands it of everything it loads could not use the answer.
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    if let Ok(origin) = HeaderValue::from_str(allow_origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    let mut fixed = |name, value| headers.insert(name, HeaderValue::from_static(value));
    if *credentials {
        fixed(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    if findings.is_preflight {
        fixed(header::ACCESS_CONTROL_ALLOW_METHODS, cors::ALLOW_METHODS);
        fixed(header::ACCESS_CONTROL_ALLOW_HEADERS, cors::ALLOW_HEADERS);
        fixed(header::ACCESS_CONTROL_MAX_AGE, cors::MAX_AGE);
    } else {
        fixed(header::ACCESS_CONTROL_EXPOSE_HEADERS, cors::EXPOSE_HEADERS);
    }
}

/// draft-ietf-httpapi-ratelimit-headers, so that clients can slow down before they are refused.
fn rate_headers(headers: &mut HeaderMap, findings: &Findings, policy: &HeaderValue) {
    let Some(verdict) = findings.rate else { return };
    let (remaining, reset) = match verdict {
        Verdict::Passed { remaining, reset } => (remaining, reset),
        Verdict::Limited { retry_after } | Verdict::Blocked { retry_after } => (0, retry_after),
    };
    let reset = clock::whole_seconds(reset);
    let rate = format!("\"default\";r={remaining};t={reset}");
    if let Ok(rate) = HeaderValue::try_from(rate) {
        headers.insert(&RATELIMIT, rate);
    }
    headers.insert(&RATELIMIT_POLICY, policy.clone());
}
