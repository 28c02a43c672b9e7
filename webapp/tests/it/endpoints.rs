use serde_json::json;

use crate::{http, sandbox::Sandbox};

#[test]
fn the_endpoints_answer() {
    let webapp = Sandbox::new().start();

    let index = webapp.get("/");
    assert_eq!((index.status, index.header("content-type")), (200, Some("application/json")));
    assert_eq!(index.json()["name"], "webapp");
    assert_eq!(index.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(index.json()["endpoints"].as_array().unwrap().len(), 5);

    let health = webapp.get("/health");
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"ok"}"#));

    let token = webapp.get("/csrf-token");
    let value = token.json()["csrf_token"].as_str().unwrap().to_owned();
    assert_eq!(token.json(), json!({ "csrf_token": value }));
    assert_eq!(
        token.header("set-cookie"),
        Some(format!("csrf_token={value}; Path=/; Max-Age=43200; SameSite=Lax").as_str())
    );
    assert_eq!(token.header("vary"), Some("Origin, Cookie"));

    for path in ["/alerts", "/alerts/stream"] {
        let alerts = webapp.get(path);
        assert_eq!((alerts.status, alerts.header("retry-after")), (503, Some("1")));
    }
}

#[test]
fn head_and_options_come_with_get() {
    let webapp = Sandbox::new().start();
    let head = webapp.request("HEAD", "/health", &[]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some("15"));
    for target in ["/", "/alerts", "*"] {
        let options = webapp.request("OPTIONS", target, &[]);
        assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    }
    assert_eq!(webapp.request("OPTIONS", "/nothing", &[]).status, 404);
}

#[test]
fn what_nobody_answers_is_a_problem() {
    let webapp = Sandbox::new().start();
    for (method, target, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/health/", 404, "not_found"),
        ("GET", "/HEALTH", 404, "not_found"),
        ("TRACE", "/", 405, "method_not_allowed"),
        ("GET", "/a%00b", 400, "bad_request"),
        ("GET", "/../etc/passwd", 400, "bad_request"),
        ("GET", "http://evil.example/health", 400, "bad_request"),
        ("POST", "/", 403, "csrf_rejected"),
        ("BREW", "/", 403, "csrf_rejected"),
    ] {
        let answer = webapp.request(method, target, &[]);
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("allow").is_some(), status == 405);
        let problem = answer.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        assert!(problem["error"].is_string() && problem["title"].is_string());
        assert_eq!(problem["request_id"], answer.header("x-request-id").unwrap());
    }
}

#[test]
fn one_host_header_is_wanted() {
    let webapp = Sandbox::new().start();
    for (head, status) in [
        ("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", 400),
        ("GET /health HTTP/1.0\r\n\r\n", 200),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n", 405),
    ] {
        assert_eq!(webapp.send(head).status, status, "{head}");
    }
}

#[test]
fn every_answer_carries_the_security_headers() {
    let webapp = Sandbox::new().env("RATE_LIMIT_REQUESTS", "4").start();
    let answers = [
        webapp.get("/"),
        webapp.get("/nothing"),
        webapp.request("POST", "/", &[]),
        webapp.get("/?q=%00"),
        webapp.get("/"),
        webapp.get("/health"),
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 404, 403, 400, 429, 200]);
    for answer in &answers {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
            ("cache-control", "no-store"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.headers(name).collect::<Vec<_>>(), [value]);
        }
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
        assert_eq!(answer.header("server"), None);
    }
}

#[test]
fn a_connection_carries_many_requests() {
    let webapp = Sandbox::new().unlimited().start();
    let mut stream = http::connect(webapp.address);
    for target in ["/health", "/nothing", "/"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        http::read_one(&mut stream);
    }
    assert_eq!(webapp.record("requests", |r| r.path.as_deref() == Some("/")).sequence, 3);
}
