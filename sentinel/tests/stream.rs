//! The stream of alerts as whoever listens sees it: over the socket of a real sentinel.

mod support;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use sentinel::sink::ring::RING_ALERTS_MAX;
use support::{ADMIN, Sandbox, admin, wait};

/// An open stream.
struct Listening {
    head: String,
    reader: BufReader<UnixStream>,
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    id: u64,
    /// `event`, empty where it was left out.
    name: String,
    data: String,
}

impl Listening {
    fn open(sandbox: &Sandbox, target: &str, last_event_id: Option<u64>) -> Self {
        let stream = UnixStream::connect(sandbox.path("logs/.sentinel/sentinel.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut head = format!("GET {target} HTTP/1.1\r\nHost: sentinel\r\n");
        if let Some(id) = last_event_id {
            head.push_str(&format!("Last-Event-ID: {id}\r\n"));
        }
        (&stream).write_all((head + "\r\n").as_bytes()).unwrap();
        let mut listening = Self { head: String::new(), reader: BufReader::new(stream) };
        while !listening.head.ends_with("\r\n\r\n") {
            assert_ne!(listening.reader.read_line(&mut listening.head).unwrap(), 0);
        }
        listening
    }

    #[track_caller]
    fn streaming(self) -> Self {
        assert!(self.head.starts_with("HTTP/1.1 200"), "{}", self.head);
        assert!(self.head.contains("content-type: text/event-stream\r\n"), "{}", self.head);
        self
    }

    /// The next chunk's bytes; none at the end of the answer.
    fn chunk(&mut self) -> Option<String> {
        self.try_chunk().unwrap()
    }

    /// # Errors
    /// The stream was cut off.
    fn try_chunk(&mut self) -> io::Result<Option<String>> {
        let mut size = String::new();
        self.reader.read_line(&mut size)?;
        let Some(size) = size.strip_suffix("\r\n") else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let size = usize::from_str_radix(size, 16).unwrap();
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(size);
        Ok((size > 0).then(|| String::from_utf8(bytes).unwrap()))
    }

    /// The events of the next chunk that holds any; none at the end.
    fn events(&mut self) -> Option<Vec<Event>> {
        loop {
            let events = events(&self.chunk()?);
            if !events.is_empty() {
                return Some(events);
            }
        }
    }

    /// Reads until so many events came.
    fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.events().expect("the stream goes on"));
        }
        events
    }
}

fn events(chunk: &str) -> Vec<Event> {
    chunk.split_terminator("\n\n").filter_map(parse).collect()
}

/// A block without data is no event (WHATWG HTML §9.2.6).
fn parse(block: &str) -> Option<Event> {
    let mut event = Event { id: 0, name: String::new(), data: String::new() };
    for line in block.lines().filter(|line| !line.starts_with(':')) {
        let (field, value) = line.split_once(": ").unwrap();
        match field {
            "id" => event.id = value.parse().unwrap(),
            "event" => value.clone_into(&mut event.name),
            "data" => value.clone_into(&mut event.data),
            other => panic!("{other}"),
        }
    }
    (!event.data.is_empty()).then_some(event)
}

/// The lines of alerts.log, as the stream must tell them.
fn logged(sandbox: &Sandbox) -> Vec<Event> {
    let text = fs::read_to_string(sandbox.path("logs/alerts.log")).unwrap();
    let event = |(n, line): (usize, &str)| Event {
        id: n as u64 + 1,
        name: String::new(),
        data: line.to_owned(),
    };
    text.lines().enumerate().map(event).collect()
}

