use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::symlink,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use rustix::process::Signal;
use shared::record::Value;

use crate::{
    http,
    sandbox::{Sandbox, until},
};

#[test]
fn a_taken_port_is_an_io_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Sandbox::new().env("PORT", &port).output();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("PORT") && said.contains(&port), "{said}");
}

#[test]
fn a_log_directory_that_cannot_be_made_is_an_io_error() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "").unwrap();
    let dir = sandbox.path("file/logs");
    let output = sandbox.env("LOG_DIR", &dir).output();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("LOG_DIR"), "{said}");
}

#[test]
fn every_answered_request_is_in_the_logs_after_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut webapp = Sandbox::new().unlimited().start();
        let answered = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Until the server takes no more.
                    loop {
                        let Ok(mut stream) = std::net::TcpStream::connect(webapp.address) else {
                            break;
                        };
                        if stream.write_all(http::head("GET", "/", &[]).as_bytes()).is_err() {
                            break;
                        }
                        match http::read(&mut stream) {
                            Some(answer) => assert_eq!(answer.status, 200),
                            None => break,
                        }
                        if answered.fetch_add(1, Ordering::Relaxed) == 200 {
                            webapp.signal(signal);
                        }
                    }
                });
            }
        });
        assert_eq!(webapp.wait().code(), Some(0));
        let written = webapp.records("requests").len() as u64;
        assert!(written >= answered.load(Ordering::Relaxed), "{written}");
        assert!(webapp.sandbox.log("requests").ends_with('\n'));
        let last = webapp.records("errors").pop().unwrap();
        assert_eq!((last.action.as_str(), last.message.as_str()), ("shutdown", "stopped"));
    }
}

#[test]
fn an_idle_connection_does_not_hold_the_end_up() {
    let mut webapp = Sandbox::new().start();
    let mut idle = http::connect(webapp.address);
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    http::read_one(&mut idle);
    webapp.stop();
}

#[test]
fn neither_does_one_that_never_finishes_its_head() {
    let mut webapp = Sandbox::new().start();
    let _silent = http::connect(webapp.address);
    let mut half = http::connect(webapp.address);
    half.write_all(b"GET /half HTTP/1.1\r\nHost").unwrap();
    let mut second = http::connect(webapp.address);
    second
        .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost")
        .unwrap();
    http::read_one(&mut second);
    // Both are accepted in their order, so they are when a later one is answered.
    webapp.get("/health");
    webapp.stop();
    for path in ["/half", "/second"] {
        let record = webapp.record("requests", |r| r.path.as_deref() == Some(path));
        let words = (record.action.as_str(), record.reason.as_deref());
        assert_eq!(words, ("aborted", Some("server stopped")));
    }
}

#[test]
fn the_port_can_be_taken_again_at_once() {
    let mut webapp = Sandbox::new().start();
    // Connections that the server closed stay in TIME_WAIT.
    for _ in 0..5 {
        webapp.get("/health");
    }
    let port = webapp.address.port().to_string();
    webapp.stop();
    let again = Sandbox::new().env("PORT", &port).start();
    assert_eq!(again.get("/health").status, 200);
}

#[test]
fn hangup_reopens_the_logs() {
    let webapp = Sandbox::new().start();
    webapp.get("/health?n=1");
    webapp.record("requests", |_| true);
    let log = webapp.sandbox.path("logs/requests.log");
    fs::rename(&log, webapp.sandbox.path("logs/requests.log.1")).unwrap();
    webapp.signal(Signal::HUP);
    until(|| log.exists().then_some(())).unwrap();
    webapp.get("/health?n=2");
    let record = webapp.record("requests", |_| true);
    assert_eq!((record.sequence, record.query.as_deref()), (2, Some("n=2")));
}

#[test]
fn logs_rotate_and_no_record_is_lost() {
    let mut webapp = Sandbox::new().unlimited().env("LOG_MAX_BYTES", "65536").start();
    let mut stream = http::connect(webapp.address);
    for _ in 0..300 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        http::read_one(&mut stream);
    }
    webapp.stop();
    let old = fs::read_to_string(webapp.sandbox.path("logs/requests.log.1")).unwrap();
    assert!(old.len() <= 65_536 && old.ends_with('\n'));
    let rotated = |n: u32| {
        let path = webapp.sandbox.path(&format!("logs/requests.log.{n}"));
        fs::read_to_string(path).map_or(0, |text| text.lines().count())
    };
    let total: usize = (1..=5).map(rotated).sum();
    assert_eq!(total + webapp.records("requests").len(), 300);
}

