//! HTTP/1.1 sent as it should not be: each probe is answered or closed as docs/webapp.md says, carries
//! the headers that every answer carries, and leaves one record.

use crate::{
    http,
    sandbox::{Sandbox, Webapp},
};

/// What becomes of a probe: its status, 0 where the connection is closed without one, and `rule.name`
/// of its record.
type Expected<'a> = (u16, &'a str);

const PASSED: &str = "";

#[track_caller]
fn check(webapp: &Webapp, name: &str, bytes: &[u8], (status, rule): Expected<'_>) {
    let answer = http::send(webapp.address, bytes);
    let found = answer.as_ref().map_or(0, |answer| answer.status);
    assert_eq!(found, status, "{name}");
    let Some(answer) = answer else { return };
    for header in ["x-request-id", "content-security-policy", "x-content-type-options", "vary"] {
        assert!(answer.header(header).is_some(), "{name}: no {header}");
    }
    let id = answer.header("x-request-id").unwrap().to_owned();
    if status >= 400 {
        let body = answer.json();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        assert_eq!((&body["status"], &body["request_id"]), (&status.into(), &id.clone().into()));
    }
    let record = webapp.record("requests", |r| r.request_id.as_deref() == Some(&id));
    assert_eq!(record.status_code, Some(status), "{name}");
    assert_eq!(record.rule_name.as_deref().unwrap_or(PASSED), rule, "{name}");
}