#[test]
fn alerts_come_as_they_are_raised_and_a_reader_that_returns_misses_none() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    sandbox.expect_alerts(1);
    sandbox.expect_at_end();
    let mut listening = Listening::open(&sandbox, "/v1/alerts/stream", None).streaming();
    // It is open once it has told where it is; only what comes now is told.
    assert_eq!(listening.chunk().unwrap(), ":\nid: 1\n\n");
    sandbox.log("requests.log", &[admin(2), admin(3)]);
    let mut told = listening.take(2);
    drop(listening);
    sandbox.log("requests.log", &[admin(4)]);
    sandbox.expect_alerts(4);
    let mut listening = Listening::open(&sandbox, "/v1/alerts/stream", Some(3)).streaming();
    told.extend(listening.take(1));
    sandbox.log("requests.log", &[admin(5)]);
    told.extend(listening.take(1));
    sentinel.kill();
    assert!(listening.reader.fill_buf().unwrap().is_empty(), "it ends with sentinel");
    sandbox.log("requests.log", &[admin(6)]);
    let _sentinel = sandbox.start();
    sandbox.expect_alerts(6);
    let mut listening = Listening::open(&sandbox, "/v1/alerts/stream", Some(5)).streaming();
    told.extend(listening.take(1));
    assert_eq!(told, logged(&sandbox)[1..], "{}", sandbox.explain());
    let ahead = Listening::open(&sandbox, "/v1/alerts/stream?after_seq=1", Some(99)).streaming();
    let reset = { ahead }.take(7);
    assert_eq!((reset[0].name.as_str(), reset[0].data.as_str()), ("reset", r#"{"next_seq":1}"#));
    assert_eq!(reset[1..], logged(&sandbox));
}

#[test]
fn a_reader_that_comes_and_goes_is_told_each_alert_once() {
    const COUNT: u64 = 2_000;
    let sandbox = Sandbox::new(ADMIN);
    let _sentinel = sandbox.start();
    let (seen, mut visits) = (AtomicU64::new(0), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for raised in (0..COUNT).step_by(20) {
                // Never so far ahead that the reader would be told of missing alerts.
                while raised > seen.load(Ordering::Relaxed) + 500 {
                    thread::park_timeout(Duration::from_millis(1));
                }
                let lines: Vec<_> = (0..20).map(admin).collect();
                sandbox.log("requests.log", &lines);
            }
        });
        let mut last = 0;
        while last < COUNT {
            visits += 1;
            let mut listening = Listening::open(&sandbox, "/v1/alerts/stream", Some(last));
            // It leaves somewhere in what sentinel has sent it.
            let (awaited, kept) = (visits * 7 % 40 + 1, visits % 30 + 1);
            let told = listening.take(awaited.min(COUNT - last) as usize);
            for event in told.iter().take(kept as usize) {
                assert_eq!((event.id, event.name.as_str()), (last + 1, ""), "visit {visits}");
                last = event.id;
            }
            seen.store(last, Ordering::Relaxed);
        }
    });
    assert!(visits > 40, "it stayed too long: {visits} visits");
    assert_eq!(COUNT, logged(&sandbox).last().unwrap().id);
}

#[test]
fn a_stop_ends_streams_once_they_told_the_last_alert() {
    let sandbox = Sandbox::new(ADMIN);
    let mut sentinel = sandbox.start();
    let mut listening = Listening::open(&sandbox, "/v1/alerts/stream", None).streaming();
    assert_eq!(listening.chunk().unwrap(), ":\nid: 0\n\n");
    sandbox.log("requests.log", &[admin(1), admin(2)]);
    assert_eq!(sentinel.terminate(), 0);
    assert_eq!(listening.take(2), logged(&sandbox));
    assert_eq!(listening.chunk(), None);
}