#[test]
fn the_healthcheck_tells_by_its_exit_code() {
    let mut webapp = Sandbox::new().start();
    let port = webapp.address.port().to_string();
    let check = |host: &str| {
        let sandbox = Sandbox::new().env("PORT", &port).env("HOST", host);
        sandbox.command().arg("healthcheck").output().unwrap().status.code()
    };
    assert_eq!([check("127.0.0.1"), check("0.0.0.0")], [Some(0), Some(0)]);
    webapp.stop();
    assert_eq!(check("127.0.0.1"), Some(1));
}

/// The variable is set to 2: a third connection is closed at once, until one of the two ends.
#[track_caller]
fn two_at_a_time(variable: &str) {
    let webapp = Sandbox::new().env(variable, "2").start();
    let mut open = [http::connect(webapp.address), http::connect(webapp.address)];
    // Both are known to the server once they were answered.
    for stream in &mut open {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        http::read_one(stream);
    }
    let served = || http::send(webapp.address, http::head("GET", "/health", &[]).as_bytes());
    assert!(served().is_none());
    drop(open);
    assert_eq!(until(served).unwrap().status, 200);
}

#[test]
fn connections_have_a_limit_in_all_and_for_each_client() {
    two_at_a_time("MAX_CONNECTIONS");
    two_at_a_time("MAX_CONNECTIONS_PER_CLIENT");
}

#[test]
fn what_a_full_disk_lost_is_told_with_when_it_began() {
    let sandbox = Sandbox::new().unlimited();
    fs::create_dir(sandbox.path("logs")).unwrap();
    symlink("/dev/full", sandbox.path("logs/requests.log")).unwrap();
    let mut webapp = sandbox.start();
    let query = vec![format!("a={}", "\\".repeat(512)); 20].join("&");
    // Over 20 KiB each, and 1 MiB may wait.
    for _ in 0..100 {
        assert_eq!(webapp.get(&format!("/?{query}")).status, 200);
    }
    until(|| webapp.get("/health").body.contains("degraded").then_some(())).unwrap();
    webapp.stop();
    let loss = webapp.record("errors", |r| r.action == "log_loss");
    assert_eq!(loss.error_type.as_deref(), Some("write"));
    let started = webapp.record("errors", |r| r.action == "startup");
    let Some(Value::Text(since)) = loss.other.get("since") else { panic!("{loss:?}") };
    assert_eq!(since.len(), loss.timestamp.len());
    assert!(started.timestamp <= *since && *since <= loss.timestamp, "{since}");
}

#[test]
fn what_a_full_disk_kept_from_being_written_until_the_end_is_told() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("logs")).unwrap();
    symlink("/dev/full", sandbox.path("logs/requests.log")).unwrap();
    let mut webapp = sandbox.start();
    for _ in 0..10 {
        webapp.get("/");
    }
    webapp.stop();
    let records = webapp.records("errors");
    let losses: Vec<_> = records.iter().filter(|r| r.action == "log_loss").collect();
    let [loss] = losses.as_slice() else { panic!("{losses:?}") };
    assert_eq!(loss.error_type.as_deref(), Some("write"));
    assert_eq!(loss.other["stream"], Value::Text("requests".to_owned()));
    assert_eq!(loss.other["dropped"], Value::Count(10));
    assert_eq!(records.last().unwrap().action, "shutdown");
    let said = fs::read_to_string(webapp.sandbox.path("stderr")).unwrap();
    let lost: Vec<_> = said.lines().filter(|line| line.contains("has lost")).collect();
    assert_eq!(lost, ["webapp: requests.log has lost 10 records since the start"]);
}

#[test]
fn what_all_logs_lost_is_told_on_stderr() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("logs")).unwrap();
    for log in ["requests", "errors", "suspicious"] {
        symlink("/dev/full", sandbox.path("logs").join(format!("{log}.log"))).unwrap();
    }
    let mut webapp = sandbox.start();
    webapp.get("/%00");
    webapp.stop();
    let said = fs::read_to_string(webapp.sandbox.path("stderr")).unwrap();
    // Of errors.log the start, a warning, two losses, the end.
    for (log, lost) in [("requests", 1), ("suspicious", 1), ("errors", 5)] {
        let line = format!("webapp: {log}.log has lost {lost} records since the start\n");
        assert!(said.contains(&line), "{line}{said}");
    }
}
