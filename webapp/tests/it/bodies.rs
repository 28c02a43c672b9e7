use std::{
    io::{Read as _, Write},
    net::Shutdown,
};

use crate::{http, sandbox::Sandbox};

fn post(token: &str, extra: &[(&str, &str)]) -> String {
    let cookie = format!("csrf_token={token}");
    let mut headers = vec![("Cookie", cookie.as_str()), ("X-CSRF-Token", token)];
    headers.extend_from_slice(extra);
    http::head("POST", "/", &headers)
}

fn with_length(token: &str, bytes: usize) -> Vec<u8> {
    let length = bytes.to_string();
    let mut request = post(token, &[("Content-Length", &length)]).into_bytes();
    request.resize(request.len() + bytes, b'x');
    request
}

#[test]
fn a_client_that_sends_all_of_it_sees_the_413_every_time() {
    let webapp = Sandbox::new().unlimited().start();
    let token = webapp.token();
    let request = with_length(&token, 3 << 20);
    let seen = (0..40)
        .filter(|_| http::send(webapp.address, &request).is_some_and(|answer| answer.status == 413))
        .count();
    assert_eq!(seen, 40);
}

#[test]
fn refusals_before_the_body_are_seen_too() {
    let webapp = Sandbox::new().unlimited().env("MAX_CONTENT_LENGTH_BYTES", "4194304").start();
    let mut request = http::head("POST", "/", &[("Content-Length", "3145728")]).into_bytes();
    request.resize(request.len() + 3_145_728, b'x');
    let seen = (0..20)
        .filter(|_| http::send(webapp.address, &request).is_some_and(|answer| answer.status == 403))
        .count();
    assert_eq!(seen, 20);
}

#[test]
fn the_limit_itself_is_allowed() {
    let webapp = Sandbox::new().unlimited().env("MAX_CONTENT_LENGTH_BYTES", "1000").start();
    let token = webapp.token();
    assert_eq!(webapp.send(with_length(&token, 1_000)).status, 405);
    assert_eq!(webapp.send(with_length(&token, 1_001)).status, 413);
    let record = webapp.record("requests", |r| r.action == "method_not_allowed");
    assert_eq!(record.request_body_bytes, Some(1_000));
    webapp.record("suspicious", |r| r.action == "body_too_large");
}

#[test]
fn chunks_are_counted() {
    let webapp = Sandbox::new().unlimited().env("MAX_CONTENT_LENGTH_BYTES", "1000").start();
    let token = webapp.token();
    let head = post(&token, &[("Transfer-Encoding", "chunked")]);
    let chunks = |n: usize| {
        format!(
            "{head}{}0\r\n\r\n",
            "64\r\n".to_owned().repeat(0) + &format!("64\r\n{}\r\n", "x".repeat(100)).repeat(n)
        )
    };
    assert_eq!(webapp.send(chunks(10)).status, 405);
    assert_eq!(webapp.send(chunks(11)).status, 413);
    let broken = webapp.send(format!("{head}zz\r\n"));
    assert_eq!((broken.status, broken.json()["code"].as_str()), (400, Some("bad_request")));
}

#[test]
fn a_connection_goes_on_behind_a_body_whose_length_is_known() {
    let webapp = Sandbox::new().unlimited().start();
    let token = webapp.token();
    let mut stream = http::connect(webapp.address);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nCookie: csrf_token={token}\r\nX-CSRF-Token: {token}\r\n\
         Content-Length: 3\r\n\r\nabc"
    );
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(http::read_one(&mut stream).status, 405);
    stream.write_all(b"GET /< HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(http::read(&mut stream).unwrap().status, 400);
    let record = webapp.record("requests", |r| r.action == "bad_request");
    assert_eq!(record.path.as_deref(), Some("/<"));
    webapp.counts("requests", 3);
}

#[test]
fn nothing_hides_behind_chunks_or_a_long_head() {
    let hidden = "GET /?q=<script> HTTP/1.1\r\nHost: a\r\n\r\n";
    let long = "x".repeat(9_000);
    let far = "y".repeat(12_000);
    for bytes in [
        format!(
            "GET /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!(
            "GET /health HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n\
             GET /?q=<script> HTTP/1.1\r\nHost: a\r\nX: {far}\r\n\r\n"
        ),
    ] {
        let webapp = Sandbox::new().start();
        let mut stream = http::connect(webapp.address);
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answers = String::new();
        // The connection may be reset behind its answer, as there is more that nobody reads.
        stream.read_to_string(&mut answers).ok();
        let served = answers.matches("HTTP/1.1 ").count();
        webapp.counts("requests", served.max(1));
        assert!(answers.is_empty() || answers.contains("connection: close"), "{answers}");
    }
}

#[test]
fn a_slow_body_is_not_waited_for() {
    let webapp = Sandbox::new().env("BODY_TIMEOUT_SECONDS", "1").start();
    let token = webapp.token();
    let answer = webapp.send(post(&token, &[("Content-Length", "10")]) + "half");
    assert_eq!(answer.status, 408);
    let record = webapp.record("suspicious", |r| r.action == "body_timeout");
    assert_eq!(record.request_body_bytes, Some(4));
}

#[test]
fn a_body_that_ends_early_is_recorded_as_aborted() {
    let webapp = Sandbox::new().start();
    let token = webapp.token();
    let mut stream = http::connect(webapp.address);
    let request = post(&token, &[("Content-Length", "10")]) + "half";
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = http::read(&mut stream).unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (400, &"bad_request".into()));
    let record = webapp.record("requests", |r| r.action == "aborted");
    assert_eq!((record.status_code, record.request_body_bytes), (Some(499), Some(4)));
    assert!(webapp.records("suspicious").is_empty());
}

#[test]
fn who_waits_for_continue_is_refused_without_sending() {
    let webapp = Sandbox::new().start();
    let token = webapp.token();
    let head = post(&token, &[("Content-Length", "9000000"), ("Expect", "100-continue")]);
    assert_eq!(webapp.send(head).status, 413);
    let small = post(&token, &[("Content-Length", "0"), ("Expect", "100-continue")]);
    assert_eq!(webapp.send(small).status, 405);
}
