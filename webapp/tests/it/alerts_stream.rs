use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    http,
    sandbox::{Sandbox, Webapp, until},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Stands in for sentinel: hands each connection to the test once it has asked.
struct Sentinel(Receiver<Asked>);

/// A question, and the other end of its connection.
struct Asked {
    head: String,
    stream: UnixStream,
}

impl Sentinel {
    #[track_caller]
    fn asked(&self) -> Asked {
        self.0.recv_timeout(PATIENCE).expect("webapp asks")
    }
}

impl Asked {
    fn streams(mut self) -> Self {
        self.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        self
    }

    fn tell(&mut self, text: &str) {
        self.write(&format!("{:x}\r\n{text}\r\n", text.len()));
    }

    fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// webapp hangs up.
    #[track_caller]
    fn hangs_up(mut self) {
        assert_eq!(self.stream.read(&mut [0; 8]).unwrap(), 0);
    }
}

/// An open stream as the client sees it.
struct Listening {
    head: String,
    reader: BufReader<TcpStream>,
}

impl Listening {
    fn open(webapp: &Webapp, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = http::connect(webapp.address);
        let mut head = format!("GET {target} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // A request behind it is never answered.
        head.push_str("\r\nGET /behind HTTP/1.1\r\nHost: test\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut listening = Self { head: String::new(), reader: BufReader::new(stream) };
        while !listening.head.ends_with("\r\n\r\n") {
            assert_ne!(listening.reader.read_line(&mut listening.head).unwrap(), 0);
        }
        listening
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The next chunk; none at the answer's end.
    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes.truncate(size);
        (size > 0).then(|| String::from_utf8(bytes).unwrap())
    }

    #[track_caller]
    fn hears(&mut self, expected: &str) {
        assert_eq!(self.chunk().as_deref(), Some(expected));
    }

    /// The answer ends, and with it the connection.
    #[track_caller]
    fn ends(mut self) {
        assert_eq!(self.chunk(), None);
        assert_eq!(self.reader.read(&mut [0; 8]).unwrap(), 0);
    }
}

fn listen(sandbox: Sandbox) -> (Sandbox, Sentinel) {
    let listener = UnixListener::bind(sandbox.path("s.sock")).unwrap();
    let (tell, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            // Of a probe that asks nothing there is no head.
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            tell.send(Asked { head, stream }).ok();
        }
    });
    let socket = sandbox.path("s.sock");
    (sandbox.unlimited().env("SENTINEL_SOCKET", &socket), Sentinel(asked))
}

fn start() -> (Webapp, Sentinel) {
    let (sandbox, sentinel) = listen(Sandbox::new());
    (sandbox.start(), sentinel)
}

/// An open stream, both ends.
fn open(webapp: &Webapp, sentinel: &Sentinel) -> (Listening, Asked) {
    open_with(webapp, sentinel, &[])
}

fn open_with(webapp: &Webapp, sentinel: &Sentinel, headers: &[(&str, &str)]) -> (Listening, Asked) {
    thread::scope(|scope| {
        let client = scope.spawn(|| Listening::open(webapp, "/alerts/stream", headers));
        let asked = sentinel.asked().streams();
        let mut client = client.join().unwrap();
        assert!(client.head.starts_with("HTTP/1.1 200"), "{}", client.head);
        client.hears("retry: 2000\n\n");
        (client, asked)
    })
}

#[test]
fn events_are_passed_on_one_by_one() {
    let (webapp, sentinel) = start();
    let (mut client, mut asked) = thread::scope(|scope| {
        let target = "/alerts/stream?level=high&group.client.ip=::1";
        let open = || Listening::open(&webapp, target, &[("Last-Event-ID", "7")]);
        let client = scope.spawn(open);
        let asked = sentinel.asked().streams();
        (client.join().unwrap(), asked)
    });
    let (line, headers) = asked.head.split_once("\r\n").unwrap();
    let target = "/v1/alerts/stream?group.client.ip=%3A%3A1&level=high";
    assert_eq!(line, format!("GET {target} HTTP/1.1"));
    assert!(headers.contains("last-event-id: 7\r\n"), "{headers}");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(client.header(name), Some(value), "{}", client.head);
    }
    assert!(client.header("x-request-id").is_some() && client.header("ratelimit").is_some());
    client.hears("retry: 2000\n\n");
    asked.tell(":\nid: 7\n\n");
    client.hears("id: 7\n\n");
    // An event goes on when it is whole, however it comes.
    asked.tell("id: 8\ndata: {\"seq\"");
    asked.tell(":8}\n\nid: 9\nevent: reset\ndata: {}\n\n");
    client.hears("id: 8\ndata: {\"seq\":8}\n\nid: 9\nevent: reset\ndata: {}\n\n");
}