#[test]
fn streams_have_a_limit_and_leave_room_for_questions() {
    let sandbox = Sandbox::new(ADMIN);
    let _sentinel = sandbox.start();
    let open = || Listening::open(&sandbox, "/v1/alerts/stream", None);
    let mut streams: Vec<_> = (0..32).map(|_| open().streaming()).collect();
    let mut refused = open();
    assert!(refused.head.starts_with("HTTP/1.1 503"), "{}", refused.head);
    assert!(refused.head.contains("retry-after: 5\r\n"), "{}", refused.head);
    let mut problem = String::new();
    let read = refused.reader.read_to_string(&mut problem);
    assert!(read.is_ok() && problem.contains("too many streams are open"), "{problem}");
    // More than the 32 places that would be left if streams took those of questions.
    let asked: Vec<_> = (0..64)
        .map(|_| UnixStream::connect(sandbox.path("logs/.sentinel/sentinel.sock")).unwrap())
        .collect();
    for mut stream in &asked {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"HTTP/1.1 200");
    }
    drop(asked);
    // One that leaves makes room at once.
    drop(streams.pop());
    wait("a free place", || sandbox.explain(), || open().head.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
    /// More than sentinel itself holds for a reader beside the ring.
    const HELD_BYTES: usize = 256 << 10;
    let sandbox = Sandbox::new(ADMIN);
    let _sentinel = sandbox.start();
    let mut slow = Listening::open(&sandbox, "/v1/alerts/stream", None).streaming();
    let mut quick = Listening::open(&sandbox, "/v1/alerts/stream", None).streaming();
    slow.chunk().unwrap();
    quick.chunk().unwrap();
    // What the kernel keeps of a stream is bounded by the sender's buffer (unix(7)), and sentinel's
    // has the size that ours has.
    let buffer = rustix::net::sockopt::socket_send_buffer_size(quick.reader.get_ref()).unwrap();
    let (mut raised, mut unread) = (0_u64, 0);
    let mut raise = || {
        let lines: Vec<_> = (0..100).map(admin).collect();
        sandbox.log("requests.log", &lines);
        raised += 100;
        let told = quick.take(100);
        assert_eq!(told.last().unwrap().id, raised);
        assert!(told.iter().all(|event| event.name.is_empty()));
        unread += told.iter().map(|event| event.data.len()).sum::<usize>();
        (raised, unread)
    };
    // More than can be on its way to the slow reader, then more than the ring holds: the ring has
    // lost what lies between before it is asked for.
    while raise().1 <= buffer + HELD_BYTES {}
    let filled = raise().0;
    let last = loop {
        let (raised, _) = raise();
        if raised > filled + RING_ALERTS_MAX as u64 {
            break raised;
        }
    };
    let (mut seen, mut resets) = (0, 0);
    while seen < last {
        // On a slow machine it took nothing for so long that it was cut off: it comes back.
        let Ok(chunk) = slow.try_chunk() else {
            slow = Listening::open(&sandbox, "/v1/alerts/stream", Some(seen)).streaming();
            continue;
        };
        for event in events(&chunk.expect("the stream goes on")) {
            assert!(seen < event.id, "{event:?} after {seen}");
            match event.name.as_str() {
                "reset" => resets += 1,
                _ => assert_eq!(event.id, seen + 1),
            }
            seen = event.id;
        }
    }
    assert!(resets > 0, "a reader that far behind has missed something");
}

#[test]
fn a_stream_takes_the_filters_of_alerts() {
    let sandbox = Sandbox::new(ADMIN);
    let _sentinel = sandbox.start();
    let target = "/v1/alerts/stream?rule=admin&group.n=2&after_seq=0";
    let mut listening = Listening::open(&sandbox, target, None).streaming();
    sandbox.log("requests.log", &[admin(1), admin(2), admin(3), admin(2)]);
    let ids: Vec<_> = listening.take(2).iter().map(|event| event.id).collect();
    assert_eq!(ids, [2, 4]);
    for (target, named) in [
        ("/v1/alerts/stream?limit=5", "`limit` is for /v1/alerts"),
        ("/v1/alerts/stream?level=severe", "`level` takes"),
    ] {
        let answer = sandbox.try_get(target).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(named), "{answer}");
    }
    let mut head = UnixStream::connect(sandbox.path("logs/.sentinel/sentinel.sock")).unwrap();
    head.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    head.write_all(b"HEAD /v1/alerts/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    match head.read_to_string(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it streams: {answer}"),
        read => assert!(read.is_ok() && answer.starts_with("HTTP/1.1 200"), "{answer}"),
    }
}
