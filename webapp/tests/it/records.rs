use std::{
    collections::HashSet,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixListener,
};

use crate::{http, sandbox::Sandbox};

#[test]
fn what_hyper_refuses_leaves_its_path_and_query() {
    let webapp = Sandbox::new().start();
    let raw = "GET /?q=<script>alert(1)</script> HTTP/1.1\r\nHost: a\r\nUser-Agent: probe\r\n\r\n";
    assert_eq!(webapp.send(raw).status, 400);
    for log in ["requests", "suspicious"] {
        let record = webapp.record(log, |r| r.action == "bad_request");
        assert_eq!(record.method.as_deref(), Some("GET"));
        assert_eq!(record.path.as_deref(), Some("/"));
        assert_eq!(record.query.as_deref(), Some("q=<script>alert(1)</script>"));
        assert_eq!(record.user_agent.as_deref(), Some("probe"));
        assert_eq!((record.status_code, record.rule_name.as_deref()), (Some(400), Some("http")));
    }
}

#[test]
fn behind_a_proxy_the_client_of_a_bad_head_is_named() {
    let webapp = Sandbox::new().env("TRUSTED_PROXIES", "127.0.0.1").start();
    webapp.send("GET /?q=<b> HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    let record = webapp.record("requests", |r| r.action == "bad_request");
    assert_eq!(record.client_ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(record.peer_address.as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_long_bad_line_does_not_put_its_blame_on_the_proxy() {
    let webapp = Sandbox::new().env("TRUSTED_PROXIES", "127.0.0.1").start();
    let padded = format!("GET /?q=<b>{}", "a".repeat(5_000));
    webapp.send(format!("{padded} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"));
    let record = webapp.record("requests", |r| r.action == "bad_request");
    assert_eq!((record.client_ip.as_deref(), record.truncated), (Some("192.0.2.7"), true));
}

#[test]
fn a_bad_head_behind_a_good_request_is_found() {
    let webapp = Sandbox::new().start();
    webapp.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /?q=\"x HTTP/1.1\r\nHost: a\r\n\r\n");
    let record = webapp.record("requests", |r| r.action == "bad_request");
    assert_eq!(record.query.as_deref(), Some("q=\"x"));
    webapp.counts("requests", 2);
}

#[test]
fn heads_that_are_too_large_or_no_http() {
    let webapp = Sandbox::new().start();
    let long = format!("GET /long HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    assert_eq!(webapp.send(long).status, 431);
    assert_eq!(
        webapp.record("requests", |r| r.path.as_deref() == Some("/long")).status_code,
        Some(431)
    );
    http::send(webapp.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    http::send(webapp.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let record = webapp.record("requests", |r| r.method.as_deref() == Some("PRI"));
    assert_eq!(record.action, "bad_request");
    assert_eq!(webapp.send("\r\r\r").status, 400);
    webapp.counts("requests", 4);
}

/// A sentinel that says nothing holds the first request up; three wait behind it, the last in pieces.
#[test]
fn requests_that_wait_behind_another_are_recorded_when_nobody_will_serve_them() {
    let sandbox = Sandbox::new().unlimited();
    let socket = sandbox.path("sentinel.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let webapp = sandbox.env("SENTINEL_SOCKET", socket).start();
    let mut stream = http::connect(webapp.address);
    let first = "GET /alerts HTTP/1.1\r\nHost: a\r\n\r\n";
    let rest = "POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
                GET /third?q=%3Cscript%3E HTTP/1.1\r\nHost: a\r\n\r\nGET /fourth HTTP/1.1\r\nHo";
    stream.write_all(format!("{first}{rest}").as_bytes()).unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    webapp.counts("requests", 4);
    let reason = |path| {
        let record = webapp.record("requests", |r| r.path.as_deref() == Some(path));
        (record.action, record.reason.unwrap())
    };
    let aborted = |reason: &str| ("aborted".to_owned(), reason.to_owned());
    assert_eq!(reason("/second"), aborted("client left before it was served"));
    assert_eq!(reason("/third"), aborted("client left before it was served"));
    assert_eq!(reason("/fourth"), aborted("client left during its head"));
}

#[test]
fn answers_arrive_though_too_many_requests_wait_behind_them() {
    let webapp = Sandbox::new().unlimited().start();
    for _ in 0..10 {
        let mut stream = http::connect(webapp.address);
        let many = "GET /nope HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        stream.write_all(many.as_bytes()).unwrap();
        let mut answers = String::new();
        // A reset would be an error here.
        stream.read_to_string(&mut answers).unwrap();
        assert!(answers.starts_with("HTTP/1.1 404"));
    }
}

#[test]
fn a_target_that_hyper_refuses_keeps_its_secrets_too() {
    let webapp = Sandbox::new().start();
    for (target, path) in [
        ("http://u:hunter2@a/<", "http://[redacted]@a/<"),
        ("/<#token=hunter2", "/<#token=[redacted]"),
    ] {
        assert_eq!(webapp.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).status, 400);
        webapp.record("requests", |r| r.path.as_deref() == Some(path));
    }
    assert!(!webapp.sandbox.log("requests").contains("hunter2"));
}

#[test]
fn what_grows_when_it_is_spelled_out_stays_within_its_bounds() {
    let webapp = Sandbox::new().unlimited().start();
    let agent = "\u{9b}".repeat(2_000);
    let headers = [("User-Agent", agent.as_str()), ("Referer", agent.as_str())];
    for query in ["\u{9b}".repeat(8_000), "\u{202e}".repeat(5_000), "pwd=x&".repeat(2_700)] {
        assert_eq!(webapp.request("GET", &format!("/?{query}"), &headers).status, 400);
    }
    // Reading them checks their length.
    webapp.counts("requests", 3);
    webapp.counts("suspicious", 3);
    assert!(webapp.records("requests").iter().all(|record| record.truncated));
}

#[test]
fn a_slow_head_is_recorded_and_an_idle_connection_is_not() {
    let webapp = Sandbox::new().env("HEAD_TIMEOUT_SECONDS", "1").start();
    let mut idle = http::connect(webapp.address);
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    http::read_one(&mut idle);
    let mut silent = http::connect(webapp.address);
    let mut slow = http::connect(webapp.address);
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: ").unwrap();
    let record = webapp.record("suspicious", |r| r.action == "header_timeout");
    assert_eq!((record.path.as_deref(), record.status_code), (Some("/slow"), None));
    for stream in [&mut idle, &mut silent, &mut slow] {
        http::read(stream);
    }
    webapp.counts("requests", 2);
}

#[derive(Debug, Clone, Copy)]
enum Leaving {
    Closing,
    HalfClosing,
    Resetting,
}

/// 200 clients that send a request and leave at once: a handler may answer at once, or wait for a
/// sentinel that says nothing.
#[track_caller]
fn check_leaving(target: &str, leaving: Leaving) {
    let sandbox = Sandbox::new().unlimited().env("MAX_CONNECTIONS_PER_CLIENT", "1000");
    let socket = sandbox.path("sentinel.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let webapp = sandbox.env("SENTINEL_SOCKET", socket).start();
    for _ in 0..200 {
        let mut stream = http::connect(webapp.address);
        stream.write_all(http::head("GET", target, &[]).as_bytes()).unwrap();
        match leaving {
            Leaving::Closing => stream.shutdown(Shutdown::Both).unwrap(),
            Leaving::HalfClosing => stream.shutdown(Shutdown::Write).unwrap(),
            // Closing with SO_LINGER 0 sends a reset.
            Leaving::Resetting => {
                let none = Some(std::time::Duration::ZERO);
                socket2::SockRef::from(&stream).set_linger(none).unwrap();
            }
        }
    }
    webapp.counts("requests", 200);
}

#[test]
fn clients_that_leave_at_once_leave_records() {
    for leaving in [Leaving::Closing, Leaving::HalfClosing, Leaving::Resetting] {
        check_leaving("/left", leaving);
        check_leaving("/alerts", leaving);
    }
}

#[test]
fn a_half_closed_client_is_answered() {
    let webapp = Sandbox::new().start();
    let mut stream = http::connect(webapp.address);
    stream.write_all(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(http::read(&mut stream).unwrap().status, 404);
    webapp.counts("requests", 1);
}

#[test]
fn a_head_that_is_cut_off_is_aborted() {
    let webapp = Sandbox::new().start();
    let mut stream = http::connect(webapp.address);
    stream.write_all(b"GET /cut?x=1 HTTP/1.1\r\nHost").unwrap();
    drop(stream);
    let record = webapp.record("requests", |r| r.action == "aborted");
    assert_eq!((record.path.as_deref(), record.query.as_deref()), (Some("/cut"), Some("x=1")));
    assert_eq!(record.reason.as_deref(), Some("client left during its head"));
}

#[test]
fn secrets_stay_out_and_attacks_stay_in() {
    let webapp = Sandbox::new().start();
    let referer = "https://u:user-secret@x/?token=query-secret&q=%3Cb%3E#access_token=part-secret";
    let headers = [
        ("Referer", referer),
        ("Cookie", "session=cookie-secret"),
        ("Authorization", "Bearer header-secret"),
        ("X-CSRF-Token", "token-secret"),
        ("User-Agent", "agent\u{202e}"),
    ];
    webapp.request("GET", "/a?token=query-secret&code=..%2F..%2Fetc&q=1%27&q=2", &headers);
    let record = webapp.record("requests", |_| true);
    assert_eq!(record.query.as_deref(), Some("token=[redacted]&code=..%2F..%2Fetc&q=1%27&q=2"));
    assert!(record.query_duplicate && !record.query_odd_secret);
    let referrer = "https://[redacted]@x/?token=[redacted]&q=%3Cb%3E#access_token=[redacted]";
    assert_eq!(record.referrer.as_deref(), Some(referrer));
    assert_eq!(record.user_agent.as_deref(), Some("agent\\u{202e}"));
    assert!(!webapp.sandbox.log("requests").contains("secret"));
}

#[test]
fn an_attack_in_a_secret_of_the_referer_is_told() {
    let webapp = Sandbox::new().start();
    webapp.request("GET", "/?a=1", &[("Referer", "http://x/?password=%27%20or%201=1--")]);
    let record = webapp.record("requests", |_| true);
    assert_eq!(record.referrer.as_deref(), Some("http://x/?password=[redacted]"));
    assert!(record.query_odd_secret && !record.query_duplicate);
}

#[test]
fn the_longest_record_is_whole_and_within_its_bounds() {
    let webapp = Sandbox::new().unlimited().start();
    let query = vec![format!("a={}", "\\".repeat(512)); 20].join("&");
    let long = "\\".repeat(4_000);
    let headers = [("User-Agent", long.as_str()), ("Referer", long.as_str())];
    webapp.request("GET", &format!("/{}?{query}", "p".repeat(4_000)), &headers);
    let record = webapp.record("requests", |_| true);
    assert_eq!(record.query.as_deref(), Some(query.as_str()));
    assert!(record.truncated);
}

/// The contract: what is written reads back, in `other` stands only what docs/webapp.md lists, and
/// no number is missing.
#[test]
fn every_line_is_a_record_of_the_contract() {
    let mut webapp = Sandbox::new()
        .env("RATE_LIMIT_REQUESTS", "8")
        .env("RATE_LIMIT_BASE_BLOCK_SECONDS", "1")
        .env("SERVICE_INSTANCE", "web-1")
        .start();
    for target in ["/", "/health", "/alerts", "/nothing?q=1&q=2", "/?a=%00", "/%00", "/csrf-token"]
    {
        webapp.get(target);
    }
    webapp.request("POST", "/", &[("X-Forwarded-For", "192.0.2.1")]);
    webapp.send("GET /< HTTP/1.1\r\n\r\n");
    while webapp.get("/").status == 200 {}
    webapp.get("/");
    webapp.record("suspicious", |r| r.action == "block_ended");
    webapp.stop();

    let extra: HashSet<_> =
        ["blocked_hits", "server.address", "server.port", "rate_limit.clients_max"].into();
    let mut ids = HashSet::new();
    for log in ["requests", "errors", "suspicious"] {
        let records = webapp.records(log);
        assert!(!records.is_empty());
        let mut numbers: Vec<_> = records.iter().map(|r| r.sequence).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>());
        for record in &records {
            assert_eq!(record.dataset, format!("webapp.{log}"));
            assert_eq!(record.service_instance.as_deref(), Some("web-1"));
            assert_eq!(record.timestamp.len(), "2026-01-20T10:05:00.120Z".len());
            for key in record.other.keys() {
                assert!(extra.contains(key.as_str()), "{key}");
            }
            if log == "requests" {
                assert!(ids.insert(record.request_id.clone().unwrap()));
                assert!(record.duration.is_some() && record.path.is_some());
            }
        }
    }
    // A refusal stands in both logs under one id.
    for record in webapp.records("suspicious") {
        if let Some(id) = record.request_id {
            assert!(ids.contains(&id));
        }
    }
    let text = webapp.sandbox.log("requests");
    assert!(text.lines().all(|line| line.starts_with("{\"@timestamp\":")));
}
