//! Flags in, names of the faulty variables out.

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::routes::ENDPOINTS;

/// As from the command line, whatever the environment of the tests holds.
fn written(flags: &[&str]) -> Written {
    let command = Written::command().mut_args(|arg| arg.env(None::<&str>));
    let words = std::iter::once("webapp").chain(flags.iter().copied());
    Written::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

/// Flags in, names of the faulty variables out.
#[track_caller]
fn check(flags: &[&str], expected: &[&str]) {
    let found: Vec<_> = match Settings::parse(&written(flags), &ENDPOINTS) {
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
        ("--alerts-token-file", "/dev/zero", "ALERTS_TOKEN_FILE"),
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
fn the_highest_limit_fits_into_the_default_memory() {
    check(&["--rate-limit-requests", "100000"], &[]);
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
    let faults = Settings::parse(&written(&["--port", "70000"]), &ENDPOINTS).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "PORT: \"70000\" is out of bounds; write a whole number from 0 to 65535"
    );
}

#[test]
fn open_alerts_are_told_unless_only_this_host_reaches_them() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "0123456789abcdef").unwrap();
    let with_token = ["--listen-socket", "s.sock", "--alerts-token-file", token.to_str().unwrap()];
    for (flags, told) in [
        (&[] as &[_], false),
        (&["--host", "::1"], false),
        (&["--host", "0.0.0.0"], true),
        (&["--host", "192.0.2.1"], true),
        (&["--listen-socket", "s.sock"], true),
        (&with_token, false),
    ] {
        let settings = Settings::parse(&written(flags), &ENDPOINTS).unwrap();
        let is_told = settings.warnings().iter().any(|text| text.contains("ALERTS_TOKEN_FILE"));
        assert_eq!(is_told, told, "{flags:?}");
    }
}

#[test]
fn none_stands_alone() {
    let flags = ["--rate-limit-exempt", "/health,none"];
    let faults = Settings::parse(&written(&flags), &ENDPOINTS).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "RATE_LIMIT_EXEMPT: \"none\" stands beside routes; write \"none\" alone, or a list of /, \
         /health, /csrf-token, /alerts, /alerts/stream"
    );
}

#[test]
fn health_alone_is_exempt_unless_told_otherwise() {
    for (flags, expected) in [
        (&[] as &[_], &["/health"] as &[_]),
        (&["--rate-limit-exempt", "none"], &[]),
        (&["--rate-limit-exempt", "/, /alerts"], &["/", "/alerts"]),
    ] {
        let settings = Settings::parse(&written(flags), &ENDPOINTS).unwrap();
        assert_eq!(settings.guards.rate_exempt, expected.iter().copied().collect(), "{flags:?}");
    }
}