#[test]
fn a_client_that_leaves_is_noticed_at_once_and_leaves_a_record() {
    let (mut webapp, sentinel) = start();
    let event = "id: 1\ndata: {\"seq\":1}\n\n";
    for leave in [
        (|client| drop(client)) as fn(Listening),
        // Only its own side is closed; it could still read.
        |client| {
            client.reader.get_ref().shutdown(Shutdown::Write).unwrap();
            client.ends_abruptly();
        },
    ] {
        let (mut client, mut asked) = open(&webapp, &sentinel);
        asked.tell(event);
        client.hears(event);
        leave(client);
        asked.hangs_up();
    }
    webapp.stop();
    let records = webapp.records("requests");
    assert_eq!(records.len(), 2, "one for each, and none of what was behind: {records:?}");
    for record in records {
        let words = (record.action.as_str(), record.status_code, record.reason.as_deref());
        assert_eq!(words, ("request", Some(200), Some("client left")));
        let bytes = "retry: 2000\n\n".len() + event.len();
        assert_eq!(record.response_body_bytes, Some(bytes as u64));
        assert_eq!(record.path.as_deref(), Some("/alerts/stream"));
        assert!(record.duration.is_some());
    }
}

/// The numbers of hyper's refusals, where a refusal has its status: in a chunk of three digits.
#[test]
fn no_alert_passes_for_a_refusal() {
    let (webapp, sentinel) = start();
    let (mut client, mut asked) = open(&webapp, &sentinel);
    for seq in [400, 414, 431] {
        let event = format!("id: {seq}\ndata: {{\"text\":\"{}\"}}\n\n", "x".repeat(300));
        asked.tell(&event);
        client.hears(&event);
    }
}

#[test]
fn a_reader_that_talks_is_let_go() {
    let (webapp, sentinel) = start();
    let (client, asked) = open(&webapp, &sentinel);
    let mut talker = client.reader.get_ref();
    // Until the connection breaks.
    while talker.write_all(&[b'x'; 10_000]).is_ok() {}
    asked.hangs_up();
    webapp.record("requests", |r| r.reason.as_deref() == Some("client left"));
}

impl Listening {
    /// The connection ends before the answer does.
    #[track_caller]
    fn ends_abruptly(mut self) {
        // What comes is an end or a reset.
        assert_eq!(self.reader.read(&mut [0; 8]).unwrap_or_default(), 0);
    }
}

#[test]
fn what_sentinel_must_not_send_ends_it_and_is_told_in_the_errors() {
    let (webapp, sentinel) = start();
    let ended = |tell: &dyn Fn(&mut Asked), cause: &str| {
        let (client, mut asked) = open(&webapp, &sentinel);
        let id = client.header("x-request-id").unwrap().to_owned();
        tell(&mut asked);
        drop(asked);
        client.ends();
        let is_ours = |r: &shared::Record| r.request_id.as_ref() == Some(&id);
        let record = webapp.record("requests", is_ours);
        let words = (record.action.as_str(), record.status_code, record.reason.as_deref());
        assert_eq!(words, ("request", Some(200), Some("upstream ended")));
        let error = webapp.record("errors", is_ours);
        assert_eq!(error.action, "upstream_unavailable");
        let message = error.error_message.unwrap();
        assert!(message.contains(cause), "{message}");
    };
    let no_field = "a line is no field of an event";
    ended(&|asked| asked.tell("id: 1\ndata: <script>\n\n"), no_field);
    ended(&|asked| asked.tell("id: 1\ndata: [1]\n\n"), no_field);
    ended(&|asked| asked.tell("hello\n\n"), no_field);
    ended(&|asked| asked.tell(&"x".repeat(300 << 10)), "over 256 KiB");
    ended(&|asked| asked.write("0\r\n\r\n"), "sentinel ended the stream");
    ended(&|_| {}, "");
    ended(&|asked| asked.write("no chunk"), "");
}