#[test]
fn each_probe_has_its_answer_and_its_record() {
    let webapp = Sandbox::new().unlimited().start();
    let head = |line: &str, headers: &str| format!("{line}\r\n{headers}\r\n").into_bytes();
    let get = |headers: &str| head("GET /health HTTP/1.1", headers);
    let host = "Host: a\r\nConnection: close\r\n";
    let with = |headers: &str| get(&format!("{host}{headers}"));
    let line = |line: &str| head(line, host);
    let body = |headers: &str, body: &str| {
        let token = webapp.token();
        let pair = format!("Cookie: csrf_token={token}\r\nX-CSRF-Token: {token}\r\n");
        let head = format!("POST /nowhere HTTP/1.1\r\n{host}{pair}{headers}\r\n");
        [head.as_bytes(), body.as_bytes()].concat()
    };
    let deep = format!("/{}", "x/".repeat(1_000));
    let probes: Vec<(&str, Vec<u8>, Expected<'_>)> = vec![
        ("plain", with(""), (200, PASSED)),
        ("HTTP/1.0", head("GET /health HTTP/1.0", ""), (200, PASSED)),
        ("an absolute target", line("GET http://a/health HTTP/1.1"), (200, PASSED)),
        ("an empty line before", [b"\r\n".as_slice(), &with("")].concat(), (200, PASSED)),
        (
            "bare LF",
            b"GET /health HTTP/1.1\nHost: a\nConnection: close\n\n".to_vec(),
            (200, PASSED),
        ),
        ("an unknown expectation", with("Expect: foo\r\n"), (200, PASSED)),
        ("a long path", line(&format!("GET {deep} HTTP/1.1")), (404, PASSED)),
        ("chunks", body("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), (404, PASSED)),
        (
            "chunks with extensions and trailers",
            body("Transfer-Encoding: chunked\r\n", "1;a=b\r\na\r\n0\r\nX: y\r\n\r\n"),
            (404, PASSED),
        ),
        // Read by its chunks, and closed behind them (RFC 9112 §6.3).
        (
            "both lengths",
            body("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
            (404, PASSED),
        ),
        ("no Host", get("Connection: close\r\n"), (400, "sanity")),
        ("two Hosts", get("Host: a\r\nHost: a\r\nConnection: close\r\n"), (400, "sanity")),
        ("a bad Host", get("Host: a/b\r\nConnection: close\r\n"), (400, "sanity")),
        ("a Host with a user", get("Host: u@a\r\nConnection: close\r\n"), (400, "sanity")),
        ("another Host than the target", line("GET http://b/health HTTP/1.1"), (400, "sanity")),
        ("a target of another scheme", line("GET ftp://a/health HTTP/1.1"), (400, "sanity")),
        ("a dot segment", line("GET /a/../health HTTP/1.1"), (400, "sanity")),
        ("an encoded NUL", line("GET /%00 HTTP/1.1"), (400, "sanity")),
        ("a bad escape", line("GET /%zz HTTP/1.1"), (400, "sanity")),
        (
            "CONNECT",
            head("CONNECT a:443 HTTP/1.1", "Host: a:443\r\nConnection: close\r\n"),
            (405, "method"),
        ),
        ("TRACE", line("TRACE / HTTP/1.1"), (405, "method")),
        ("an unknown method", line("BREW / HTTP/1.1"), (403, "csrf")),
        ("OPTIONS *", line("OPTIONS * HTTP/1.1"), (204, PASSED)),
        ("bad chunks", body("Transfer-Encoding: chunked\r\n", "zz\r\n"), (400, "sanity")),
        ("raw brackets", line("GET /?q=<script> HTTP/1.1"), (400, "http")),
        ("raw quotes", line("GET /?q=\"x\" HTTP/1.1"), (400, "http")),
        ("bytes beyond ASCII in the path", line("GET /é HTTP/1.1"), (400, "sanity")),
        ("bytes beyond ASCII in the query", line("GET /?q=é HTTP/1.1"), (400, "sanity")),
        ("a blank in the target", line("GET /a b HTTP/1.1"), (400, "http")),
        ("a folded header", with("X: a\r\n b\r\n"), (400, "http")),
        ("a NUL in a header", with("X: a\0b\r\n"), (400, "http")),
        ("a bare CR in a header", with("X: a\rb\r\n"), (400, "http")),
        ("a blank before the colon", with("X : a\r\n"), (400, "http")),
        ("a header without a colon", with("X\r\n"), (400, "http")),
        ("a header without a name", with(": a\r\n"), (400, "http")),
        (
            "lengths that differ",
            body("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"),
            (400, "http"),
        ),
        ("a length with a sign", body("Content-Length: +1\r\n", "a"), (400, "http")),
        ("a list of lengths", body("Content-Length: 1, 1\r\n", "a"), (400, "http")),
        ("a length that is no number", body("Content-Length: a\r\n", "a"), (400, "http")),
        (
            "a length of 64 bits",
            body("Content-Length: 18446744073709551615\r\n", "a"),
            (413, "body"),
        ),
        (
            "chunked is not the last",
            body("Transfer-Encoding: chunked, gzip\r\n", ""),
            (400, "http"),
        ),
        (
            "chunks in HTTP/1.0",
            head("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
            (400, "http"),
        ),
        ("HTTP/1.2", head("GET / HTTP/1.2", "Host: a\r\n"), (400, "http")),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec(), (400, "http")),
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            (400, "http"),
        ),
        ("too many headers", with(&"X: a\r\n".repeat(80)), (431, "http")),
        ("a head that is too long", with(&format!("X: {}\r\n", "a".repeat(40_000))), (431, "http")),
        (
            "a line that is too long",
            line(&format!("GET /{} HTTP/1.1", "a".repeat(40_000))),
            (431, "http"),
        ),
    ];
    for (name, bytes, expected) in &probes {
        check(&webapp, name, bytes, *expected);
    }
    // Each asked for a token too where it sent a body.
    let records = webapp.records("requests");
    let probed = records.iter().filter(|r| r.path.as_deref() != Some("/csrf-token")).count();
    assert_eq!(probed, probes.len());
}

#[test]
fn a_preface_of_http_2_is_closed_and_recorded() {
    let webapp = Sandbox::new().start();
    check(&webapp, "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (0, "http"));
    let record = webapp.record("requests", |r| r.method.as_deref() == Some("PRI"));
    assert_eq!((record.action.as_str(), record.status_code), ("bad_request", None));
}

#[test]
fn what_is_no_http_is_charged_and_blocked() {
    let webapp = Sandbox::new().env("RATE_LIMIT_REQUESTS", "3").start();
    let bad = "GET /?q=<b> HTTP/1.1\r\nHost: a\r\n\r\n";
    let statuses: Vec<u16> = (0..6).map(|_| webapp.send(bad).status).collect();
    assert_eq!(statuses, [400, 400, 400, 429, 429, 429]);
    let last = webapp.send(bad);
    assert_eq!(last.header("retry-after"), Some("30"));
    assert_eq!(webapp.get("/").status, 429);
    webapp.counts("requests", 8);
    // The block's beginning is told, what it holds off is not.
    webapp.counts("suspicious", 4);
}

#[test]
fn a_long_bad_head_sees_its_answer_though_much_of_it_was_not_read() {
    let webapp = Sandbox::new().unlimited().start();
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(2_000_000));
    for _ in 0..20 {
        assert_eq!(webapp.send(&long).status, 431);
    }
}

#[test]
fn a_bad_head_in_head_s_name_gets_no_body() {
    let webapp = Sandbox::new().start();
    let answer = webapp.send("HEAD /?q=<b> HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (400, ""));
}
