use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use serde_json::json;

use crate::{
    http,
    sandbox::{Sandbox, Webapp},
};

/// Stands in for sentinel: notes what it is asked, and answers as it is told.
struct Sentinel {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Sentinel {
    fn start(path: &Path, answer: impl Fn(&mut UnixStream) + Send + 'static) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                reader.read_line(&mut line).unwrap();
                noted.lock().unwrap().push(line.trim_end().to_owned());
                answer(&mut stream);
            }
        });
        Self { asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn say(stream: &mut UnixStream, status: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).ok();
}

/// A webapp whose sentinel answers so.
fn with(answer: impl Fn(&mut UnixStream) + Send + 'static) -> (Webapp, Sentinel) {
    let sandbox = Sandbox::new().unlimited();
    let socket = sandbox.path("s.sock");
    let sentinel = Sentinel::start(&socket, answer);
    (sandbox.env("SENTINEL_SOCKET", &socket).start(), sentinel)
}

/// Its buffer would be kept for as long as the connection lasts.
#[test]
fn a_large_answer_is_the_last_of_its_connection() {
    for (alert_bytes, is_last) in [(1_000, false), (200_000, true)] {
        let text = "x".repeat(alert_bytes);
        let body = format!(r#"{{"alerts":[{{"seq":1,"text":"{text}"}}]}}"#);
        let expected = body.clone();
        let (webapp, _sentinel) = with(move |stream| say(stream, "200 OK", &body));
        let mut stream = http::connect(webapp.address);
        stream.write_all(b"GET /alerts HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let answer = http::read_one(&mut stream);
        assert_eq!(answer.body, expected);
        assert_eq!(answer.header("connection"), is_last.then_some("close"));
        if is_last {
            assert!(http::read(&mut stream).is_none(), "the connection has ended");
        }
    }
}

#[test]
fn alerts_are_passed_on_in_their_order() {
    let body = r#"{"alerts":[{"seq":2,"message":"b"},{"seq":1,"message":"a"}],"next_after_seq":2}"#;
    let (webapp, sentinel) = with(move |stream| say(stream, "200 OK", body));
    let answer = webapp.get("/alerts?limit=5&level=high&group.client.ip=::1");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        answer.json(),
        json!({"alerts": [{"seq": 2, "message": "b"}, {"seq": 1, "message": "a"}]})
    );
    assert_eq!(
        sentinel.asked(),
        ["GET /v1/alerts?group.client.ip=%3A%3A1&level=high&limit=5 HTTP/1.1"]
    );
    let refused = webapp.get("/alerts?limit=0");
    assert_eq!((refused.status, refused.json()["parameter"].as_str()), (400, Some("limit")));
    assert_eq!(webapp.get("/alerts").status, 200);
    assert_eq!(sentinel.asked().last().unwrap(), "GET /v1/alerts HTTP/1.1");
}

#[test]
fn a_sentinel_that_cannot_be_used_is_a_503() {
    for answer in [
        |stream: &mut UnixStream| say(stream, "500 Oh", "{}"),
        |stream: &mut UnixStream| say(stream, "200 OK", "{\"alerts\":[1]}"),
        |stream: &mut UnixStream| say(stream, "200 OK", "no json"),
        |stream: &mut UnixStream| say(stream, "200 OK", &" ".repeat(1 << 21)),
        |stream: &mut UnixStream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").unwrap()
        },
        |_: &mut UnixStream| {},
    ] {
        let (webapp, _sentinel) = with(answer);
        let answer = webapp.get("/alerts");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.json()["code"], "upstream_unavailable");
        let record = webapp.record("errors", |r| r.action == "upstream_unavailable");
        assert!(record.error_message.is_some() && record.request_id.is_some());
    }
}

#[test]
fn a_sentinel_that_says_nothing_is_not_waited_for() {
    let (keep, kept) = mpsc::channel();
    let (webapp, _sentinel) = with(move |stream| keep.send(stream.try_clone().unwrap()).unwrap());
    assert_eq!(webapp.get("/alerts").status, 503);
    drop(kept);
}

#[test]
fn one_question_is_in_flight_and_the_others_wait_for_its_answer() {
    let (keep, kept) = mpsc::channel::<UnixStream>();
    let (webapp, sentinel) = with(move |stream| keep.send(stream.try_clone().unwrap()).unwrap());
    thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| webapp.get("/alerts"))).collect();
        // All are refused by the one deadline that the first of them began.
        for one in asking {
            assert_eq!(one.join().unwrap().status, 503);
        }
    });
    assert!(sentinel.asked().len() < 8, "{:?}", sentinel.asked());
    drop(kept);
}

#[test]
fn alerts_may_want_a_token() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("token"), "0123456789abcdef\n").unwrap();
    let token = sandbox.path("token");
    let webapp = sandbox.env("ALERTS_TOKEN_FILE", &token).start();
    let without = webapp.get("/alerts");
    assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")));
    let refused = webapp.record("suspicious", |r| r.status_code == Some(401));
    let words = (refused.action.as_str(), refused.rule_name.as_deref());
    assert_eq!(words, ("unauthorized", Some("alerts_token")));
    assert_eq!(without.json()["code"].as_str(), Some("unauthorized"));
    let with = webapp.request("GET", "/alerts", &[("Authorization", "Bearer 0123456789abcdef")]);
    assert_eq!(with.status, 503);
}