#[test]
fn a_stop_ends_streams_at_once() {
    let (mut webapp, sentinel) = start();
    let (client, asked) = open(&webapp, &sentinel);
    // One that reads nothing is not waited for until it does.
    let (_deaf, mut loud) = open(&webapp, &sentinel);
    let event = format!("id: 1\ndata: {{\"a\":\"{}\"}}\n\n", "x".repeat(60_000));
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    // Until every buffer on the way is full.
    loud.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let full = loop {
        if let Err(error) = loud.stream.write_all(chunk.as_bytes()) {
            break error.kind();
        }
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    webapp.signal(Signal::TERM);
    client.ends();
    asked.hangs_up();
    assert_eq!(webapp.wait().code(), Some(0));
    let records = webapp.records("requests");
    assert_eq!(records.len(), 2, "{records:?}");
    for record in records {
        let words = (record.action.as_str(), record.status_code, record.reason.as_deref());
        assert_eq!(words, ("request", Some(200), Some("server stopped")));
    }
}

#[test]
fn streams_have_a_limit_in_all_and_for_each_client() {
    let (sandbox, sentinel) = listen(Sandbox::new());
    let webapp = sandbox.env("TRUSTED_PROXIES", "127.0.0.1").start();
    let client = |n: usize| format!("192.0.2.{n}");
    let mut streams = Vec::new();
    for n in 0..32 {
        let address = client(n / 4);
        streams.push(open_with(&webapp, &sentinel, &[("X-Forwarded-For", &address)]));
    }
    let ask =
        |address: &str| webapp.request("GET", "/alerts/stream", &[("X-Forwarded-For", address)]);
    let refused = |address: &str| {
        let answer = ask(address);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["code"], "too_many_streams");
        let is_it = |r: &shared::Record| r.client_ip.as_deref() == Some(address);
        let record = webapp.record("suspicious", is_it);
        let words = (record.action.as_str(), record.rule_name.as_deref());
        assert_eq!(words, ("too_many_streams", Some("alerts_stream")));
    };
    // All are taken.
    refused(&client(99));
    // Of 28 the last client has none, and the first has its four.
    streams.truncate(28);
    let gone = || webapp.records("requests").iter().filter(|r| r.status_code == Some(200)).count();
    until(|| (gone() == 4).then_some(())).unwrap();
    refused(&client(0));
    streams.push(open_with(&webapp, &sentinel, &[("X-Forwarded-For", &client(99))]));
    // A place is for the stream, and not for the question whether there is one.
    let head = webapp.request("HEAD", "/alerts/stream", &[("X-Forwarded-For", &client(0))]);
    assert_eq!(head.status, 200);
}

#[test]
fn a_stream_is_refused_before_it_is_opened() {
    let (sandbox, sentinel) = listen(Sandbox::new());
    std::fs::write(sandbox.path("token"), "0123456789abcdef\n").unwrap();
    let token = sandbox.path("token");
    let webapp = sandbox.env("ALERTS_TOKEN_FILE", &token).start();
    let ask = |method, target, headers: &[(&str, &str)]| {
        let bearer = [("Authorization", "Bearer 0123456789abcdef")];
        webapp.request(method, target, &[&bearer, headers].concat())
    };
    assert_eq!(webapp.get("/alerts/stream").status, 401);
    for (target, parameter) in [
        ("/alerts/stream?limit=5", "limit"),
        ("/alerts/stream?since=2026-01-20T10:05:00Z", "since"),
        ("/alerts/stream?level=HIGH", "level"),
    ] {
        let answer = ask("GET", target, &[]);
        assert_eq!((answer.status, answer.json()["parameter"].as_str()), (400, Some(parameter)));
    }
    for id in ["x", "-1", "", "18446744073709551616"] {
        let answer = ask("GET", "/alerts/stream", &[("Last-Event-ID", id)]);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad_request")));
    }
    assert_eq!(ask("POST", "/alerts/stream", &[]).status, 403);
    let head = ask("HEAD", "/alerts/stream", &[]);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!((head.body.as_str(), head.header("content-length")), ("", None));
    assert!(sentinel.0.try_recv().is_err(), "sentinel was asked");

    let refused = thread::scope(|scope| {
        let client = scope.spawn(|| ask("GET", "/alerts/stream", &[]));
        let mut asked = sentinel.asked();
        asked.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        client.join().unwrap()
    });
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json()["code"], "upstream_unavailable");
}

#[test]
fn without_sentinel_a_stream_is_a_503() {
    let webapp = Sandbox::new().start();
    let answer = webapp.get("/alerts/stream");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["code"], "upstream_unavailable");
    // A sentinel that takes the question and says nothing is not waited for.
    let (webapp, sentinel) = start();
    assert_eq!(webapp.get("/alerts/stream").status, 503);
    drop(sentinel.asked());
}
